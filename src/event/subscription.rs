//! A reader that follows the log: stored events first, then new ones, without a gap and without a buffer of its own.

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{Error, Events, Filter};

/// A position in the log, with what the reader wants from there on.
pub struct Subscription {
    events: Arc<Events>,
    wakeups: watch::Receiver<u64>,
    position: u64,
    filter: Filter,
}

impl Events {
    /// Follows the log after `since`, or from now on.
    pub async fn follow(self: &Arc<Self>, since: Option<u64>, filter: Filter) -> Result<Subscription, Error> {
        let (wakeups, position, filter) = self.begin(since, filter).await?;
        Ok(Subscription { events: Arc::clone(self), wakeups, position, filter })
    }
}

impl Subscription {
    /// Every matching event up to here has been returned.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Waits for the next matching events: at least one, at most 256 KiB and one more. Cancel-safe.
    ///
    /// # Errors
    /// When the log was trimmed past the position, the store cannot be read, or the daemon shuts down.
    pub async fn next(&mut self) -> Result<Vec<Box<RawValue>>, Error> {
        loop {
            let newest = *self.wakeups.borrow_and_update();
            if self.position < newest {
                let found = self.advance().await?;
                if !found.is_empty() {
                    return Ok(found);
                }
            } else {
                let is_open = tokio::select! {
                    biased;
                    is_open = self.wakeups.changed() => is_open.is_ok(),
                    () = self.events.bus.ended() => return Err(Error::Ended),
                };
                if !is_open {
                    return Err(Error::Storage(crate::store::Error::Closed));
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<Vec<Box<RawValue>>, Error> {
        if let Some(records) = self.events.bus.after(self.position) {
            if let Some(last) = records.last() {
                self.position = last.cursor;
            }
            return Ok(records.iter().filter(|record| self.filter.matches(record)).map(|record| record.to_json()).collect());
        }
        let (page, filter) = self.events.page(self.position, self.filter.clone()).await?;
        self.filter = filter;
        self.position = page.cursor;
        Ok(page.records.iter().map(super::Record::to_json).collect())
    }
}

#[cfg(test)]
mod tests;
