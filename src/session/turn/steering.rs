//! The prompts that are meant for a running turn: the session's task offers them, the turn takes them.

use std::sync::{Mutex, PoisonError};

use polytree_protocol::id::MessageId;

/// They wait in the queue of the session until the turn takes them.
#[derive(Debug, Default)]
pub(in crate::session) struct Steering(Mutex<Prompts>);

#[derive(Debug, Default)]
struct Prompts {
    offered: Vec<MessageId>,
    taken: Vec<MessageId>,
}

impl Steering {
    fn with<T>(&self, change: impl FnOnce(&mut Prompts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A prompt that is in the queue may enter the turn.
    pub fn offer(&self, prompt: MessageId) {
        self.with(|prompts| {
            if !prompts.offered.contains(&prompt) {
                prompts.offered.push(prompt);
            }
        });
    }

    /// The prompts that are to enter the turn.
    pub fn offered(&self) -> Vec<MessageId> {
        self.with(|prompts| prompts.offered.clone())
    }

    pub fn is_offered(&self) -> bool {
        self.with(|prompts| !prompts.offered.is_empty())
    }

    pub fn take_offered(&self) -> Vec<MessageId> {
        self.with(|prompts| std::mem::take(&mut prompts.offered))
    }

    /// These have entered the turn.
    pub fn entered(&self, entered: impl IntoIterator<Item = MessageId>) {
        self.with(|prompts| prompts.taken.extend(entered));
    }

    /// The prompts that have entered the turn, in order. Its answers answer the last of them.
    pub fn taken(&self) -> Vec<MessageId> {
        self.with(|prompts| prompts.taken.clone())
    }
}
