//! Writing a fact and telling of it, in one transaction.

use std::sync::Arc;

use polytree_protocol::{
    events::{
        EventPayload, MessageInfo, PartDelta, PartInfo, SessionErrorInfo, SessionInfo, SessionOnly, SessionQueueInfo, SessionStatusInfo,
        TodoInfo,
    },
    id::{MessageId, SessionId},
    message::{Message, MessageError},
    part::Part,
    session::{Session, SessionStatus},
    todo::Todo,
};

use super::{fold::Change, store};
use crate::{
    event::{Events, Scope},
    stdx::time::now_ms,
    storage::{Error, Write},
};

/// A longer text would travel as a reference, and nothing can be appended from that.
const MOST_DELTA: usize = 32 * 1024;

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(MOST_DELTA));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A session's voice: where its events belong.
#[derive(Clone)]
pub(super) struct Voice {
    pub events: Arc<Events>,
    pub session_id: SessionId,
    pub scope: Scope,
}

impl Voice {
    pub fn new(events: &Arc<Events>, session: &Session) -> Self {
        let scope = Scope {
            directory: Some(session.directory.clone()),
            project_id: Some(session.project_id.clone()),
            session_id: Some(session.id.clone()),
        };
        Self { events: Arc::clone(events), session_id: session.id.clone(), scope }
    }

    pub fn tell(&self, write: &mut Write<'_>, payload: &EventPayload) -> Result<u64, Error> {
        self.events.append(write, &self.scope, payload)
    }

    /// Stores a message and tells of it.
    pub fn message(&self, write: &mut Write<'_>, message: &Message, params: Option<&str>) -> Result<(), Error> {
        store::put_message(write, message, params)?;
        self.tell(write, &EventPayload::MessageUpdated(MessageInfo { info: message.clone() }))?;
        Ok(())
    }

    /// Tells the state of a prompt after what this transaction has done.
    pub fn prompt_state(&self, write: &mut Write<'_>, prompt: &MessageId) -> Result<(), Error> {
        let Some(info) = store::get_info(write, &self.session_id, prompt)? else { return Ok(()) };
        self.tell(write, &EventPayload::MessageUpdated(MessageInfo { info })).map(drop)
    }

    /// Takes a prompt out of the queue and begins its turn.
    pub fn begin_turn(&self, write: &mut Write<'_>, prompt: &MessageId) -> Result<(), Error> {
        store::dequeue(write, prompt)?;
        store::set_turn(write, &self.session_id, prompt)?;
        self.prompt_state(write, prompt)?;
        self.queue(write)
    }

    /// Stores a part whole and tells of it.
    pub fn part(&self, write: &mut Write<'_>, part: &Part) -> Result<(), Error> {
        store::put_part(write, part)?;
        self.tell(write, &EventPayload::MessagePartUpdated(PartInfo { part: part.clone() }))?;
        Ok(())
    }

    /// Appends to a part and tells what was appended.
    pub fn delta(&self, write: &mut Write<'_>, delta: PartDelta) -> Result<(), Error> {
        let payload = EventPayload::MessagePartDelta(delta);
        let cursor = self.tell(write, &payload)?;
        let EventPayload::MessagePartDelta(delta) = payload else { return Ok(()) };
        store::append_part(write, &delta.part_id, cursor, &delta.field, &delta.delta)
    }

    /// Stores the changes of an answer and tells of them.
    pub fn changes(&self, write: &mut Write<'_>, message_id: &MessageId, changes: Vec<Change>) -> Result<(), Error> {
        for change in changes {
            match change {
                Change::Put(part) => self.part(write, &part)?,
                Change::End { part, bytes } => {
                    store::end_part(write, &part)?;
                    let payload = EventPayload::MessagePartUpdated(PartInfo { part });
                    self.events.append_without_text(write, &self.scope, &payload, "/part/text", bytes)?;
                }
                Change::Append { id, text } => {
                    for piece in pieces(&text) {
                        let delta = PartDelta {
                            session_id: self.session_id.clone(),
                            message_id: message_id.clone(),
                            part_id: id.clone(),
                            field: "text".into(),
                            delta: piece.to_owned(),
                        };
                        self.delta(write, delta)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes the session, stamps it, and tells of it.
    pub fn session(&self, write: &mut Write<'_>, change: impl FnOnce(&mut Session)) -> Result<Option<Session>, Error> {
        let session = store::update_session(write, &self.session_id, |session| {
            session.time.updated = now_ms().max(session.time.updated);
            change(session);
        })?;
        if let Some(session) = &session {
            self.tell(write, &EventPayload::SessionUpdated(SessionInfo { info: session.clone() }))?;
        }
        Ok(session)
    }

    pub fn status(&self, write: &mut Write<'_>, status: SessionStatus) -> Result<(), Error> {
        let info = SessionStatusInfo { session_id: self.session_id.clone(), status };
        self.tell(write, &EventPayload::SessionStatusChanged(info)).map(drop)
    }

    pub fn idle(&self, write: &mut Write<'_>) -> Result<(), Error> {
        self.tell(write, &EventPayload::SessionIdle(SessionOnly { session_id: self.session_id.clone() })).map(drop)
    }

    pub fn error(&self, write: &mut Write<'_>, error: MessageError) -> Result<(), Error> {
        self.tell(write, &EventPayload::SessionError(SessionErrorInfo { session_id: self.session_id.clone(), error })).map(drop)
    }

    pub fn queue(&self, write: &mut Write<'_>) -> Result<(), Error> {
        let queue = store::queue(write, &self.session_id)?;
        self.tell(write, &EventPayload::SessionQueueUpdated(SessionQueueInfo { session_id: self.session_id.clone(), queue })).map(drop)
    }

    pub fn todos(&self, write: &mut Write<'_>, todos: Vec<Todo>) -> Result<(), Error> {
        store::set_todos(write, &self.session_id, &todos)?;
        self.tell(write, &EventPayload::TodoUpdated(TodoInfo { session_id: self.session_id.clone(), todos })).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_short_and_make_the_whole(length in 0..100_000usize, wide: bool) {
            let text = if wide { "\u{20ac}" } else { "x" }.repeat(length);
            prop_assert!(super::pieces(&text).all(|piece| piece.len() <= super::MOST_DELTA));
            prop_assert_eq!(super::pieces(&text).collect::<String>(), text);
        }
    }
}
