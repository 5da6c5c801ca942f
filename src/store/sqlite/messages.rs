//! Messages and their parts.

mod conversation;
mod usage;

use polytree_protocol::{
    id::{MessageId, PartId, SessionId},
    message::{Message, MessageWithParts, PromptState},
    part::{Part, ToolPart, ToolState},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::SqliteRows;
use crate::store::{Error, rows::Messages};

type Result<T> = std::result::Result<T, Error>;

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
        let before = conversation::number(self.connection, before.map(MessageId::as_str))?;
        let from = conversation::first_of_last(self.connection, session, limit, before)?;
        conversation::range(self.connection, session, from, before)
    }

    fn messages_size(&self, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<u64> {
        let before = conversation::number(self.connection, before.map(MessageId::as_str))?;
        let from = conversation::first_of_last(self.connection, session, limit, before)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(sum(octet_length(data) + (SELECT coalesce(sum(octet_length(part.data)), 0) FROM part WHERE part.message_id = message.id)), 0)
             FROM message WHERE session_id = ?1 AND seq >= ?2 AND seq < ?3",
        )?;
        Ok(statement.query_row(params![session.as_str(), from, before], |row| row.get(0))?)
    }

    fn conversation(&self, session: &SessionId) -> Result<Vec<MessageWithParts>> {
        let summary: Option<(i64, String, String)> = self
            .connection
            .prepare_cached(
                "SELECT seq, id, parent_id FROM message WHERE session_id = ?1 AND parent_id IS NOT NULL AND NOT open AND instr(data, '\"summary\":true')
                 AND data ->> '$.summary' = 1 AND data ->> '$.error' IS NULL ORDER BY seq DESC LIMIT 1",
            )?
            .query_row([session.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((summary, id, prompt)) = summary else {
            return conversation::of_model(self.connection, session, "true", [session.as_str()]);
        };
        let tail: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT message.seq FROM part JOIN message ON message.id = part.data ->> '$.tailStartID'
                 WHERE part.message_id IN (?1, ?2) AND part.data ->> '$.type' = 'compaction' LIMIT 1",
            )?
            .query_row([&id, &prompt], |row| row.get(0))
            .optional()?;
        // A prompt that is older than the summary may have been taken up after it, also together with another one.
        let filter = "message.seq >= ?2 OR message.id = ?3
                 OR iif(instr(message.data, '\"answeredWith\":'), message.data ->> '$.answeredWith', message.id) IN (
                     SELECT parent_id FROM message WHERE session_id = ?1 AND seq > ?4
                     UNION SELECT message_id FROM queue WHERE session_id = ?1
                     UNION SELECT message_id FROM turn WHERE session_id = ?1)";
        conversation::of_model(self.connection, session, filter, params![session.as_str(), tail.unwrap_or(summary), prompt, summary])
    }

    fn last_answer(&self, user: &MessageId) -> Result<Option<MessageId>> {
        let query = "SELECT id FROM message WHERE parent_id = ?1 AND data ->> '$.summary' IS NULL ORDER BY seq DESC LIMIT 1";
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
    let mut message = Message::from_json(data)?;
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
        let mut part = Part::from_json(&row.get::<_, String>(1)?)?;
        add_tail(connection, &id, &mut part)?;
        found.push(part);
    }
    Ok(found)
}

/// Adds the deltas that were appended since the part was last written.
fn add_tail(connection: &Connection, id: &str, part: &mut Part) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT delta FROM part_tail WHERE part_id = ?1 ORDER BY cursor")?;
    let mut rows = statement.query([id])?;
    let mut tail = Tail::default();
    while let Some(row) = rows.next()? {
        tail.push(row.get_ref(0)?.as_str().unwrap_or_default());
    }
    tail.end(part);
    Ok(())
}

/// What was appended to a part since it was last written.
#[derive(Default)]
struct Tail(String);

impl Tail {
    fn push(&mut self, delta: &str) {
        self.0.push_str(delta);
    }

    /// Adds it to the part, and is empty then.
    fn end(&mut self, part: &mut Part) {
        if self.0.is_empty() {
            return;
        }
        let tail = std::mem::take(&mut self.0);
        match part {
            Part::Text(part) => part.text.push_str(&tail),
            Part::Reasoning(part) => part.text.push_str(&tail),
            Part::Tool(ToolPart { state: ToolState::Pending(pending), .. }) => pending.raw.push_str(&tail),
            Part::Tool(ToolPart { state: ToolState::Running(running), .. }) => {
                let metadata = running.metadata.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
                let before = metadata["output"].as_str().unwrap_or_default();
                metadata["output"] = Value::String(format!("{before}{tail}"));
            }
            _ => {}
        }
    }
}
