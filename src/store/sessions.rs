//! Sessions: creating, changing, deleting and reading them.

use polytree_protocol::{
    events::{EventPayload, SessionInfo},
    id::{MessageId, SessionId},
    message::{Message, MessageErrorName, MessageWithParts},
    part::{Part, PatchPart},
    permission::{PermissionOutcome, Rule},
    sandbox::Mode,
    session::{Session, TaskCall},
    todo::Todo,
};

use super::{Error, Place, Review, Rows, Scope, SessionChange, SessionQuery, Store};

/// The result of creating a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// The session: new, or created before by the same call.
    Session(Box<Session>),
    /// Its id belongs to a session that was created with other params.
    Taken,
    /// Its id belongs to a session that was deleted.
    Deleted,
    /// There is no such parent.
    NoParent,
}

/// A list of messages, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Messages {
    /// The messages, oldest first.
    Found(Vec<MessageWithParts>),
    /// They take more than the limit.
    TooLarge,
    /// There is no such session.
    NoSession,
    /// The session does not contain the `before` message.
    NoMessage,
}

/// What became of an earlier call that chose the same id; `None` if there was none.
pub(super) fn created_before(rows: &dyn Rows, id: &SessionId, digest: &str) -> Result<Option<Created>, Error> {
    let Some(made_with) = rows.created_with(id)? else { return Ok(None) };
    Ok(Some(match rows.session(id)? {
        Some(session) if made_with.as_deref() == Some(digest) => Created::Session(Box::new(session)),
        Some(_) => Created::Taken,
        None => Created::Deleted,
    }))
}

/// The root of a session's tree.
pub(super) fn root(rows: &dyn Rows, id: SessionId) -> Result<Option<Session>, Error> {
    let mut current = id;
    while let Some(session) = rows.session(&current)? {
        match session.parent_id {
            Some(parent) => current = parent,
            None => return Ok(Some(session)),
        }
    }
    Ok(None)
}

/// Whether the daemon ended while a call waited for its child.
fn is_interrupted(rows: &dyn Rows, parent: &SessionId, task: &TaskCall) -> Result<bool, Error> {
    let Some(message) = rows.message(parent, &task.message_id)? else { return Ok(false) };
    Ok(matches!(&message.info, Message::Assistant(answer)
        if answer.error.as_ref().is_some_and(|error| error.name == MessageErrorName::MessageInterruptedError)))
}

impl Store {
    /// Stores a new session. `chosen`: the client chose its id, and a repeated call with the same digest returns the
    /// existing session.
    pub async fn create_session(&self, session: Session, place: Place, digest: String, chosen: bool) -> Result<Created, Error> {
        self.write(move |transaction| {
            if chosen && let Some(created) = created_before(transaction.rows, &session.id, &digest)? {
                return Ok(created);
            }
            let mut session = session;
            if let Some(parent) = &session.parent_id {
                let Some(parent) = transaction.rows.session(parent)? else { return Ok(Created::NoParent) };
                session.hidden |= parent.hidden;
            }
            transaction.rows.insert_session(&session, &place, &digest)?;
            transaction.emit(&Scope::of(&session), &EventPayload::SessionCreated(SessionInfo { info: session.clone() }))?;
            Ok(Created::Session(Box::new(session)))
        })
        .await
    }

    /// Changes a session; `None` if there is no such session.
    pub async fn change_session(&self, scope: Scope, change: SessionChange) -> Result<Option<Session>, Error> {
        self.write(move |transaction| transaction.change_session(&scope, change)).await
    }

    /// Deletes a session and its data; `None` if there is no such session, false if it has children. `missing`: its
    /// directory does not exist.
    pub async fn delete_session(&self, id: SessionId, missing: bool) -> Result<Option<bool>, Error> {
        self.write(move |transaction| {
            if !transaction.rows.children(&id)?.is_empty() {
                return Ok(Some(false));
            }
            let Some(mut session) = transaction.rows.session(&id)? else { return Ok(None) };
            session.missing = missing;
            transaction.withdraw(&id, PermissionOutcome::Expired, |_| true)?;
            transaction.rows.delete_session(&id)?;
            transaction.emit(&Scope::of(&session), &EventPayload::SessionDeleted(SessionInfo { info: session }))?;
            Ok(Some(true))
        })
        .await
    }

    /// A session and its linked worktrees.
    pub async fn session(&self, id: SessionId) -> Result<(Option<Session>, Vec<i64>), Error> {
        self.read(move |rows| Ok((rows.session(&id)?, rows.linked_checkouts(&[id])?))).await
    }

    /// The checkout of a session and its path in it.
    pub async fn place(&self, id: SessionId) -> Result<Option<Place>, Error> {
        self.read(move |rows| rows.place(&id)).await
    }

    /// The mode of the root of this session's tree, if one was set.
    pub async fn root_mode(&self, id: SessionId) -> Result<Option<Mode>, Error> {
        self.read(move |rows| Ok(root(rows, id)?.and_then(|root| root.mode))).await
    }

    /// The rules of a session: those of its root first, its own last.
    pub async fn session_rules(&self, id: SessionId) -> Result<Vec<Rule>, Error> {
        self.read(move |rows| {
            let mut all = Vec::new();
            let mut next = Some(id);
            while let Some(id) = next.take() {
                let Some(session) = rows.session(&id)? else { break };
                all.splice(0..0, session.permission);
                next = session.parent_id;
            }
            Ok(all)
        })
        .await
    }

    /// The linked worktrees of these sessions.
    pub async fn linked_checkouts(&self, ids: Vec<SessionId>) -> Result<Vec<i64>, Error> {
        self.read(move |rows| rows.linked_checkouts(&ids)).await
    }

    /// Sessions, the most recently updated first; `None` if the `before` session does not exist.
    pub async fn sessions(&self, query: SessionQuery) -> Result<Option<Vec<Session>>, Error> {
        self.read(move |rows| {
            if let Some(before) = &query.before
                && rows.session(before)?.is_none()
            {
                return Ok(None);
            }
            rows.sessions(&query).map(Some)
        })
        .await
    }

    /// The direct children of a session, oldest first.
    pub async fn children(&self, id: SessionId) -> Result<Vec<Session>, Error> {
        self.read(move |rows| rows.children(&id)).await
    }

    /// The sessions above a session, its parent first.
    pub async fn ancestors(&self, id: SessionId) -> Result<Vec<Session>, Error> {
        self.read(move |rows| {
            let mut above = Vec::new();
            let mut next = rows.session(&id)?.and_then(|session| session.parent_id);
            while let Some(session) = next.map(|id| rows.session(&id)).transpose()?.flatten() {
                next = session.parent_id.clone();
                above.push(session);
            }
            Ok(above)
        })
        .await
    }

    /// The children of a session that have ended, and of whose end it has not been told; oldest first.
    pub async fn untold(&self, id: SessionId) -> Result<Vec<Session>, Error> {
        self.read(move |rows| {
            let mut ended = Vec::new();
            for child in rows.children(&id)? {
                let Some(task) = child.task.as_ref().filter(|task| !task.told) else { continue };
                if rows.turn(&child.id)?.is_none() && (task.background || is_interrupted(rows, &id, task)?) {
                    ended.push(child);
                }
            }
            Ok(ended)
        })
        .await
    }

    /// Sets the call for which a session works.
    pub async fn set_task(&self, id: SessionId, task: TaskCall) -> Result<(), Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&id)? else { return Ok(()) };
            transaction.change_session(&Scope::of(&session), SessionChange { task: Some(task), ..SessionChange::default() })?;
            Ok(())
        })
        .await
    }

    /// Notes that the parent of a session is told of its end, with a part of the prompt that is answered.
    pub async fn tell_parent(&self, child: SessionId, part: Option<Part>) -> Result<(), Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&child)? else { return Ok(()) };
            let Some(task) = session.task.clone() else { return Ok(()) };
            let change = SessionChange { task: Some(TaskCall { told: true, ..task }), ..SessionChange::default() };
            transaction.change_session(&Scope::of(&session), change)?;
            if let (Some(part), Some(parent)) = (part, session.parent_id)
                && let Some(parent) = transaction.rows.session(&parent)?
            {
                transaction.emit_part(&Scope::of(&parent), part)?;
            }
            Ok(())
        })
        .await
    }

    /// A session and all its descendants, parents before their children.
    pub async fn family(&self, id: SessionId) -> Result<Vec<SessionId>, Error> {
        self.read(move |rows| rows.family(&id)).await
    }

    /// The last `limit` messages before `before`, oldest first, if they are at most `max_bytes` together.
    pub async fn messages(&self, id: SessionId, limit: Option<u32>, before: Option<MessageId>, max_bytes: u64) -> Result<Messages, Error> {
        self.read(move |rows| {
            if rows.session(&id)?.is_none() {
                return Ok(Messages::NoSession);
            }
            if let Some(before) = &before
                && rows.message_origin(before)?.is_none_or(|(session, _)| session != id.as_str())
            {
                return Ok(Messages::NoMessage);
            }
            // Checked before reading: a session may be larger than the memory.
            if rows.messages_size(&id, limit, before.as_ref())? > max_bytes {
                return Ok(Messages::TooLarge);
            }
            rows.messages(&id, limit, before.as_ref()).map(Messages::Found)
        })
        .await
    }

    /// A message with its parts.
    pub async fn message(&self, session: SessionId, id: MessageId) -> Result<Option<MessageWithParts>, Error> {
        self.read(move |rows| rows.message(&session, &id)).await
    }

    /// The part of a session that a model may read: all messages or, after a summary, that with what it leaves as it is and
    /// what came after it, oldest first; and the queued prompts.
    pub async fn conversation(&self, id: SessionId) -> Result<(Vec<MessageWithParts>, Vec<MessageId>), Error> {
        self.read(move |rows| Ok((rows.conversation(&id)?, rows.queue(&id)?))).await
    }

    /// The task list of a session.
    pub async fn todos(&self, id: SessionId) -> Result<Vec<Todo>, Error> {
        self.read(move |rows| rows.todos(&id)).await
    }

    /// What the session changed, and what the user decided about it, each in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn changes(&self, session: SessionId) -> Result<(Vec<PatchPart>, Vec<Review>), Error> {
        self.read(move |rows| Ok((rows.patches(&session)?, rows.reviews(&session)?))).await
    }

    /// The model call that was to tell the decisions has failed, so the next prompt tells them.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn untell_reviews(&self, session: SessionId, prompt: MessageId) -> Result<(), Error> {
        self.write(move |transaction| transaction.rows.untell_reviews(&session, &prompt)).await
    }

    /// The decisions that the model is told with this prompt: those that it was not told yet.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn tell_reviews(&self, session: SessionId, prompt: MessageId) -> Result<Vec<Review>, Error> {
        let known = session.clone();
        let reviews = self.read(move |rows| rows.reviews(&known)).await?;
        let is_told = |review: &Review| review.told.as_ref() == Some(&prompt);
        if reviews.iter().all(|review| review.told.is_some()) {
            return Ok(reviews.into_iter().filter(is_told).collect());
        }
        self.write(move |transaction| {
            transaction.rows.tell_reviews(&session, &prompt)?;
            let reviews = transaction.rows.reviews(&session)?;
            Ok(reviews.into_iter().filter(|review| review.told.as_ref() == Some(&prompt)).collect())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::message::Message;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        stdx::ids,
        store::{Admitted, Durability, NewPrompt, Unit, new_answer},
    };

    fn session() -> Session {
        let (id, project) = (SessionId::from_ulid(ids::next()), polytree_protocol::id::ProjectId::from_ulid(ids::next()));
        let tokens = json!({ "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
        let fields = json!({ "id": id, "projectID": project, "directory": "/w", "missing": false, "title": "", "version": "1", "cost": 0.0,
            "tokens": tokens, "time": { "created": 1, "updated": 1 } });
        serde_json::from_value(fields).unwrap()
    }

    async fn prompt(store: &Store, session: &Session, queued: bool) -> polytree_protocol::message::UserMessage {
        let fields: Value = json!({ "id": MessageId::from_ulid(ids::next()), "sessionID": session.id, "time": { "created": 1 },
            "state": "running", "agent": "build", "model": { "providerID": "p", "modelID": "m" } });
        let message: polytree_protocol::message::UserMessage = serde_json::from_value(fields).unwrap();
        let new = NewPrompt { message: message.clone(), chosen: false, parts: vec![], digest: String::new(), queued, status: None };
        assert!(matches!(store.admit_prompt(session.id.clone(), new).await.unwrap(), Admitted::New(_)));
        message
    }

    #[tokio::test]
    async fn a_conversation_begins_at_the_prompt_of_the_last_summary() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store.db"), Durability::Process).unwrap();
        let session = session();
        store.create_session(session.clone(), Place { checkout_id: 1, path: String::new() }, String::new(), false).await.unwrap();
        let answer = async |user: &polytree_protocol::message::UserMessage, summary: bool, failed: bool| {
            let mut answer = new_answer(user, "/w", "/w");
            answer.summary = summary;
            answer.time.completed = Some(2);
            answer.error =
                failed.then(|| serde_json::from_value(json!({ "name": "MessageAbortedError", "data": { "message": "x" } })).unwrap());
            store.commit(Unit::new(&Scope::of(&session)).message(Message::Assistant(answer.clone()))).await.unwrap();
            answer.id
        };
        let ids = async || {
            let (messages, _) = store.conversation(session.id.clone()).await.unwrap();
            messages.iter().map(|message| message.info.id().clone()).collect::<Vec<_>>()
        };
        let first = prompt(&store, &session, false).await;
        let said = answer(&first, false, false).await;
        let second = prompt(&store, &session, false).await;
        // Queued while the summary is written, and answered after it.
        let third = prompt(&store, &session, true).await;
        let failed = answer(&first, true, true).await;
        assert_eq!(ids().await, [&first.id, &said, &second.id, &third.id, &failed].map(Clone::clone), "a failed summary does not count");
        let summary = answer(&second, true, false).await;
        let last = answer(&third, false, false).await;
        assert_eq!(ids().await, [&second.id, &third.id, &summary, &last].map(Clone::clone));
    }
}
