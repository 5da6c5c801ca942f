//! What the user decided about the changes of a session.

use polytree_protocol::{
    id::{MessageId, SessionId},
    part::{Part, PatchPart},
};

use super::SqliteRows;
use crate::store::{
    Error,
    rows::{Review, Reviews},
};

type Result<T> = std::result::Result<T, Error>;

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
}
