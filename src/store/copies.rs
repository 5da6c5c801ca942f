//! Conversations that are copied: out of a session, and whole into a new one.

use polytree_protocol::{
    events::{EventPayload, SessionInfo},
    id::{MessageId, SessionId},
    message::{Message, MessageWithParts},
    session::Session,
    todo::Todo,
};

use super::{Created, Error, Place, Scope, Store, sessions::created_before};

/// What is copied of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    pub session: Session,
    pub place: Place,
    /// Only messages of turns that have ended, oldest first.
    pub messages: Vec<MessageWithParts>,
    pub todos: Vec<Todo>,
}

/// A conversation, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Copied {
    Conversation(Box<Conversation>),
    NoSession,
    /// The message before which the copy ends is not in the session.
    NoMessage,
    /// The messages take more than the limit.
    TooLarge,
}

impl Store {
    /// Reads what can be copied of a session: the messages of the turns that have ended, before `before` where it is given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn copy(&self, id: SessionId, before: Option<MessageId>, max_bytes: u64) -> Result<Copied, Error> {
        self.read(move |rows| {
            let (Some(session), Some(place)) = (rows.session(&id)?, rows.place(&id)?) else { return Ok(Copied::NoSession) };
            if let Some(before) = &before
                && rows.message_info(&id, before)?.is_none()
            {
                return Ok(Copied::NoMessage);
            }
            // Checked first: a session may be larger than the memory.
            if rows.messages_size(&id, None, before.as_ref())? > max_bytes {
                return Ok(Copied::TooLarge);
            }
            let mut messages = rows.messages(&id, None, before.as_ref())?;
            let mut open = rows.queue(&id)?;
            open.extend(rows.turn(&id)?);
            messages.retain(|message| match &message.info {
                Message::User(user) => !open.contains(user.answered_with.as_ref().unwrap_or(&user.id)),
                Message::Assistant(answer) => !open.contains(&answer.parent_id) && answer.time.completed.is_some(),
            });
            let todos = rows.todos(&id)?;
            Ok(Copied::Conversation(Box::new(Conversation { session, place, messages, todos })))
        })
        .await
    }

    /// Stores a new session with its conversation. `chosen`: the client chose its id, and the same id with the same digest
    /// returns the session that exists. One event tells of the session; its messages are read with `session.messages`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn create_copy(&self, copy: Conversation, digest: String, chosen: bool) -> Result<Created, Error> {
        self.write(move |transaction| {
            let Conversation { session, place, messages, todos } = copy;
            if chosen && let Some(created) = created_before(transaction.rows, &session.id, &digest)? {
                return Ok(created);
            }
            transaction.rows.insert_session(&session, &place, &digest)?;
            for message in messages {
                transaction.rows.put_message(&message.info, None)?;
                for part in &message.parts {
                    transaction.rows.insert_part(part)?;
                }
            }
            if !todos.is_empty() {
                transaction.rows.set_todos(&session.id, &todos)?;
            }
            transaction.emit(&Scope::of(&session), &EventPayload::SessionCreated(SessionInfo { info: session.clone() }))?;
            Ok(Created::Session(Box::new(session)))
        })
        .await
    }
}
