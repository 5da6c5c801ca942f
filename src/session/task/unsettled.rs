//! How a session's task retries what could not be stored, and defers or aborts what an earlier daemon left.

use std::time::Duration;

use tokio::time::Instant;

use super::SessionTask;
use crate::{
    session::{Error, mailbox::TurnEnd, recover},
    store::Cause,
};

/// The backoff between attempts to write what could not be stored: at first, and at most.
const SETTLE_BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// The end of the last turn is not in the store yet.
pub(super) struct Unsettled {
    cause: Cause,
    wait: Duration,
    pub next: Instant,
}

impl Unsettled {
    pub fn new(cause: Cause) -> Self {
        Self { cause, wait: SETTLE_BACKOFF.0, next: Instant::now() + SETTLE_BACKOFF.0 }
    }
}

impl SessionTask {
    /// Writes what could not be stored, if there is anything.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        let Some(unsettled) = &mut self.unsettled else { return Ok(()) };
        match recover::settle(&self.shared, &self.id, unsettled.cause.clone()).await {
            Ok(settled) => {
                self.unsettled = None;
                for (waits_for, since) in settled.waiting {
                    self.shared.statuses.remember(&self.id, waits_for, since);
                }
                Ok(())
            }
            Err(error) => {
                unsettled.wait = (unsettled.wait * 2).min(SETTLE_BACKOFF.1);
                unsettled.next = Instant::now() + unsettled.wait;
                Err(error)
            }
        }
    }

    /// Aborts without a running turn: ends what an earlier daemon left, without starting it.
    pub(super) async fn abort_deferred(&mut self) -> Result<bool, Error> {
        let deferred = self.shared.take_deferred(&self.id);
        if !deferred && self.unsettled.is_none() {
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
                if deferred {
                    self.shared.defer(&self.id);
                }
                Err(error)
            }
        }
    }

    /// The queue stays in the store until the next command, or the next daemon. Its callers learn that this daemon stops.
    pub(super) fn defer_queue(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        self.shared.defer(&self.id);
        for (id, _) in std::mem::take(&mut self.queue) {
            self.waiters.remove(&id);
        }
        self.shared.activity.set_queued(&self.id, 0);
    }

    /// The store cannot be written: the queue stays in it, and its callers are told. The idle status follows later.
    pub(super) fn give_up(&mut self, error: &str) {
        self.shared.statuses.clear(&self.id);
        if self.unsettled.is_none() {
            self.unsettled = Some(Unsettled::new(Cause::Store(error.to_owned())));
        }
        if !self.queue.is_empty() {
            self.shared.defer(&self.id);
        }
        for (id, _) in std::mem::take(&mut self.queue) {
            self.answer(&id, &TurnEnd::Unstored(error.to_owned()));
        }
    }
}
