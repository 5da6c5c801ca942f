//! What a session's task does about what could not be stored, and about what it or a daemon before it leaves undone.

use std::time::Duration;

use tokio::time::Instant;

use super::SessionTask;
use crate::{
    session::{Error, mailbox::TurnEnd, recover},
    store::Cause,
};

/// Between two tries to write what could not be stored: first, and at most.
const SETTLE_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// The store does not say the truth about the last turn.
pub(super) struct Unsettled {
    cause: Cause,
    wait: Duration,
    pub next: Instant,
}

impl Unsettled {
    pub fn new(cause: Cause) -> Self {
        Self { cause, wait: SETTLE_WAIT.0, next: Instant::now() + SETTLE_WAIT.0 }
    }
}

impl SessionTask {
    /// Writes down what could not be stored, if there is anything.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        let Some(unsettled) = &mut self.unsettled else { return Ok(()) };
        match recover::settle(&self.shared, &self.id, unsettled.cause.clone()).await {
            Ok(settled) => {
                self.unsettled = None;
                for question in settled.waiting {
                    self.shared.statuses.remember(&self.id, question.id, question.time.created);
                }
                Ok(())
            }
            Err(error) => {
                unsettled.wait = (unsettled.wait * 2).min(SETTLE_WAIT.1);
                unsettled.next = Instant::now() + unsettled.wait;
                Err(error)
            }
        }
    }

    /// Nothing runs, but something may wait since a daemon before this one. None of it is begun for the sake of ending it.
    pub(super) async fn abort_what_is_left(&mut self) -> Result<bool, Error> {
        let left = self.shared.take_left(&self.id);
        if !left && self.unsettled.is_none() {
            return Ok(false);
        }
        match recover::settle(&self.shared, &self.id, Cause::Abort).await {
            Ok(settled) => {
                self.unsettled = None;
                self.queue.clear();
                self.shared.statuses.clear(&self.id);
                Ok(settled.closed)
            }
            Err(error) => {
                if left {
                    self.shared.leave_for_later(&self.id);
                }
                Err(error)
            }
        }
    }

    /// What waits stays in the store for the next command, or the next daemon. Their callers are told that this one ends.
    pub(super) fn leave_queue(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        self.shared.leave_for_later(&self.id);
        for (id, _) in std::mem::take(&mut self.queue) {
            self.waiters.remove(&id);
        }
        self.shared.activity.set_queued(&self.id, 0);
    }

    /// The store cannot be written: what waits stays in it, and its callers are told. The idle status is told later.
    pub(super) fn give_up(&mut self, error: &str) {
        self.shared.statuses.clear(&self.id);
        if self.unsettled.is_none() {
            self.unsettled = Some(Unsettled::new(Cause::Store(error.to_owned())));
        }
        if !self.queue.is_empty() {
            self.shared.leave_for_later(&self.id);
        }
        for (id, _) in std::mem::take(&mut self.queue) {
            self.answer(&id, &TurnEnd::Unstored(error.to_owned()));
        }
    }
}
