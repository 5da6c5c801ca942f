//! The queue of a session: listed, changed, and taken up by a running turn.

use polytree_protocol::{
    events::{EventPayload, PartRemovedInfo},
    id::{MessageId, PartId, SessionId},
    message::{Message, MessageWithParts},
    part::Part,
};

use super::{Error, Scope, Store};

#[derive(Debug, Clone)]
pub enum QueueChange {
    Remove,
    /// To the place before this prompt, or to the end.
    Move(Option<MessageId>),
    /// Other parts.
    Replace(Vec<Part>),
    /// It enters the running turn, which only the session's task knows.
    Steer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueChanged {
    Done,
    NoSession,
    /// The prompt does not wait.
    NotQueued,
    /// The prompt that it was to come before does not wait.
    NoPlace,
    /// A part's id belongs to another part.
    PartTaken(PartId),
}

impl Store {
    /// The prompts that wait, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn queue(&self, id: SessionId) -> Result<Vec<MessageWithParts>, Error> {
        self.read(move |rows| {
            let found: Result<Vec<_>, Error> = rows.queue(&id)?.iter().map(|prompt| rows.message(&id, prompt)).collect();
            Ok(found?.into_iter().flatten().collect())
        })
        .await
    }

    /// Changes a prompt that waits.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn change_queue(&self, id: SessionId, prompt: MessageId, change: QueueChange) -> Result<QueueChanged, Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&id)? else { return Ok(QueueChanged::NoSession) };
            let scope = Scope::of(&session);
            let mut queue = transaction.rows.queue(&id)?;
            let Some(index) = queue.iter().position(|queued| *queued == prompt) else { return Ok(QueueChanged::NotQueued) };
            match change {
                QueueChange::Remove => {
                    transaction.rows.dequeue(&prompt)?;
                    transaction.emit_prompt(&scope, &prompt)?;
                }
                QueueChange::Move(before) => {
                    queue.remove(index);
                    let place = match &before {
                        Some(before) if *before == prompt => Some(index),
                        Some(before) => queue.iter().position(|queued| queued == before),
                        None => Some(queue.len()),
                    };
                    let Some(place) = place else { return Ok(QueueChanged::NoPlace) };
                    queue.insert(place, prompt);
                    for prompt in &queue {
                        transaction.rows.dequeue(prompt)?;
                        transaction.rows.enqueue(&id, prompt)?;
                    }
                }
                QueueChange::Steer => {}
                QueueChange::Replace(parts) => {
                    let old = transaction.rows.message(&id, &prompt)?.map(|message| message.parts).unwrap_or_default();
                    for (index, part) in parts.iter().enumerate() {
                        let is_own = old.iter().any(|old| old.id() == part.id());
                        let is_twice = parts[..index].iter().any(|other| other.id() == part.id());
                        if is_twice || !is_own && transaction.rows.has_part(part.id())? {
                            return Ok(QueueChanged::PartTaken(part.id().clone()));
                        }
                    }
                    for part in &old {
                        transaction.rows.delete_part(part.id())?;
                        let (session_id, message_id, part_id) = (id.clone(), prompt.clone(), part.id().clone());
                        transaction.emit(&scope, &EventPayload::MessagePartRemoved(PartRemovedInfo { session_id, message_id, part_id }))?;
                    }
                    for part in parts {
                        transaction.emit_part(&scope, part)?;
                    }
                }
            }
            transaction.emit_queue(&scope)?;
            Ok(QueueChanged::Done)
        })
        .await
    }

    /// Takes prompts out of the queue into the running turn, which answers the last of them from now on. Returns those that
    /// still waited.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn take_into_turn(&self, id: SessionId, prompts: Vec<MessageId>) -> Result<Vec<MessageWithParts>, Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&id)? else { return Ok(Vec::new()) };
            let scope = Scope::of(&session);
            let queue = transaction.rows.queue(&id)?;
            // The prompt of a turn that has not answered yet is answered together with those that enter it.
            let own = transaction.rows.turn(&id)?;
            let own = own.filter(|own| !prompts.contains(own) && transaction.rows.last_answer(own).is_ok_and(|answer| answer.is_none()));
            let mut taken = Vec::new();
            for prompt in prompts.iter().filter(|prompt| queue.contains(prompt)) {
                transaction.rows.dequeue(prompt)?;
                transaction.rows.set_turn(&id, prompt)?;
                taken.extend(transaction.rows.message(&id, prompt)?);
            }
            let last = taken.last().map(|prompt| prompt.info.id().clone());
            let own = own.filter(|_| last.is_some()).map(|own| transaction.rows.message(&id, &own)).transpose()?.flatten();
            let entered = taken.len();
            taken.extend(own);
            for prompt in &mut taken {
                if let Message::User(user) = &mut prompt.info {
                    user.answered_with = last.clone().filter(|last| *last != user.id);
                    transaction.rows.put_message(&prompt.info, None)?;
                }
                transaction.emit_prompt(&scope, prompt.info.id())?;
            }
            taken.truncate(entered);
            if !taken.is_empty() {
                transaction.emit_queue(&scope)?;
            }
            Ok(taken)
        })
        .await
    }
}
