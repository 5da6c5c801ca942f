//! What is kept for a time only.

use polytree_protocol::id::SessionId;
use rusqlite::params_from_iter;

use crate::store::{
    Error,
    rows::{Needed, RetainedSession, Retention},
    sqlite::SqliteRows,
};

type Result<T> = std::result::Result<T, Error>;

/// The session of hidden messages, which is in no list.
pub(super) const HIDDEN: &str = "";
/// The sessions that are at work or have prompts that wait.
const AT_WORK: &str = "SELECT session_id FROM turn UNION SELECT session_id FROM message WHERE open UNION SELECT session_id FROM queue";
/// The undone hunks that the model was not told of. `instr` is faster than parsing.
const UNDONE_HUNKS: &str = "FROM review WHERE told IS NULL AND instr(data, '\"undone\"')";
/// Whether a session has an undo that can be taken back.
const UNDONE: &str = "((instr(session.data, '\"revert\":') AND session.data ->> '$.revert' IS NOT NULL)
    OR session.id IN (SELECT session_id FROM review WHERE told IS NULL AND instr(data, '\"undone\"')))";

impl Retention for SqliteRows<'_> {
    fn retained(&self, only: Option<&SessionId>) -> Result<Vec<RetainedSession>> {
        let sql = format!(
            "SELECT id, parent_id, iif(instr(data, '\"archived\":'), data ->> '$.time.archived', NULL), id IN ({AT_WORK}) OR {UNDONE}
             FROM session WHERE ?1 IS NULL OR id = ?1 OR parent_id = ?1"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([only.map(SessionId::as_str)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            // Text that is no id is not of this program.
            let Ok(id) = SessionId::parse(row.get_ref(0)?.as_str().unwrap_or_default()) else { continue };
            let parent: Option<String> = row.get(1)?;
            let parent_id = parent.and_then(|parent| SessionId::parse(&parent).ok());
            found.push(RetainedSession { id, parent_id, archived: row.get(2)?, is_needed: row.get(3)? });
        }
        Ok(found)
    }

    fn needed(&self) -> Result<Needed> {
        let mut needed = Needed::default();
        let sql = format!(
            "SELECT coalesce(part.data ->> '$.hash', ''), coalesce(part.data ->> '$.state.metadata.outputPath', '')
             FROM session JOIN message ON message.session_id = session.id JOIN part ON part.message_id = message.id
             WHERE (session.id IN ({AT_WORK}) OR {UNDONE}) AND (instr(part.data, '\"hash\":') OR instr(part.data, '\"outputPath\":'))
             UNION ALL SELECT coalesce(data ->> '$.revert.snapshot', ''), '' FROM session WHERE {UNDONE}
             UNION ALL SELECT coalesce(data ->> '$.text', ''), '' {UNDONE_HUNKS}
             UNION ALL SELECT coalesce(data ->> '$.result', ''), '' {UNDONE_HUNKS}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            needed.changes.insert(row.get(0)?);
            needed.outputs.insert(row.get(1)?);
        }
        needed.changes.remove("");
        needed.outputs.remove("");
        Ok(needed)
    }

    fn remove_events(&mut self, session: &SessionId) -> Result<u64> {
        let delete = "DELETE FROM event WHERE cursor IN (SELECT cursor FROM event WHERE session_id = ?1 LIMIT 100)";
        Ok(self.connection.prepare_cached(delete)?.execute([session.as_str()])? as u64)
    }

    fn hide_session(&mut self, id: &SessionId) -> Result<()> {
        let run = |sql: &str, values: &[&str]| Ok::<_, Error>(self.connection.prepare_cached(sql)?.execute(params_from_iter(values))?);
        run(
            "INSERT OR IGNORE INTO session (id, project_id, checkout_id, path, updated, created_with, data) VALUES (?1, '', 0, '', 0, '', '{}')",
            &[HIDDEN],
        )?;
        run("UPDATE message SET session_id = ?2 WHERE session_id = ?1", &[id.as_str(), HIDDEN])?;
        run("DELETE FROM session WHERE id = ?1", &[id.as_str()])?;
        run("INSERT INTO session_deleted (id) VALUES (?1)", &[id.as_str()])?;
        Ok(())
    }

    fn purge(&mut self) -> Result<bool> {
        let delete = "DELETE FROM message WHERE seq IN (SELECT seq FROM message WHERE session_id = ?1 ORDER BY seq LIMIT 10)";
        if self.connection.prepare_cached(delete)?.execute([HIDDEN])? > 0 {
            return Ok(true);
        }
        self.connection.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([HIDDEN])?;
        Ok(false)
    }

    fn space(&self) -> Result<(u64, u64)> {
        let number = |pragma: &str| self.connection.pragma_query_value::<u64, _>(None, pragma, |row| row.get(0));
        let page = number("page_size")?;
        Ok((number("freelist_count")? * page, number("page_count")? * page))
    }

    fn free_pages(&mut self, most: u32) -> Result<()> {
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({most})"))?;
        // It frees a page for each row that is asked for.
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }
}
