//! Prompts: admission, the queue, and turns.

pub(super) mod order;

use polytree_protocol::{
    events::{EventPayload, MessageRemovedInfo, PartRemovedInfo},
    id::{MessageId, PartId, SessionId},
    message::{Message, MessageWithParts, Tokens, UserMessage},
    part::Part,
    permission::PermissionOutcome,
    session::{Session, SessionRevert, SessionStatus},
};

use super::{Error, Revert, Scope, SessionChange, Store, Transaction, rows::Used};
use order::undone;

/// A prompt that is ready to be stored.
#[derive(Debug, Clone)]
pub struct NewPrompt {
    pub message: UserMessage,
    /// The client chose the message's id, so it may exist already.
    pub chosen: bool,
    pub parts: Vec<Part>,
    /// A digest of the request, to recognise a repeated call.
    pub digest: String,
    /// It waits for the running turn; otherwise its turn begins.
    pub queued: bool,
    /// The session status to emit when the turn begins.
    pub status: Option<SessionStatus>,
}

/// The result of storing a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// It was stored; with the current session.
    New(Box<Session>),
    /// It was stored before, by the same call.
    Known,
    /// Its id belongs to another message.
    MessageTaken,
    /// A part's id belongs to another part.
    PartTaken(PartId),
    /// There is no such session.
    NoSession,
}

/// Where an existing message comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// By the same call, in this session.
    Same(SessionId),
    Other,
}

impl Store {
    /// Stores a prompt with its parts, and queues it or begins its turn.
    pub async fn admit_prompt(&self, id: SessionId, prompt: NewPrompt) -> Result<Admitted, Error> {
        self.write(move |transaction| admit(transaction, &id, prompt)).await
    }

    /// Removes a prompt from the queue and begins its turn; false if there is no such session.
    pub async fn begin_turn(&self, id: SessionId, prompt: MessageId, status: Option<SessionStatus>) -> Result<bool, Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&id)? else { return Ok(false) };
            let scope = Scope::of(&session);
            transaction.begin_turn(&scope, &prompt)?;
            if let Some(status) = status {
                transaction.emit_status(&scope, status)?;
            }
            Ok(true)
        })
        .await
    }

    /// Ends the turn of a prompt and begins the next one in the same transaction; without a next one the session
    /// becomes idle. Open questions of the session are withdrawn: the tool calls that asked them have ended. Does
    /// nothing if the session does not exist.
    pub async fn end_turn(
        &self,
        id: SessionId,
        ended: MessageId,
        cancels_queue: bool,
        status: Option<SessionStatus>,
        next: Option<MessageId>,
    ) -> Result<(), Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&id)? else { return Ok(()) };
            let scope = Scope::of(&session);
            transaction.withdraw(&id, PermissionOutcome::Expired, |_| true)?;
            if cancels_queue {
                transaction.cancel_queue(&scope, &id)?;
            }
            // Another one than that which began the turn, where a later prompt entered it.
            let answered = transaction.rows.turn(&id)?.filter(|answered| *answered != ended);
            transaction.rows.clear_turn(&id)?;
            for prompt in std::iter::once(ended).chain(answered) {
                transaction.emit_prompt(&scope, &prompt)?;
            }
            if let Some(status) = status {
                transaction.emit_status(&scope, status)?;
            }
            transaction.emit_idle(&scope)?;
            match next {
                Some(next) => transaction.begin_turn(&scope, &next),
                None => Ok(()),
            }
        })
        .await
    }

    /// Whether a prompt exists already, and whether it was the same call.
    pub async fn origin(&self, message: MessageId, digest: String) -> Result<Option<Origin>, Error> {
        self.read(move |rows| {
            Ok(rows.message_origin(&message)?.map(|(session, params)| match SessionId::parse(&session) {
                Ok(session) if params.as_ref() == Some(&digest) => Origin::Same(session),
                _ => Origin::Other,
            }))
        })
        .await
    }

    /// The last answer to a prompt.
    pub async fn last_answer(&self, prompt: MessageId) -> Result<Option<MessageId>, Error> {
        self.read(move |rows| rows.last_answer(&prompt)).await
    }

    /// The first unfinished answer of a session, and the queued prompts.
    pub async fn unfinished(&self, id: SessionId) -> Result<(Option<MessageWithParts>, Vec<MessageId>), Error> {
        self.read(move |rows| {
            let open = rows.open_answers(&id)?.into_iter().next();
            let open = open.map(|open| rows.message(&id, &open)).transpose()?.flatten();
            Ok((open, rows.queue(&id)?))
        })
        .await
    }
}

fn admit(transaction: &mut Transaction<'_>, id: &SessionId, prompt: NewPrompt) -> Result<Admitted, Error> {
    let NewPrompt { message, chosen, parts, digest, queued, status } = prompt;
    // The same prompt may have been sent twice concurrently.
    if chosen && let Some((session, params)) = transaction.rows.message_origin(&message.id)? {
        let same = params.is_some_and(|params| params == digest) && session == id.as_str();
        return Ok(if same { Admitted::Known } else { Admitted::MessageTaken });
    }
    let Some(session) = transaction.rows.session(id)? else { return Ok(Admitted::NoSession) };
    for (index, part) in parts.iter().enumerate() {
        if transaction.rows.has_part(part.id())? || parts[..index].iter().any(|other| other.id() == part.id()) {
            return Ok(Admitted::PartTaken(part.id().clone()));
        }
    }
    let scope = Scope::of(&session);
    // Until now the undo could be taken back.
    let revert = match &session.revert {
        Some(revert) => {
            transaction.remove_undone(&scope, id, revert)?;
            Some(Revert::Clear)
        }
        None => None,
    };
    let (message_id, chosen) = (message.id.clone(), Some((message.agent.clone(), message.model.clone())));
    let (time, project, model) = (message.time.created, &session.project_id, &message.model);
    transaction.rows.add_usage(&Used { time, project, model, prompts: 1, cost: 0.0, tokens: Tokens::default() })?;
    transaction.emit_message(&scope, Message::User(message), Some(&digest))?;
    for part in parts {
        transaction.emit_part(&scope, part)?;
    }
    let changed = transaction.change_session(&scope, SessionChange { chosen, revert, ..SessionChange::default() })?;
    if queued {
        transaction.rows.enqueue(id, &message_id)?;
        transaction.emit_queue(&scope)?;
    } else {
        transaction.rows.set_turn(id, &message_id)?;
        if let Some(status) = status {
            transaction.emit_status(&scope, status)?;
        }
    }
    Ok(Admitted::New(Box::new(changed.unwrap_or(session))))
}

impl Transaction<'_> {
    /// Removes the messages and parts that were undone.
    fn remove_undone(&mut self, scope: &Scope, id: &SessionId, revert: &SessionRevert) -> Result<(), Error> {
        let messages = self.rows.messages(id, None, None)?;
        let Some(undone) = undone(messages, &revert.message_id, revert.part_id.as_ref()) else { return Ok(()) };
        for part in undone.parts {
            self.rows.delete_part(part.id())?;
            let removed = PartRemovedInfo { session_id: id.clone(), message_id: part.message_id().clone(), part_id: part.id().clone() };
            self.emit(scope, &EventPayload::MessagePartRemoved(removed))?;
        }
        for message in undone.messages {
            let message_id = message.info.id().clone();
            self.rows.delete_message(&message_id)?;
            self.emit(scope, &EventPayload::MessageRemoved(MessageRemovedInfo { session_id: id.clone(), message_id }))?;
        }
        Ok(())
    }

    fn begin_turn(&mut self, scope: &Scope, prompt: &MessageId) -> Result<(), Error> {
        self.rows.dequeue(prompt)?;
        if let Some(session) = &scope.session_id {
            self.rows.set_turn(session, prompt)?;
        }
        self.emit_prompt(scope, prompt)?;
        self.emit_queue(scope)
    }

    /// Removes all prompts of a session from the queue; they stay as messages.
    pub(super) fn cancel_queue(&mut self, scope: &Scope, session: &SessionId) -> Result<(), Error> {
        let waiting = self.rows.queue(session)?;
        for id in &waiting {
            self.rows.dequeue(id)?;
            self.emit_prompt(scope, id)?;
        }
        if waiting.is_empty() { Ok(()) } else { self.emit_queue(scope) }
    }
}
