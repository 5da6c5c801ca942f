//! The event log: read by cursor, trimmed by age and size from its oldest end only. The store writes each event in the
//! transaction that changes the state.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::{Filter, Page, bus::Bus};
use crate::{
    stdx::{retention::Clock, time::Moment},
    store::{self, After, Store},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cursor is older than the log, or belongs to another log.
    #[error("cursor {cursor} is not in the log, which begins at {oldest}; begin again from there")]
    CursorExpired {
        cursor: u64,
        /// The oldest cursor from which a reader can continue.
        oldest: u64,
    },
    /// The daemon ends: nothing follows.
    #[error("the daemon is shutting down")]
    Ended,
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// The event log and its live end.
pub struct Events {
    store: Arc<Store>,
    pub(super) bus: Arc<Bus>,
    /// When [`Events::age`] was last called. Locked only to replace the value.
    last_aged: Mutex<Option<Moment>>,
}

fn found_or_expired<T>(after: After<T>, cursor: u64) -> Result<T, Error> {
    match after {
        After::Found(found_or_expired) => Ok(found_or_expired),
        After::Expired(oldest) => Err(Error::CursorExpired { cursor, oldest }),
    }
}

impl Events {
    /// Ends the log for followers: they get the remaining events and then [`Error::Ended`].
    pub fn end(&self) {
        self.bus.end();
    }

    /// Opens the log of a store; from now on committed events reach followers.
    pub fn open(store: Arc<Store>) -> Arc<Self> {
        let bus = Arc::new(Bus::new(store.newest_cursor()));
        let live = Arc::clone(&bus);
        store.on_record(move |record| live.publish(record));
        Arc::new(Self { store, bus, last_aged: Mutex::default() })
    }

    /// The newest committed cursor.
    pub fn newest(&self) -> u64 {
        self.bus.newest()
    }

    /// The number of events in the ring, and roughly their bytes.
    pub fn in_memory(&self) -> (usize, usize) {
        self.bus.size()
    }

    /// Reads the next matching events after `since`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::CursorExpired`] when the log does not reach there; `since: 0` never expires.
    pub async fn list(&self, since: u64, limit: usize, filter: Filter) -> Result<Page, Error> {
        found_or_expired(self.store.events(since, self.newest(), limit, filter).await?, since)
    }

    /// The start of a subscription: the `watch` receiver, the position and the resolved filter.
    pub(super) async fn begin(&self, since: Option<u64>, filter: Filter) -> Result<(watch::Receiver<u64>, u64, Filter), Error> {
        // Subscribed before the position is read, so that no commit in between is missed.
        let wakeups = self.bus.wakeups();
        let newest = self.newest();
        let since = since.unwrap_or(newest);
        let filter = found_or_expired(self.store.begin_to_follow(since, newest, filter).await?, since)?;
        Ok((wakeups, since, filter))
    }

    pub(super) async fn page(&self, since: u64, filter: Filter) -> Result<(Page, Filter), Error> {
        found_or_expired(self.store.next_events(since, self.newest(), filter).await?, since)
    }

    /// Ages everything; called at intervals. Ages grow by the monotonic time between two calls, so a clock that jumps
    /// removes nothing. Returns the newest cursor of the events older than `max_age` milliseconds, and the clock for other
    /// things.
    pub async fn age(&self, max_age: i64) -> Result<(u64, Clock), store::Error> {
        let now = Moment::now();
        let last = self.last_aged.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        self.store.age(last, now, max_age).await
    }
}
