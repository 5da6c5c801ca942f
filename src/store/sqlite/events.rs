//! The event log.

use std::{collections::HashSet, sync::Arc};

use polytree_protocol::{
    events::PartDelta,
    id::{ProjectId, SessionId},
};
use rusqlite::{Connection, params};

use super::{
    SqliteRows, age,
    cursors::{Position, meta, set_meta},
};
use crate::{
    stdx::{
        retention::{Clock, Total},
        time::{Moment, now_ms},
    },
    store::{Error, Extent, Filter, Page, Record, Scope, blob, rows::Events},
};

type Result<T> = std::result::Result<T, Error>;

/// The size limit of a page, in bytes of records.
const MAX_PAGE_BYTES: usize = 256 * 1024;
/// How many records are read for a page, matching or not.
const MAX_PAGE_ROWS: usize = 2000;
/// How many events are removed in a transaction, and about how many bytes.
const MAX_TRIMMED_ROWS: u64 = 1000;
const MAX_TRIMMED_BYTES: u64 = 1 << 20;

impl Events for SqliteRows<'_> {
    fn log_extent(&self) -> Result<Extent> {
        Ok(Extent { oldest: meta(self.connection, "trimmed")?.unwrap_or(0), newest: meta(self.connection, "cursor")?.unwrap_or(0) })
    }

    fn family_of(&self, session: &SessionId) -> Result<HashSet<String>> {
        let mut statement = self.connection.prepare_cached(
            "WITH RECURSIVE family (id) AS (SELECT ?1 UNION SELECT session.id FROM session JOIN family ON session.parent_id = family.id) SELECT id FROM family",
        )?;
        Ok(statement.query_map([session.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    fn events(&self, since: u64, newest: u64, limit: usize, filter: &mut Filter) -> Result<Page> {
        let mut statement = self.connection.prepare_cached(
            "SELECT cursor, time, type, directory, project_id, session_id, properties, hidden FROM event WHERE cursor > ?1 ORDER BY cursor",
        )?;
        let mut rows = statement.query([since])?;
        let mut page = Page { records: Vec::new(), cursor: since, more: false };
        let (mut bytes, mut read) = (0, 0);
        while let Some(row) = rows.next()? {
            if bytes > MAX_PAGE_BYTES || read >= MAX_PAGE_ROWS {
                page.more = true;
                return Ok(page);
            }
            read += 1;
            let text = |column| row.get::<_, Option<String>>(column);
            let record = Record {
                cursor: row.get(0)?,
                time: row.get(1)?,
                kind: row.get(2)?,
                scope: Scope {
                    directory: text(3)?,
                    project_id: text(4)?.and_then(|id| ProjectId::parse(&id).ok()),
                    session_id: text(5)?.and_then(|id| SessionId::parse(&id).ok()),
                    hidden: row.get(7)?,
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
        // The snapshot has no more events, and contains at least everything up to `newest`.
        page.cursor = page.cursor.max(newest);
        Ok(page)
    }

    fn append_event(&mut self, scope: &Scope, kind: &'static str, properties: String) -> Result<u64> {
        let time = now_ms();
        let Position { cursor, total, reserved } = self.log.allocate(self.connection, properties.len() as u64)?;
        self.connection
            .prepare_cached("INSERT INTO event (cursor, time, type, directory, project_id, session_id, total, properties, hidden) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                cursor,
                time,
                kind,
                scope.directory,
                scope.project_id.as_ref().map(ProjectId::as_str),
                scope.session_id.as_ref().map(SessionId::as_str),
                total,
                properties,
                scope.hidden
            ])?;
        let record = Arc::new(Record { cursor, kind: kind.to_owned(), scope: scope.clone(), properties, time });
        let log = Arc::clone(self.log);
        self.after.push(Box::new(move || log.committed(record, reserved)));
        Ok(cursor)
    }

    fn age_events(&mut self, last: Option<Moment>, now: Moment, max_age: i64) -> Result<u64> {
        age::advance(self.connection, last, now, max_age)
    }

    fn clock(&self, now: i64) -> Result<Clock> {
        age::clock(self.connection, now)
    }

    fn events_over(&self, old: u64, max_bytes: Option<u64>) -> Result<Total> {
        Ok(over(self.connection, old, max_bytes, |_| false)?.0)
    }

    fn trim_events(&mut self, old: u64, max_bytes: Option<u64>) -> Result<Total> {
        let is_enough = |step: &Total| step.count >= MAX_TRIMMED_ROWS || step.bytes >= MAX_TRIMMED_BYTES;
        let (step, last) = over(self.connection, old, max_bytes, is_enough)?;
        if step.count > 0 {
            self.connection.prepare_cached("DELETE FROM event WHERE cursor <= ?1")?.execute([last])?;
            set_meta(self.connection, "trimmed", last)?;
        }
        Ok(step)
    }
}

/// The events that are not after `old` or exceed the size, the oldest first and until it is enough, and the last of them.
fn over(connection: &Connection, old: u64, max_bytes: Option<u64>, is_enough: impl Fn(&Total) -> bool) -> Result<(Total, u64)> {
    let floor = floor(connection, max_bytes)?;
    let mut statement = connection.prepare_cached("SELECT cursor, total, octet_length(properties) FROM event ORDER BY cursor")?;
    let mut rows = statement.query([])?;
    let (mut found, mut last) = (Total::default(), 0);
    while !is_enough(&found)
        && let Some(row) = rows.next()?
    {
        let (cursor, total, bytes): (u64, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if cursor > old && total.saturating_sub(bytes) >= floor {
            break;
        }
        last = cursor;
        found.add(bytes);
    }
    Ok((found, last))
}

/// Events that begin below it in the running sum exceed the size.
fn floor(connection: &Connection, max_bytes: Option<u64>) -> Result<u64> {
    let Some(max_bytes) = max_bytes else { return Ok(0) };
    let newest = "SELECT coalesce(max(total), 0) FROM (SELECT total FROM event ORDER BY cursor DESC LIMIT 1)";
    let newest: u64 = connection.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
    Ok(newest.saturating_sub(max_bytes))
}

/// Merges the second of two adjacent deltas of one part into the first, which takes the second's cursor.
fn merge(last: &mut Record, next: &Record) -> bool {
    if last.kind != "message.part.delta" || next.kind != last.kind || last.properties.len() > blob::MAX_INLINE_BYTES / 2 {
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
