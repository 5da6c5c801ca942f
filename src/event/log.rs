//! The log: read by cursor, trimmed by age and size from its oldest end only. It is written with the facts that its events
//! tell of, by the store.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::{Filter, Page, bus::Bus};
use crate::{
    stdx::time::Moment,
    store::{self, After, Store},
};

/// How reading events fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cursor is older than the log, or of another log.
    #[error("cursor {cursor} is not in the log, which begins at {oldest}; begin again from there")]
    CursorExpired {
        /// What was asked.
        cursor: u64,
        /// The oldest cursor that can be continued from.
        oldest: u64,
    },
    /// The daemon ends: nothing follows.
    #[error("the daemon is shutting down")]
    Ended,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// The event log and its live end.
pub struct Events {
    store: Arc<Store>,
    pub(super) bus: Arc<Bus>,
    /// When the log was last looked through for old events. Held to exchange it.
    looked: Mutex<Option<Moment>>,
}

/// What was found after the cursor.
fn found<T>(after: After<T>, cursor: u64) -> Result<T, Error> {
    match after {
        After::Found(found) => Ok(found),
        After::Expired(oldest) => Err(Error::CursorExpired { cursor, oldest }),
    }
}

impl Events {
    /// Ends the live end: followers get what there is, and then [`Error::Ended`].
    pub fn end(&self) {
        self.bus.end();
    }

    /// The log of a store. From now on what is committed is told to followers.
    #[must_use]
    pub fn open(store: Arc<Store>) -> Arc<Self> {
        let bus = Arc::new(Bus::new(store.newest_cursor()));
        let live = Arc::clone(&bus);
        store.on_record(move |record| live.publish(record));
        Arc::new(Self { store, bus, looked: Mutex::default() })
    }

    /// The newest committed cursor.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.bus.newest()
    }

    /// How many events are kept in memory, and roughly their bytes.
    #[must_use]
    pub fn in_memory(&self) -> (usize, usize) {
        self.bus.size()
    }

    /// Reads the next matching events after `since`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::CursorExpired`] when the log does not reach there; `since: 0` never expires.
    pub async fn list(&self, since: u64, limit: usize, filter: Filter) -> Result<Page, Error> {
        found(self.store.events(since, self.newest(), limit, filter).await?, since)
    }

    /// Where a follower begins: what rings, the position, and its filter.
    pub(super) async fn begin(&self, since: Option<u64>, filter: Filter) -> Result<(watch::Receiver<u64>, u64, Filter), Error> {
        // The bell before the position: what is committed in between is not missed.
        let bell = self.bus.bell();
        let newest = self.newest();
        let since = since.unwrap_or(newest);
        let filter = found(self.store.begin_to_follow(since, newest, filter).await?, since)?;
        Ok((bell, since, filter))
    }

    pub(super) async fn page(&self, since: u64, filter: Filter) -> Result<(Page, Filter), Error> {
        found(self.store.next_events(since, self.newest(), filter).await?, since)
    }

    /// Removes the oldest events until the log is within both limits. Called now and then: how old an event is goes by the
    /// time that passes in between, whatever the clock does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn trim(&self, max_age: i64, max_bytes: u64) -> Result<(), store::Error> {
        let now = Moment::now();
        let last = self.looked.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        self.store.trim_events(last, now, max_age, max_bytes).await
    }
}
