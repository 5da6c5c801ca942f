//! Sessions, their prompt queues, task lists, and what users decided about their changes.

mod retention;

use polytree_protocol::{
    id::{MessageId, ProjectId, SessionId},
    part::{Part, PatchPart},
    session::{Session, SessionScope},
    todo::Todo,
};
use rusqlite::{OptionalExtension as _, Row, ToSql, params};

use super::SqliteRows;
use crate::store::{
    Error,
    rows::{Place, Prompts, Review, Reviews, SessionQuery, Sessions, Todos},
};

type Result<T> = std::result::Result<T, Error>;

const SESSION: &str = "SELECT session.data, project_checkout.path, session.path FROM session LEFT JOIN project_checkout ON project_checkout.id = session.checkout_id";

fn from_row(row: &Row<'_>) -> Result<Session> {
    let mut session: Session = serde_json::from_str(&row.get::<_, String>(0)?)?;
    if let Some(worktree) = row.get::<_, Option<String>>(1)? {
        let path: String = row.get(2)?;
        session.directory = if path.is_empty() { worktree } else { format!("{}/{path}", worktree.trim_end_matches('/')) };
    }
    session.missing = false;
    Ok(session)
}

/// So much text is searched for one list.
const MAX_SCANNED_BYTES: usize = 256 * 1024 * 1024;

impl SqliteRows<'_> {
    /// Whether a text of the session's conversation contains this, which is in lower case.
    fn says(&self, session: &SessionId, text: &str, scanned: &mut usize) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "SELECT part.data FROM message JOIN part ON part.message_id = message.id
             WHERE message.session_id = ?1 AND json_extract(part.data, '$.type') = 'text' ORDER BY message.seq DESC",
        )?;
        let mut rows = statement.query([session.as_str()])?;
        while let Some(row) = rows.next()? {
            let data = row.get_ref(0)?.as_str().unwrap_or_default();
            *scanned += data.len();
            if *scanned > MAX_SCANNED_BYTES {
                return Err(Error::TooMuch { limit: MAX_SCANNED_BYTES as u64 });
            }
            if let Ok(Part::Text(part)) = serde_json::from_str(data)
                && part.text.to_lowercase().contains(text)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Sessions for SqliteRows<'_> {
    fn session(&self, id: &SessionId) -> Result<Option<Session>> {
        let mut statement = self.connection.prepare_cached(&format!("{SESSION} WHERE session.id = ?1"))?;
        let mut rows = statement.query([id.as_str()])?;
        rows.next()?.map(from_row).transpose()
    }

    fn place(&self, id: &SessionId) -> Result<Option<Place>> {
        let mut statement = self.connection.prepare_cached("SELECT checkout_id, path FROM session WHERE id = ?1")?;
        let place = statement.query_row([id.as_str()], |row| Ok(Place { checkout_id: row.get(0)?, path: row.get(1)? }));
        Ok(place.optional()?)
    }

    fn created_with(&self, id: &SessionId) -> Result<Option<Option<String>>> {
        let kept = self
            .connection
            .prepare_cached("SELECT created_with FROM session WHERE id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        if kept.is_some() {
            return Ok(Some(kept));
        }
        Ok(self.connection.prepare_cached("SELECT 1 FROM session_deleted WHERE id = ?1")?.exists([id.as_str()])?.then_some(None))
    }

    fn linked_checkouts(&self, ids: &[SessionId]) -> Result<Vec<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT project_checkout.id FROM session JOIN project_checkout ON project_checkout.id = session.checkout_id
             WHERE session.id = ?1 AND project_checkout.key LIKE 'linked:%'",
        )?;
        let mut found = std::collections::BTreeSet::new();
        for id in ids {
            found.extend(statement.query_row([id.as_str()], |row| row.get::<_, i64>(0)).optional()?);
        }
        Ok(found.into_iter().collect())
    }

    fn sessions(&self, query: &SessionQuery) -> Result<Vec<Session>> {
        let mut sql = format!("{SESSION} WHERE session.id <> '{}'", retention::HIDDEN);
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if query.scope != SessionScope::All {
            values.push(Box::new(query.project_id.as_ref().map(ProjectId::to_string)));
            sql.push_str(" AND session.project_id = ?1");
        }
        if let Some(before) = &query.before {
            values.push(Box::new(before.to_string()));
            let number = values.len();
            sql.push_str(&format!(" AND (session.updated, session.id) < (SELECT updated, id FROM session WHERE id = ?{number})"));
        }
        if query.roots {
            sql.push_str(" AND session.parent_id IS NULL");
        }
        if !query.hidden {
            sql.push_str(" AND NOT session.hidden");
        }
        sql.push_str(" ORDER BY session.updated DESC, session.id DESC");
        let search = query.search.as_ref().map(|search| search.to_lowercase());
        let text = query.text.as_ref().map(|text| text.to_lowercase());
        let mut scanned = 0;
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values.iter()))?;
        let mut found = Vec::new();
        while found.len() < query.limit
            && let Some(row) = rows.next()?
        {
            let session = from_row(row)?;
            if query.scope == SessionScope::Directory && query.directory.as_ref() != Some(&session.directory) {
                continue;
            }
            if query.archived.is_some_and(|archived| archived != session.time.archived.is_some())
                || search.as_ref().is_some_and(|search| !session.title.to_lowercase().contains(search))
            {
                continue;
            }
            if let Some(text) = &text
                && !self.says(&session.id, text, &mut scanned)?
            {
                continue;
            }
            found.push(session);
        }
        Ok(found)
    }

    fn children(&self, id: &SessionId) -> Result<Vec<Session>> {
        let mut statement = self.connection.prepare_cached(&format!("{SESSION} WHERE session.parent_id = ?1 ORDER BY session.id"))?;
        let mut rows = statement.query([id.as_str()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(from_row(row)?);
        }
        found.sort_by_key(|session| session.time.created);
        Ok(found)
    }

    fn family(&self, id: &SessionId) -> Result<Vec<SessionId>> {
        self.ids(
            "WITH RECURSIVE family (id, depth) AS (SELECT ?1, 0 UNION ALL SELECT session.id, depth + 1 FROM session JOIN family ON session.parent_id = family.id)
             SELECT id FROM family ORDER BY depth",
            [id.as_str()],
            SessionId::parse,
        )
    }

    fn insert_session(&mut self, session: &Session, place: &Place, created_with: &str) -> Result<()> {
        self.connection.prepare_cached("INSERT INTO session (id, project_id, checkout_id, path, parent_id, updated, created_with, data, hidden) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute(params![
            session.id.as_str(),
            session.project_id.as_str(),
            place.checkout_id,
            place.path,
            session.parent_id.as_ref().map(SessionId::as_str),
            session.time.updated,
            created_with,
            serde_json::to_string(session)?,
            session.hidden
        ])?;
        Ok(())
    }

    fn put_session(&mut self, session: &Session) -> Result<()> {
        self.connection.prepare_cached("UPDATE session SET updated = ?2, data = ?3 WHERE id = ?1")?.execute(params![
            session.id.as_str(),
            session.time.updated,
            serde_json::to_string(session)?
        ])?;
        Ok(())
    }

    fn delete_session(&mut self, id: &SessionId) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([id.as_str()])?;
        self.connection.prepare_cached("DELETE FROM event WHERE session_id = ?1")?.execute([id.as_str()])?;
        self.connection.prepare_cached("INSERT INTO session_deleted (id) VALUES (?1)")?.execute([id.as_str()])?;
        Ok(())
    }
}

impl Prompts for SqliteRows<'_> {
    fn queue(&self, session: &SessionId) -> Result<Vec<MessageId>> {
        self.ids("SELECT message_id FROM queue WHERE session_id = ?1 ORDER BY seq", [session.as_str()], MessageId::parse)
    }

    fn turn(&self, session: &SessionId) -> Result<Option<MessageId>> {
        Ok(self.ids("SELECT message_id FROM turn WHERE session_id = ?1", [session.as_str()], MessageId::parse)?.pop())
    }

    fn sessions_in_a_turn(&self) -> Result<Vec<SessionId>> {
        self.ids("SELECT session_id FROM turn UNION SELECT session_id FROM message WHERE open", [], SessionId::parse)
    }

    fn sessions_with_a_queue(&self) -> Result<Vec<SessionId>> {
        self.ids("SELECT DISTINCT session_id FROM queue", [], SessionId::parse)
    }

    fn enqueue(&mut self, session: &SessionId, message: &MessageId) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO queue (session_id, message_id) VALUES (?1, ?2)")?
            .execute([session.as_str(), message.as_str()])?;
        Ok(())
    }

    fn enqueue_first(&mut self, session: &SessionId, message: &MessageId) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO queue (seq, session_id, message_id) VALUES ((SELECT coalesce(min(seq), 1) - 1 FROM queue), ?1, ?2)",
            )?
            .execute([session.as_str(), message.as_str()])?;
        Ok(())
    }

    fn dequeue(&mut self, message: &MessageId) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM queue WHERE message_id = ?1")?.execute([message.as_str()])?;
        Ok(())
    }

    fn set_turn(&mut self, session: &SessionId, message: &MessageId) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO turn (session_id, message_id) VALUES (?1, ?2) ON CONFLICT (session_id) DO UPDATE SET message_id = excluded.message_id")?
            .execute([session.as_str(), message.as_str()])?;
        Ok(())
    }

    fn clear_turn(&mut self, session: &SessionId) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM turn WHERE session_id = ?1")?.execute([session.as_str()])?;
        Ok(())
    }
}

impl Todos for SqliteRows<'_> {
    fn todos(&self, session: &SessionId) -> Result<Vec<Todo>> {
        let data: Option<String> = self
            .connection
            .prepare_cached("SELECT data FROM todo WHERE session_id = ?1")?
            .query_row([session.as_str()], |row| row.get(0))
            .optional()?;
        Ok(data.map(|data| serde_json::from_str(&data)).transpose()?.unwrap_or_default())
    }

    fn set_todos(&mut self, session: &SessionId, todos: &[Todo]) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO todo (session_id, data) VALUES (?1, ?2) ON CONFLICT (session_id) DO UPDATE SET data = excluded.data",
            )?
            .execute(params![session.as_str(), serde_json::to_string(todos)?])?;
        Ok(())
    }
}

impl Reviews for SqliteRows<'_> {
    fn patches(&self, session: &SessionId) -> Result<Vec<PatchPart>> {
        // The condition is that of the index.
        let query = r#"SELECT data FROM part WHERE session_id = ?1 AND substr(data, 1, 15) = '{"type":"patch"' ORDER BY seq"#;
        let mut statement = self.connection.prepare_cached(query)?;
        let mut rows = statement.query([session.as_str()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if let Part::Patch(patch) = serde_json::from_str(row.get_ref(0)?.as_str().unwrap_or_default())? {
                found.push(patch);
            }
        }
        Ok(found)
    }

    fn reviews(&self, session: &SessionId) -> Result<Vec<Review>> {
        let mut statement = self.connection.prepare_cached("SELECT told, data FROM review WHERE session_id = ?1 ORDER BY seq")?;
        let rows = statement.query_map([session.as_str()], |row| Ok((row.get::<_, Option<String>>(0)?, row.get(1)?)))?;
        let review = |(told, data): (Option<String>, String)| Review { told: told.and_then(|told| MessageId::parse(&told).ok()), data };
        Ok(rows.map(|row| row.map(review)).collect::<rusqlite::Result<_>>()?)
    }

    fn insert_review(&mut self, session: &SessionId, data: &str) -> Result<()> {
        self.connection.prepare_cached("INSERT INTO review (session_id, data) VALUES (?1, ?2)")?.execute([session.as_str(), data])?;
        Ok(())
    }

    fn tell_reviews(&mut self, session: &SessionId, prompt: &MessageId) -> Result<()> {
        let query = "UPDATE review SET told = ?2 WHERE session_id = ?1 AND told IS NULL";
        self.connection.prepare_cached(query)?.execute([session.as_str(), prompt.as_str()])?;
        Ok(())
    }

    fn untell_reviews(&mut self, session: &SessionId, prompt: &MessageId) -> Result<()> {
        let query = "UPDATE review SET told = NULL WHERE session_id = ?1 AND told = ?2";
        self.connection.prepare_cached(query)?.execute([session.as_str(), prompt.as_str()])?;
        Ok(())
    }
}
