//! Messages and their parts.

mod usage;

use polytree_protocol::{
    id::{MessageId, PartId, SessionId},
    message::{Message, MessageWithParts, PromptState},
    part::{Part, ToolState},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::SqliteRows;
use crate::store::{Error, rows::Messages};

type Result<T> = std::result::Result<T, Error>;

impl SqliteRows<'_> {
    fn listed(&self, query: &str, values: impl rusqlite::Params) -> Result<Vec<MessageWithParts>> {
        let cursor = newest_cursor(self.connection)?;
        let mut statement = self.connection.prepare_cached(query)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            let info = info(self.connection, &row.get::<_, String>(1)?)?;
            found.push(MessageWithParts { info, parts: parts(self.connection, &id)?, cursor });
        }
        Ok(found)
    }
}

impl Messages for SqliteRows<'_> {
    fn message(&self, session: &SessionId, id: &MessageId) -> Result<Option<MessageWithParts>> {
        let Some(info) = self.message_info(session, id)? else { return Ok(None) };
        Ok(Some(MessageWithParts { info, parts: parts(self.connection, id.as_str())?, cursor: newest_cursor(self.connection)? }))
    }

    fn message_info(&self, session: &SessionId, id: &MessageId) -> Result<Option<Message>> {
        let data: Option<String> = self
            .connection
            .prepare_cached("SELECT data FROM message WHERE id = ?1 AND session_id = ?2")?
            .query_row([id.as_str(), session.as_str()], |row| row.get(0))
            .optional()?;
        data.map(|data| info(self.connection, &data)).transpose()
    }

    fn message_origin(&self, id: &MessageId) -> Result<Option<(String, Option<String>)>> {
        Ok(self
            .connection
            .prepare_cached("SELECT session_id, params FROM message WHERE id = ?1")?
            .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    fn messages(&self, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<Vec<MessageWithParts>> {
        let mut found = self.listed(
            "SELECT id, data FROM message WHERE session_id = ?1 AND (?2 IS NULL OR seq < (SELECT seq FROM message WHERE id = ?2)) ORDER BY seq DESC LIMIT ?3",
            params![session.as_str(), before.map(MessageId::as_str), limit.map_or(-1, i64::from)],
        )?;
        found.reverse();
        Ok(found)
    }

    fn messages_size(&self, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(sum(octet_length(data) + (SELECT coalesce(sum(octet_length(part.data)), 0) FROM part WHERE part.message_id = chosen.id)), 0)
             FROM (SELECT id, data FROM message WHERE session_id = ?1 AND (?2 IS NULL OR seq < (SELECT seq FROM message WHERE id = ?2)) ORDER BY seq DESC LIMIT ?3) AS chosen",
        )?;
        let limit = limit.map_or(-1, i64::from);
        Ok(statement.query_row(params![session.as_str(), before.map(MessageId::as_str), limit], |row| row.get(0))?)
    }

    fn messages_from(&self, session: &SessionId, first: &MessageId) -> Result<Vec<MessageWithParts>> {
        self.listed(
            "SELECT id, data FROM message WHERE session_id = ?1 AND seq >= (SELECT seq FROM message WHERE id = ?2) ORDER BY seq",
            params![session.as_str(), first.as_str()],
        )
    }

    fn last_summarised(&self, session: &SessionId) -> Result<Option<MessageId>> {
        let query = "SELECT parent_id FROM message WHERE session_id = ?1 AND parent_id IS NOT NULL
             AND data ->> '$.summary' = 1 AND data ->> '$.error' IS NULL ORDER BY seq DESC LIMIT 1";
        Ok(self.ids(query, [session.as_str()], MessageId::parse)?.pop())
    }

    fn last_answer(&self, user: &MessageId) -> Result<Option<MessageId>> {
        let query = "SELECT id FROM message WHERE parent_id = ?1 ORDER BY seq DESC LIMIT 1";
        Ok(self.ids(query, [user.as_str()], MessageId::parse)?.pop())
    }

    fn open_answers(&self, session: &SessionId) -> Result<Vec<MessageId>> {
        self.ids("SELECT id FROM message WHERE session_id = ?1 AND open ORDER BY seq", [session.as_str()], MessageId::parse)
    }

    fn has_part(&self, id: &PartId) -> Result<bool> {
        Ok(self.connection.prepare_cached("SELECT 1 FROM part WHERE id = ?1")?.exists([id.as_str()])?)
    }

    fn put_message(&mut self, message: &Message, params: Option<&str>) -> Result<()> {
        let (parent, open) = match message {
            Message::User(_) => (None, false),
            Message::Assistant(message) => (Some(message.parent_id.as_str()), message.time.completed.is_none()),
        };
        self.connection
            .prepare_cached(
                "INSERT INTO message (id, session_id, parent_id, open, params, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE SET open = excluded.open, data = excluded.data",
            )?
            .execute(params![
                message.id().as_str(),
                message.session_id().as_str(),
                parent,
                open,
                params,
                serde_json::to_string(message)?
            ])?;
        Ok(())
    }

    fn delete_message(&mut self, id: &MessageId) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM message WHERE id = ?1")?.execute([id.as_str()])?;
        Ok(())
    }

    fn put_part(&mut self, part: &Part) -> Result<()> {
        let data = serde_json::to_string(part)?;
        let id = part.id().as_str();
        if self.connection.prepare_cached("UPDATE part SET data = ?2 WHERE id = ?1")?.execute([id, &data])? == 0 {
            self.insert_part(part)?;
        } else {
            self.connection.prepare_cached("DELETE FROM part_tail WHERE part_id = ?1")?.execute([id])?;
        }
        Ok(())
    }

    fn insert_part(&mut self, part: &Part) -> Result<()> {
        self.connection.prepare_cached("INSERT INTO part (id, message_id, session_id, data) VALUES (?1, ?2, ?3, ?4)")?.execute([
            part.id().as_str(),
            part.message_id().as_str(),
            part.session_id().as_str(),
            &serde_json::to_string(part)?,
        ])?;
        Ok(())
    }

    fn delete_part(&mut self, id: &PartId) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM part WHERE id = ?1")?.execute([id.as_str()])?;
        Ok(())
    }

    fn end_part(&mut self, part: &Part) -> Result<()> {
        let data = serde_json::to_string(part)?;
        self.connection.prepare_cached("UPDATE part SET data = ?2 WHERE id = ?1")?.execute(params![part.id().as_str(), data])?;
        Ok(())
    }

    fn append_part(&mut self, id: &PartId, cursor: u64, field: &str, delta: &str) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO part_tail (part_id, cursor, field, delta) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id.as_str(), cursor, field, delta])?;
        Ok(())
    }
}

fn info(connection: &Connection, data: &str) -> Result<Message> {
    let mut message = serde_json::from_str(data)?;
    if let Message::User(user) = &mut message {
        user.state = prompt_state(connection, user.answered_with.as_ref().unwrap_or(&user.id))?;
    }
    Ok(message)
}

/// Derives the state of a prompt from the queue, the turn and the answers. The state in its row is not used.
fn prompt_state(connection: &Connection, prompt: &MessageId) -> Result<PromptState> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM queue WHERE message_id = ?1),
                EXISTS (SELECT 1 FROM turn JOIN message USING (session_id) WHERE message.id = ?1 AND turn.message_id = ?1)
                OR EXISTS (SELECT 1 FROM message WHERE parent_id = ?1 AND open),
                EXISTS (SELECT 1 FROM message WHERE parent_id = ?1)",
    )?;
    let facts = statement.query_row([prompt.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(match facts {
        (true, _, _) => PromptState::Queued,
        (_, true, _) => PromptState::Running,
        (_, _, true) => PromptState::Answered,
        _ => PromptState::Cancelled,
    })
}

fn newest_cursor(connection: &Connection) -> Result<u64> {
    Ok(connection.prepare_cached("SELECT coalesce(max(cursor), 0) FROM event")?.query_row([], |row| row.get(0))?)
}

fn parts(connection: &Connection, message: &str) -> Result<Vec<Part>> {
    let mut statement = connection.prepare_cached("SELECT id, data FROM part WHERE message_id = ?1 ORDER BY seq")?;
    let mut rows = statement.query([message])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let mut part: Part = serde_json::from_str(&row.get::<_, String>(1)?)?;
        add_tail(connection, &id, &mut part)?;
        found.push(part);
    }
    Ok(found)
}

/// Adds the deltas that were appended since the part was last written.
fn add_tail(connection: &Connection, id: &str, part: &mut Part) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT field, delta FROM part_tail WHERE part_id = ?1 ORDER BY cursor")?;
    let mut rows = statement.query([id])?;
    let mut output = String::new();
    while let Some(row) = rows.next()? {
        let delta = row.get_ref(1)?.as_str().unwrap_or_default();
        match part {
            Part::Text(part) => part.text.push_str(delta),
            Part::Reasoning(part) => part.text.push_str(delta),
            _ => output.push_str(delta),
        }
    }
    if let Part::Tool(tool) = part
        && let ToolState::Pending(pending) = &mut tool.state
    {
        pending.raw.push_str(&output);
    } else if let Part::Tool(tool) = part
        && let ToolState::Running(running) = &mut tool.state
        && !output.is_empty()
    {
        let metadata = running.metadata.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
        let before = metadata["output"].as_str().unwrap_or_default();
        metadata["output"] = Value::String(format!("{before}{output}"));
    }
    Ok(())
}
