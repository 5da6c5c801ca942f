//! Prompts: admitted, queued, answered.

use polytree_protocol::{
    id::{MessageId, PartId, SessionId},
    message::{Message, MessageWithParts, UserMessage},
    part::Part,
    permission::PermissionOutcome,
    session::{Session, SessionStatus},
};

use super::{Error, Scope, SessionChange, Store, Transaction};

/// A prompt that is ready to be stored.
#[derive(Debug, Clone)]
pub struct NewPrompt {
    /// The message.
    pub message: UserMessage,
    /// The client chose the message's id, so it may be known.
    pub chosen: bool,
    /// Its parts.
    pub parts: Vec<Part>,
    /// A digest of what the client asked for, to recognise the same call again.
    pub digest: String,
    /// It waits for a running turn; else its turn begins.
    pub queued: bool,
    /// What is told of the session when the turn begins.
    pub status: Option<SessionStatus>,
}

/// What became of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// It is stored; the session as it is now.
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

/// A prompt that is stored already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// By the same call, in this session.
    Same(SessionId),
    /// By another call.
    Other,
}

impl Store {
    /// Stores a prompt with its parts, and queues it or begins its turn.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn admit_prompt(&self, id: SessionId, prompt: NewPrompt) -> Result<Admitted, Error> {
        self.write(move |transaction| admit(transaction, &id, prompt)).await
    }

    /// Takes a prompt out of the queue and begins its turn; false when there is no such session.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn begin_turn(&self, id: SessionId, prompt: MessageId, status: Option<SessionStatus>) -> Result<bool, Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&id)? else { return Ok(false) };
            let scope = Scope::of(&session);
            transaction.begin_turn(&scope, &prompt)?;
            if let Some(status) = status {
                transaction.tell_status(&scope, status)?;
            }
            Ok(true)
        })
        .await
    }

    /// Ends the turn of a prompt and begins the next one in the same commit; without a next one the session is idle. What
    /// the session asks is withdrawn: whoever asked has ended. A session that is gone needs no end.
    ///
    /// # Errors
    /// When the store cannot be written.
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
            transaction.rows.clear_turn(&id)?;
            transaction.tell_prompt(&scope, &ended)?;
            if let Some(status) = status {
                transaction.tell_status(&scope, status)?;
            }
            transaction.tell_idle(&scope)?;
            match next {
                Some(next) => transaction.begin_turn(&scope, &next),
                None => Ok(()),
            }
        })
        .await
    }

    /// What is known of a prompt that a client sends with a digest of its params.
    ///
    /// # Errors
    /// When the store cannot be read.
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
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_answer(&self, prompt: MessageId) -> Result<Option<MessageId>, Error> {
        self.read(move |rows| rows.last_answer(&prompt)).await
    }

    /// The first answer of a session that has not ended, and the prompts that wait.
    ///
    /// # Errors
    /// When the store cannot be read.
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
    // The same prompt may have been sent twice at once.
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
    let (message_id, chosen) = (message.id.clone(), Some((message.agent.clone(), message.model.clone())));
    transaction.tell_message(&scope, Message::User(message), Some(&digest))?;
    for part in parts {
        transaction.tell_part(&scope, part)?;
    }
    let changed = transaction.change_session(&scope, SessionChange { chosen, ..SessionChange::default() })?;
    if queued {
        transaction.rows.enqueue(id, &message_id)?;
        transaction.tell_queue(&scope)?;
    } else {
        transaction.rows.set_turn(id, &message_id)?;
        if let Some(status) = status {
            transaction.tell_status(&scope, status)?;
        }
    }
    Ok(Admitted::New(Box::new(changed.unwrap_or(session))))
}

impl Transaction<'_> {
    fn begin_turn(&mut self, scope: &Scope, prompt: &MessageId) -> Result<(), Error> {
        self.rows.dequeue(prompt)?;
        if let Some(session) = &scope.session_id {
            self.rows.set_turn(session, prompt)?;
        }
        self.tell_prompt(scope, prompt)?;
        self.tell_queue(scope)
    }

    /// Takes every waiting prompt of a session out of the queue; they stay as messages.
    pub(super) fn cancel_queue(&mut self, scope: &Scope, session: &SessionId) -> Result<(), Error> {
        let waiting = self.rows.queue(session)?;
        for id in &waiting {
            self.rows.dequeue(id)?;
            self.tell_prompt(scope, id)?;
        }
        if waiting.is_empty() { Ok(()) } else { self.tell_queue(scope) }
    }
}
