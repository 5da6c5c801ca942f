//! One reader that follows the log: first what is kept, then what comes, without a gap and without a buffer of its own.

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{Error, Events, Filter};

/// A place in the log that moves on.
pub struct Subscription {
    events: Arc<Events>,
    bell: watch::Receiver<u64>,
    position: u64,
    filter: Filter,
}

impl Events {
    /// Begins to follow: after `since`, or from now on.
    ///
    /// # Errors
    /// As [`Events::list`].
    pub async fn follow(self: &Arc<Self>, since: Option<u64>, filter: Filter) -> Result<Subscription, Error> {
        let (bell, position, filter) = self.begin(since, filter).await?;
        Ok(Subscription { events: Arc::clone(self), bell, position, filter })
    }
}

impl Subscription {
    /// Every matching event up to here has been returned.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Waits for the next matching events: at least one, at most 256 KiB and one more. Cancel-safe.
    ///
    /// # Errors
    /// When the log was trimmed past a reader that was too slow, the store cannot be read, or the daemon ends.
    pub async fn next(&mut self) -> Result<Vec<Box<RawValue>>, Error> {
        loop {
            let newest = *self.bell.borrow_and_update();
            if self.position < newest {
                let found = self.advance().await?;
                if !found.is_empty() {
                    return Ok(found);
                }
            } else {
                let rings = tokio::select! {
                    biased;
                    rings = self.bell.changed() => rings.is_ok(),
                    () = self.events.bus.ended() => return Err(Error::Ended),
                };
                if !rings {
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
