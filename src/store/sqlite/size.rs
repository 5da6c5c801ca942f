//! The size of the store: rows, bytes, and SQLite's memory. Counting is fast: for a large table the count is estimated
//! from the ids of its first and last row.

use polytree_protocol::diagnose_machine::DiagnosisRows;
use rusqlite::{Connection, OptionalExtension as _};

use crate::store::Error;

/// Tables with more rows than this are estimated.
const MAX_COUNTED_ROWS: u64 = 100_000;

/// Counts the rows.
pub(super) fn counts(connection: &Connection) -> Result<DiagnosisRows, Error> {
    let mut rows = DiagnosisRows { sessions: number(connection, "SELECT count(*) FROM session")?, ..DiagnosisRows::default() };
    // Parts and events are large: their tables are scanned only where a small index or few rows suffice.
    let (messages, whole_messages) = counted(connection, "message", "seq")?;
    let (parts, whole_parts) = counted(connection, "part", "seq")?;
    let (events, whole_events) = counted(connection, "event", "cursor")?;
    (rows.messages, rows.parts, rows.events) = (messages, parts, events);
    rows.approximate = !(whole_messages && whole_parts && whole_events);
    let archived = "FROM session WHERE instr(data, '\"archived\":') AND data ->> '$.time.archived' IS NOT NULL";
    rows.archived = number(connection, &format!("SELECT count(*) {archived}"))?;
    if whole_messages && whole_parts {
        let of_messages = format!("SELECT coalesce(sum(octet_length(data)), 0) FROM message WHERE session_id IN (SELECT id {archived})");
        let of_parts = format!(
            "SELECT coalesce(sum(octet_length(part.data)), 0) FROM message JOIN part ON part.message_id = message.id
             WHERE message.session_id IN (SELECT id {archived})"
        );
        rows.archived_bytes = Some(number(connection, &of_messages)? + number(connection, &of_parts)?);
    }
    let end = |order: &str| {
        let sql = format!("SELECT cursor, total, length(CAST(properties AS BLOB)) FROM event ORDER BY cursor {order} LIMIT 1");
        connection.query_row(&sql, [], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?))).optional()
    };
    if let (Some(oldest), Some(newest)) = (end("ASC")?, end("DESC")?) {
        rows.event_bytes = (newest.1 + oldest.2).saturating_sub(oldest.1);
        (rows.oldest_cursor, rows.newest_cursor) = (oldest.0, newest.0);
    }
    Ok(rows)
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// The rows of a table with an ascending id, and whether the count is exact.
fn counted(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<(u64, bool)> {
    let end = |function: &str| number(connection, &format!("SELECT coalesce({function}({column}), 0) FROM {table}"));
    let (first, last) = (end("min")?, end("max")?);
    let span = if last == 0 { 0 } else { last - first + 1 };
    // Events have no index to count: scanning the table itself costs ten times as much.
    let limit = if table == "event" { MAX_COUNTED_ROWS / 10 } else { MAX_COUNTED_ROWS };
    if span > limit {
        return Ok((span, false));
    }
    Ok((number(connection, &format!("SELECT count(*) FROM {table}"))?, true))
}

/// SQLite's memory use in bytes: caches, statements, schemas.
#[expect(unsafe_code, reason = "the library has no other way to ask")]
pub fn memory() -> u64 {
    // SAFETY: it takes nothing, gives a number, and may be called from any thread at any time.
    let bytes = unsafe { rusqlite::ffi::sqlite3_memory_used() };
    u64::try_from(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, sqlite::Database};

    #[tokio::test]
    async fn rows_are_counted_and_large_tables_estimated() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open_alone(&directory.path().join("store.db"), Durability::Process).unwrap();
        assert_eq!(database.counts().await.unwrap(), DiagnosisRows { archived_bytes: Some(0), ..DiagnosisRows::default() });
        database
            .execute(
                    "INSERT INTO session (id, project_id, checkout_id, path, parent_id, updated, created_with, data) VALUES ('s', 'p', 1, '', NULL, 1, '', '{}'), ('a', 'p', 1, '', NULL, 1, '', '{\"time\":{\"archived\":1}}');
                     INSERT INTO message (id, session_id, data) VALUES ('m1', 's', ''), ('m2', 'a', 'abc');
                     INSERT INTO part (id, message_id, session_id, data) VALUES ('p1', 'm2', 'a', 'def');
                     INSERT INTO event (cursor, time, type, total, properties) VALUES (7, 1, 'x', 103, 'äa'), (9, 1, 'x', 110, 'seven by');"
                .to_owned(),
            )
            .await
            .unwrap();
        let found = database.counts().await.unwrap();
        let expected = DiagnosisRows {
            sessions: 2,
            messages: 2,
            parts: 1,
            events: 2,
            archived: 1,
            archived_bytes: Some(6),
            event_bytes: 10,
            oldest_cursor: 7,
            newest_cursor: 9,
            approximate: false,
        };
        assert_eq!(found, expected);
        let far = "INSERT INTO event (cursor, time, type, total, properties) VALUES (200000, 1, 'x', 120, '')";
        database.execute(far.to_owned()).await.unwrap();
        let found = database.counts().await.unwrap();
        assert_eq!((found.events, found.approximate, found.messages), (199_994, true, 2));
        assert!(memory() > 10_000);
    }
}
