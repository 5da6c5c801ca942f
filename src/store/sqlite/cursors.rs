//! Assigns cursors, and announces events after their commit.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, ToSql, params, types::FromSql};

use crate::store::{Error, Record};

type Result<T> = std::result::Result<T, Error>;

/// Cursors are reserved in blocks of this size, so that none is used twice even if its event was deleted with a
/// session.
const BLOCK_SIZE: u64 = 4096;

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
        let reserved = meta(connection, "cursor")?.unwrap_or(0).max(newest);
        Ok(Self { next: reserved + 1, reserved, total })
    }
}

/// The position of an event in the log.
pub(super) struct Position {
    pub cursor: u64,
    pub total: u64,
    /// The last reserved cursor after the commit, if a block was reserved.
    pub reserved: Option<u64>,
}

/// The cursor counter, and the callback for committed events.
pub(super) struct Log {
    // Locked by the writer thread only, inside its transaction.
    counter: Mutex<Option<Counter>>,
    announce: Announce,
}

/// Called on the writer thread, in the order of the cursors.
pub(super) type Announce = Arc<dyn Fn(Arc<Record>) + Send + Sync>;

impl Log {
    /// If the log cannot be read, as in a damaged store, the counter is read again at the next append.
    pub fn open(connection: &Connection, announce: Announce) -> Self {
        let counter = Counter::read(connection).inspect_err(|error| tracing::error!(%error, "cannot read the event log"));
        Self { counter: Mutex::new(counter.ok()), announce }
    }

    /// The newest cursor that may have been assigned.
    pub fn newest(&self) -> u64 {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |counter| counter.next - 1)
    }

    /// A reservation takes effect with its commit; until then the next event reserves again.
    pub fn allocate(&self, connection: &Connection, bytes: u64) -> Result<Position> {
        let mut held = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(Counter::read(connection)?);
        }
        let Some(counter) = held.as_mut() else { return Err(Error::Closed) };
        let cursor = counter.next;
        let reserved = (cursor > counter.reserved).then_some(cursor + BLOCK_SIZE);
        if let Some(reserved) = reserved {
            set_meta(connection, "cursor", reserved)?;
        }
        counter.next += 1;
        counter.total += bytes;
        Ok(Position { cursor, total: counter.total, reserved })
    }

    /// Called after the commit of an event and of the block that it has reserved.
    pub fn committed(&self, record: Arc<Record>, reserved: Option<u64>) {
        if let Some(reserved) = reserved
            && let Some(counter) = self.counter.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            counter.reserved = reserved;
        }
        (self.announce)(record);
    }
}

pub(super) fn meta<T: FromSql>(connection: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: impl ToSql) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
        .execute(params![key, value])
}
