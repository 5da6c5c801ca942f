//! Making changes in a transaction: each fact with the event that tells of it.

use polytree_protocol::{
    events::{
        EventPayload, MessageInfo, PartInfo, SessionErrorInfo, SessionInfo, SessionOnly, SessionQueueInfo, SessionStatusInfo, TodoInfo,
    },
    id::MessageId,
    message::{Message, MessageError},
    part::Part,
    session::{Session, SessionStatus},
};

use super::{Error, Scope, SessionChange, Transaction, Unit, blob, unit::Change, usage};
use crate::stdx::time::now_ms;

impl Transaction<'_> {
    pub(super) fn apply(&mut self, unit: Unit) -> Result<(), Error> {
        let Unit { scope, changes } = unit;
        for change in changes {
            match change {
                Change::Message(message) => self.tell_message(&scope, message, None)?,
                Change::Part(part) => self.tell_part(&scope, part)?,
                Change::EndedPart(part, bytes) => {
                    self.rows.end_part(&part)?;
                    let properties = EventPayload::MessagePartUpdated(PartInfo { part }).properties();
                    let properties = blob::refer(properties, "/part/text", bytes);
                    self.rows.append_event(&scope, "message.part.updated", properties)?;
                }
                Change::Delta(delta) => {
                    let payload = EventPayload::MessagePartDelta(delta);
                    let cursor = self.tell(&scope, &payload)?;
                    let EventPayload::MessagePartDelta(delta) = payload else { continue };
                    self.rows.append_part(&delta.part_id, cursor, &delta.field, &delta.delta)?;
                }
                Change::Session(change) => drop(self.change_session(&scope, change)?),
                Change::Todos(todos) => {
                    let session_id = scope.session();
                    self.rows.set_todos(&session_id, &todos)?;
                    self.tell(&scope, &EventPayload::TodoUpdated(TodoInfo { session_id, todos }))?;
                }
                Change::Withdraw(outcome) => self.withdraw(&scope.session(), outcome, |_| true)?,
                Change::Event(payload) => drop(self.tell(&scope, &payload)?),
            }
        }
        Ok(())
    }

    /// Appends an event; gives its cursor.
    pub(super) fn tell(&mut self, scope: &Scope, payload: &EventPayload) -> Result<u64, Error> {
        self.rows.append_event(scope, payload.name(), blob::replace(payload.properties()))
    }

    pub(super) fn tell_message(&mut self, scope: &Scope, message: Message, params: Option<&str>) -> Result<(), Error> {
        self.rows.put_message(&message, params)?;
        self.tell(scope, &EventPayload::MessageUpdated(MessageInfo { info: message })).map(drop)
    }

    pub(super) fn tell_part(&mut self, scope: &Scope, part: Part) -> Result<(), Error> {
        self.rows.put_part(&part)?;
        self.tell(scope, &EventPayload::MessagePartUpdated(PartInfo { part })).map(drop)
    }

    /// Tells the state of a prompt after what this transaction has done.
    pub(super) fn tell_prompt(&mut self, scope: &Scope, prompt: &MessageId) -> Result<(), Error> {
        let Some(info) = self.rows.message_info(&scope.session(), prompt)? else { return Ok(()) };
        self.tell(scope, &EventPayload::MessageUpdated(MessageInfo { info })).map(drop)
    }

    pub(super) fn tell_queue(&mut self, scope: &Scope) -> Result<(), Error> {
        let session_id = scope.session();
        let queue = self.rows.queue(&session_id)?;
        self.tell(scope, &EventPayload::SessionQueueUpdated(SessionQueueInfo { session_id, queue })).map(drop)
    }

    pub(super) fn tell_status(&mut self, scope: &Scope, status: SessionStatus) -> Result<(), Error> {
        let session_id = scope.session();
        self.tell(scope, &EventPayload::SessionStatusChanged(SessionStatusInfo { session_id, status })).map(drop)
    }

    pub(super) fn tell_idle(&mut self, scope: &Scope) -> Result<(), Error> {
        self.tell(scope, &EventPayload::SessionIdle(SessionOnly { session_id: scope.session() })).map(drop)
    }

    pub(super) fn tell_error(&mut self, scope: &Scope, error: MessageError) -> Result<(), Error> {
        let session_id = scope.session();
        self.tell(scope, &EventPayload::SessionError(SessionErrorInfo { session_id, error })).map(drop)
    }

    /// Changes the session of the scope, stamps it, and tells of it; `None` when it is gone.
    pub(super) fn change_session(&mut self, scope: &Scope, change: SessionChange) -> Result<Option<Session>, Error> {
        let Some(mut session) = self.rows.session(&scope.session())? else { return Ok(None) };
        let SessionChange { title, replaces, archived, mode, chosen, used, missing } = change;
        let now = now_ms();
        session.missing = missing;
        session.time.updated = now.max(session.time.updated);
        let title = title.filter(|_| replaces.is_none_or(|begin| session.title.starts_with(begin)));
        // A title that comes too late, and has cost nothing, is no change.
        if replaces.is_some() && title.is_none() && used.is_none() {
            return Ok(Some(session));
        }
        session.title = title.unwrap_or(session.title);
        match archived {
            Some(true) => session.time.archived = session.time.archived.or(Some(now)),
            Some(false) => session.time.archived = None,
            None => {}
        }
        session.mode = mode.or(session.mode);
        if let Some((agent, model)) = chosen {
            session.agent = Some(agent);
            session.model = Some(model);
        }
        if let Some((cost, tokens)) = used {
            session.cost = usage::sum(session.cost, cost);
            usage::add(&mut session.tokens, &tokens);
        }
        self.rows.put_session(&session)?;
        self.tell(scope, &EventPayload::SessionUpdated(SessionInfo { info: session.clone() }))?;
        Ok(Some(session))
    }
}
