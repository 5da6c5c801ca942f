//! The log: appended in the caller's transaction, read by cursor, trimmed by age and size from its oldest end only.

mod age;

use std::sync::{Arc, Mutex, PoisonError};

use polytree_protocol::{
    events::{EventPayload, PartDelta},
    id::{ProjectId, SessionId},
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Filter, Record, Scope, Subscription, blob, bus::Bus};
use crate::{
    stdx::time::{Moment, now_ms},
    storage::{self, Database, Write},
};

/// Cursors are reserved in blocks, so that one is never given twice, also when its event was deleted with a session.
const RESERVE: u64 = 4096;
/// The most bytes of records read from the log at once.
const PAGE_BYTES: usize = 256 * 1024;
/// The most records looked at in one read.
const PAGE_ROWS: usize = 2000;

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
    Storage(#[from] storage::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// A stretch of the log.
#[derive(Debug)]
pub struct Page {
    /// The matching records; adjacent deltas of one part are merged.
    pub records: Vec<Record>,
    /// Everything up to here was looked at.
    pub cursor: u64,
    /// There may be more after it.
    pub more: bool,
}

#[derive(Debug)]
struct Counter {
    next: u64,
    reserved: u64,
    total: u64,
}

/// Where an event stands in the log.
struct Place {
    cursor: u64,
    total: u64,
    /// Up to where cursors are reserved once this is committed.
    reserved: Option<u64>,
}

/// The event log and its live end.
pub struct Events {
    database: Arc<Database>,
    // Only the writer thread takes it, inside its transaction.
    counter: Mutex<Counter>,
    pub(super) bus: Bus,
    /// When the log was last looked through for old events. Held to exchange it.
    looked: Mutex<Option<Moment>>,
}

impl Events {
    /// Ends the live end: followers get what there is, and then [`Error::Ended`].
    pub fn end(&self) {
        self.bus.end();
    }

    /// Opens the log of a store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(database: Arc<Database>) -> Result<Arc<Self>, Error> {
        let counter = database
            .read(|connection| {
                let (newest, total) = connection
                    .query_row("SELECT cursor, total FROM event ORDER BY cursor DESC LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?
                    .unwrap_or((0, 0));
                let reserved = meta(connection, "cursor")?.max(newest);
                Ok::<_, Error>(Counter { next: reserved + 1, reserved, total })
            })
            .await?;
        let bus = Bus::new(counter.reserved);
        Ok(Arc::new(Self { database, counter: Mutex::new(counter), bus, looked: Mutex::default() }))
    }

    /// Appends an event to the caller's transaction; it is announced once that is committed. Returns its cursor.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn append(self: &Arc<Self>, write: &mut Write<'_>, scope: &Scope, payload: &EventPayload) -> Result<u64, storage::Error> {
        self.append_properties(write, scope, payload, blob::replace(payload.properties()))
    }

    /// Appends an event that lacks a text of so many bytes at `place`, a path into its properties: a reference stands
    /// there, as for every long text.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn append_without_text(
        self: &Arc<Self>,
        write: &mut Write<'_>,
        scope: &Scope,
        payload: &EventPayload,
        place: &str,
        bytes: usize,
    ) -> Result<u64, storage::Error> {
        self.append_properties(write, scope, payload, blob::refer(payload.properties(), place, bytes))
    }

    fn append_properties(
        self: &Arc<Self>,
        write: &mut Write<'_>,
        scope: &Scope,
        payload: &EventPayload,
        properties: String,
    ) -> Result<u64, storage::Error> {
        let time = now_ms();
        let Place { cursor, total, reserved } = self.allocate(write, properties.len() as u64)?;
        write
            .prepare_cached("INSERT INTO event (cursor, time, type, directory, project_id, session_id, total, properties) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![
                cursor,
                time,
                payload.name(),
                scope.directory,
                scope.project_id.as_ref().map(ProjectId::as_str),
                scope.session_id.as_ref().map(SessionId::as_str),
                total,
                properties
            ])?;
        let record = Arc::new(Record { cursor, kind: payload.name().to_owned(), scope: scope.clone(), properties, time });
        let events = Arc::clone(self);
        write.after_commit(move || {
            if let Some(reserved) = reserved {
                events.counter.lock().unwrap_or_else(PoisonError::into_inner).reserved = reserved;
            }
            events.bus.publish(record);
        });
        Ok(cursor)
    }

    /// A reservation counts from its commit on: until then the next event reserves again.
    fn allocate(&self, write: &Write<'_>, bytes: u64) -> Result<Place, storage::Error> {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = counter.next;
        let reserved = (cursor > counter.reserved).then_some(cursor + RESERVE);
        if let Some(reserved) = reserved {
            set_meta(write, "cursor", reserved)?;
        }
        counter.next += 1;
        counter.total += bytes;
        Ok(Place { cursor, total: counter.total, reserved })
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
    pub async fn list(&self, since: u64, limit: usize, mut filter: Filter) -> Result<Page, Error> {
        let newest = self.newest();
        self.database
            .read(move |connection| {
                check(connection, since, newest)?;
                filter.resolve(connection)?;
                read_page(connection, since, newest, limit, &mut filter)
            })
            .await
    }

    /// Begins to follow: after `since`, or from now on.
    ///
    /// # Errors
    /// As [`Events::list`].
    pub async fn follow(self: &Arc<Self>, since: Option<u64>, mut filter: Filter) -> Result<Subscription, Error> {
        // The bell before the position: what is committed in between is not missed.
        let bell = self.bus.bell();
        let newest = self.newest();
        let filter = self
            .database
            .read(move |connection| {
                check(connection, since.unwrap_or(newest), newest)?;
                filter.resolve(connection)?;
                Ok::<_, Error>(filter)
            })
            .await?;
        Ok(Subscription::new(Arc::clone(self), bell, since.unwrap_or(newest), filter))
    }

    pub(super) async fn page(&self, since: u64, mut filter: Filter) -> Result<(Page, Filter), Error> {
        let newest = self.newest();
        self.database
            .read(move |connection| {
                check(connection, since, newest)?;
                let page = read_page(connection, since, newest, usize::MAX, &mut filter)?;
                Ok((page, filter))
            })
            .await
    }

    /// Removes the oldest events until the log is within both limits. Called now and then: how old an event is goes by the
    /// time that passes in between, whatever the clock does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn trim(&self, most_ms: i64, most_bytes: u64) -> Result<(), storage::Error> {
        let now = Moment::now();
        let last = self.looked.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        let old = self.database.write(move |write| age::advance(write, last, now, most_ms)).await?;
        loop {
            let removed = self.database.write(move |write| trim_some(write, old, most_bytes)).await?;
            if !removed {
                return Ok(());
            }
        }
    }
}

/// Removes at most a thousand events in one transaction, so that nobody waits long for the writer.
fn trim_some(write: &Write<'_>, old: u64, most_bytes: u64) -> Result<bool, storage::Error> {
    let newest_total: u64 =
        write.query_row("SELECT coalesce(max(total), 0) FROM (SELECT total FROM event ORDER BY cursor DESC LIMIT 1)", [], |row| {
            row.get(0)
        })?;
    let floor = newest_total.saturating_sub(most_bytes);
    let last: Option<u64> = write
        .prepare_cached(
            "SELECT max(cursor) FROM (SELECT cursor, total FROM event ORDER BY cursor LIMIT 1000) WHERE cursor <= ?1 OR total < ?2",
        )?
        .query_row(params![old, floor], |row| row.get(0))?;
    let Some(last) = last else { return Ok(false) };
    write.prepare_cached("DELETE FROM event WHERE cursor <= ?1")?.execute([last])?;
    set_meta(write, "trimmed", last)?;
    Ok(true)
}

fn check(connection: &Connection, since: u64, newest: u64) -> Result<(), Error> {
    let oldest = meta(connection, "trimmed")?;
    // One that was never given comes from another store, or from before this one was put back: nothing would follow it.
    let given = meta(connection, "cursor")?.max(newest);
    if since != 0 && (since < oldest || since > given) {
        return Err(Error::CursorExpired { cursor: since, oldest });
    }
    Ok(())
}

fn read_page(connection: &Connection, since: u64, newest: u64, limit: usize, filter: &mut Filter) -> Result<Page, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT cursor, time, type, directory, project_id, session_id, properties FROM event WHERE cursor > ?1 ORDER BY cursor",
    )?;
    let mut rows = statement.query([since])?;
    let mut page = Page { records: Vec::new(), cursor: since, more: false };
    let (mut bytes, mut looked) = (0, 0);
    while let Some(row) = rows.next()? {
        if bytes > PAGE_BYTES || looked >= PAGE_ROWS {
            page.more = true;
            return Ok(page);
        }
        looked += 1;
        let text = |column| row.get::<_, Option<String>>(column);
        let record = Record {
            cursor: row.get(0)?,
            time: row.get(1)?,
            kind: row.get(2)?,
            scope: Scope {
                directory: text(3)?,
                project_id: text(4)?.and_then(|id| ProjectId::parse(&id).ok()),
                session_id: text(5)?.and_then(|id| SessionId::parse(&id).ok()),
            },
            properties: row.get(6)?,
        };
        if filter.matches(&record) {
            if page.records.len() >= limit {
                page.more = true;
                return Ok(page);
            }
            bytes += record.size();
            page.cursor = record.cursor;
            if !page.records.last_mut().is_some_and(|last| merge(last, &record)) {
                page.records.push(record);
            }
        } else {
            page.cursor = record.cursor;
        }
    }
    // Nothing more is in this snapshot, which holds at least what was committed before it began.
    page.cursor = page.cursor.max(newest);
    Ok(page)
}

/// Appends the second of two adjacent deltas of one part to the first, whose cursor becomes the second's.
fn merge(last: &mut Record, next: &Record) -> bool {
    if last.kind != "message.part.delta" || next.kind != last.kind || last.properties.len() > blob::LIMIT / 2 {
        return false;
    }
    let (Ok(mut first), Ok(second)) =
        (serde_json::from_str::<PartDelta>(&last.properties), serde_json::from_str::<PartDelta>(&next.properties))
    else {
        return false;
    };
    if first.part_id != second.part_id || first.field != second.field {
        return false;
    }
    first.delta.push_str(&second.delta);
    let Ok(properties) = serde_json::to_string(&first) else { return false };
    last.properties = properties;
    last.cursor = next.cursor;
    last.time = next.time;
    true
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

fn set_meta(connection: &Connection, key: &str, value: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
        .execute(params![key, value])
}
