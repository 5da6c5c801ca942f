//! The cursors of the log, and telling what is committed.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::{Error, Record};

type Result<T> = std::result::Result<T, Error>;

/// Cursors are reserved in blocks, so that one is never given twice, also when its event was deleted with a session.
const RESERVE: u64 = 4096;

struct Counter {
    next: u64,
    reserved: u64,
    total: u64,
}

impl Counter {
    fn read(connection: &Connection) -> Result<Self> {
        let (newest, total) = connection
            .query_row("SELECT cursor, total FROM event ORDER BY cursor DESC LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .unwrap_or((0, 0));
        let reserved = meta(connection, "cursor")?.max(newest);
        Ok(Self { next: reserved + 1, reserved, total })
    }
}

/// Where an event stands in the log.
pub(super) struct Position {
    pub cursor: u64,
    pub total: u64,
    /// Up to where cursors are reserved once this is committed.
    pub reserved: Option<u64>,
}

/// What gives events their cursors, and who is told of them once they are committed.
pub(super) struct Log {
    // Only the writer thread takes it, inside its transaction.
    counter: Mutex<Option<Counter>>,
    announce: Announce,
}

/// Called on the writer thread, in the order of the cursors.
pub(super) type Announce = Arc<dyn Fn(Arc<Record>) + Send + Sync>;

impl Log {
    /// Where the log cannot be read, as on a damaged store, nothing can be appended to it either.
    pub fn open(connection: &Connection, announce: Announce) -> Self {
        let counter = Counter::read(connection).inspect_err(|error| tracing::error!(%error, "the log of events cannot be read"));
        Self { counter: Mutex::new(counter.ok()), announce }
    }

    /// The newest cursor that may have been given.
    pub fn newest(&self) -> u64 {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |counter| counter.next - 1)
    }

    /// A reservation counts from its commit on: until then the next event reserves again.
    pub fn allocate(&self, connection: &Connection, bytes: u64) -> Result<Position> {
        let mut held = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(Counter::read(connection)?);
        }
        let Some(counter) = held.as_mut() else { return Err(Error::Closed) };
        let cursor = counter.next;
        let reserved = (cursor > counter.reserved).then_some(cursor + RESERVE);
        if let Some(reserved) = reserved {
            set_meta(connection, "cursor", reserved)?;
        }
        counter.next += 1;
        counter.total += bytes;
        Ok(Position { cursor, total: counter.total, reserved })
    }

    /// An event is committed, and with it the reservation of cursors that it has made.
    pub fn committed(&self, record: Arc<Record>, reserved: Option<u64>) {
        if let Some(reserved) = reserved
            && let Some(counter) = self.counter.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            counter.reserved = reserved;
        }
        (self.announce)(record);
    }
}

pub(super) fn meta(connection: &Connection, key: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
        .execute(params![key, value])
}
