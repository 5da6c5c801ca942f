//! Sessions, messages and parts in the store. Every function works in the caller's transaction; none sends an event.

use polytree_protocol::{
    id::{MessageId, PartId, ProjectId, SessionId},
    message::{Message, MessageWithParts, PromptState},
    part::{Part, ToolState},
    sandbox::Mode,
    session::{Session, SessionScope},
    todo::Todo,
};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use serde_json::Value;

use crate::storage::Error;

/// Where a session works, in a way that survives a move of the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The checkout, a row of the project registry.
    pub checkout_id: i64,
    /// The path inside it, with `/`; empty for its top.
    pub path: String,
}

const SESSION: &str = "SELECT session.data, project_checkout.path, session.path FROM session LEFT JOIN project_checkout ON project_checkout.id = session.checkout_id";

fn session(row: &Row<'_>) -> Result<Session, Error> {
    let mut session: Session = serde_json::from_str(&row.get::<_, String>(0)?)?;
    if let Some(worktree) = row.get::<_, Option<String>>(1)? {
        let path: String = row.get(2)?;
        session.directory = if path.is_empty() { worktree } else { format!("{}/{path}", worktree.trim_end_matches('/')) };
    }
    session.missing = !std::path::Path::new(&session.directory).is_dir();
    Ok(session)
}

/// Stores a new session; `created_with` is the digest of the params that made it.
pub fn insert_session(connection: &Connection, session: &Session, place: &Place, created_with: &str) -> Result<(), Error> {
    connection.prepare_cached("INSERT INTO session (id, project_id, checkout_id, path, parent_id, updated, created_with, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(params![
        session.id.as_str(),
        session.project_id.as_str(),
        place.checkout_id,
        place.path,
        session.parent_id.as_ref().map(SessionId::as_str),
        session.time.updated,
        created_with,
        serde_json::to_string(session)?
    ])?;
    Ok(())
}

/// The digest of the params that made a session; `Some(None)` for one that was deleted.
pub fn created_with(connection: &Connection, id: &SessionId) -> Result<Option<Option<String>>, Error> {
    let kept = connection
        .prepare_cached("SELECT created_with FROM session WHERE id = ?1")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    if kept.is_some() {
        return Ok(Some(kept));
    }
    Ok(connection.prepare_cached("SELECT 1 FROM session_deleted WHERE id = ?1")?.exists([id.as_str()])?.then_some(None))
}

/// Reads a session.
pub fn get_session(connection: &Connection, id: &SessionId) -> Result<Option<Session>, Error> {
    let mut statement = connection.prepare_cached(&format!("{SESSION} WHERE session.id = ?1"))?;
    let mut rows = statement.query([id.as_str()])?;
    rows.next()?.map(session).transpose()
}

/// The mode of the session at the root of this one's family, if it was given one.
pub fn root_mode(connection: &Connection, id: &SessionId) -> Result<Option<Mode>, Error> {
    let mut current = id.clone();
    while let Some(session) = get_session(connection, &current)? {
        match session.parent_id {
            Some(parent) => current = parent,
            None => return Ok(session.mode),
        }
    }
    Ok(None)
}

/// The linked worktrees that these sessions are in, as rows of the project registry: git may have moved them.
pub fn linked_checkouts<'a>(connection: &Connection, ids: impl Iterator<Item = &'a SessionId>) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT project_checkout.id FROM session JOIN project_checkout ON project_checkout.id = session.checkout_id
         WHERE session.id = ?1 AND project_checkout.key LIKE 'linked:%'",
    )?;
    let mut found = std::collections::BTreeSet::new();
    for id in ids {
        found.extend(statement.query_row([id.as_str()], |row| row.get::<_, i64>(0)).optional()?);
    }
    Ok(found.into_iter().collect())
}

/// Changes a session in place; `None` when it is gone.
pub fn update_session(connection: &Connection, id: &SessionId, change: impl FnOnce(&mut Session)) -> Result<Option<Session>, Error> {
    let Some(mut session) = get_session(connection, id)? else { return Ok(None) };
    change(&mut session);
    connection.prepare_cached("UPDATE session SET updated = ?2, data = ?3 WHERE id = ?1")?.execute(params![
        id.as_str(),
        session.time.updated,
        serde_json::to_string(&session)?
    ])?;
    Ok(Some(session))
}

/// Which sessions a list holds.
#[derive(Debug, Clone)]
pub struct SessionQuery {
    /// Of which project; needed for the scopes `directory` and `project`.
    pub project_id: Option<ProjectId>,
    /// Of exactly which directory, for the scope `directory`.
    pub directory: Option<String>,
    /// The scope.
    pub scope: SessionScope,
    /// Only titles that contain this, upper or lower case.
    pub search: Option<String>,
    /// How many at most.
    pub limit: usize,
    /// Only those after this one in the order of the list.
    pub before: Option<SessionId>,
}

/// Lists sessions, the most recently updated first.
pub fn list_sessions(connection: &Connection, query: &SessionQuery) -> Result<Vec<Session>, Error> {
    let mut sql = format!("{SESSION} WHERE 1");
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
    sql.push_str(" ORDER BY session.updated DESC, session.id DESC");
    let search = query.search.as_ref().map(|search| search.to_lowercase());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values.iter()))?;
    let mut found = Vec::new();
    while found.len() < query.limit
        && let Some(row) = rows.next()?
    {
        let session = session(row)?;
        if query.scope == SessionScope::Directory && query.directory.as_ref() != Some(&session.directory) {
            continue;
        }
        if search.as_ref().is_none_or(|search| session.title.to_lowercase().contains(search)) {
            found.push(session);
        }
    }
    Ok(found)
}

/// The direct children of a session, oldest first.
pub fn children(connection: &Connection, id: &SessionId) -> Result<Vec<Session>, Error> {
    let mut statement = connection.prepare_cached(&format!("{SESSION} WHERE session.parent_id = ?1 ORDER BY session.id"))?;
    let mut rows = statement.query([id.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(session(row)?);
    }
    found.sort_by_key(|session| session.time.created);
    Ok(found)
}

/// A session and all its descendants, parents before their children.
pub fn family(connection: &Connection, id: &SessionId) -> Result<Vec<SessionId>, Error> {
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE family (id, depth) AS (SELECT ?1, 0 UNION ALL SELECT session.id, depth + 1 FROM session JOIN family ON session.parent_id = family.id)
         SELECT id FROM family ORDER BY depth",
    )?;
    let ids: Vec<String> = statement.query_map([id.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(ids.iter().filter_map(|id| SessionId::parse(id).ok()).collect())
}

/// Deletes a session with its messages and events; the id stays taken.
pub fn delete_session(connection: &Connection, id: &SessionId) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([id.as_str()])?;
    connection.prepare_cached("DELETE FROM event WHERE session_id = ?1")?.execute([id.as_str()])?;
    connection.prepare_cached("INSERT INTO session_deleted (id) VALUES (?1)")?.execute([id.as_str()])?;
    Ok(())
}

/// Stores a message, new or changed. `params` is the digest of the prompt that made a user message.
pub fn put_message(connection: &Connection, message: &Message, params: Option<&str>) -> Result<(), Error> {
    let (parent, open) = match message {
        Message::User(_) => (None, false),
        Message::Assistant(message) => (Some(message.parent_id.as_str()), message.time.completed.is_none()),
    };
    connection
        .prepare_cached(
            "INSERT INTO message (id, session_id, parent_id, open, params, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET open = excluded.open, data = excluded.data",
        )?
        .execute(params![message.id().as_str(), message.session_id().as_str(), parent, open, params, serde_json::to_string(message)?])?;
    Ok(())
}

/// The session of a message and the digest of the prompt that made it.
pub fn message_origin(connection: &Connection, id: &MessageId) -> Result<Option<(String, Option<String>)>, Error> {
    Ok(connection
        .prepare_cached("SELECT session_id, params FROM message WHERE id = ?1")?
        .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// The last assistant message that answers a user message.
pub fn last_answer(connection: &Connection, user: &MessageId) -> Result<Option<MessageId>, Error> {
    let id: Option<String> = connection
        .prepare_cached("SELECT id FROM message WHERE parent_id = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([user.as_str()], |row| row.get(0))
        .optional()?;
    Ok(id.and_then(|id| MessageId::parse(&id).ok()))
}

/// Stores a part, new or changed, whole.
pub fn put_part(connection: &Connection, part: &Part) -> Result<(), Error> {
    let changed = connection
        .prepare_cached("UPDATE part SET data = ?2 WHERE id = ?1")?
        .execute(params![part.id().as_str(), serde_json::to_string(part)?])?;
    if changed == 0 {
        connection.prepare_cached("INSERT INTO part (id, message_id, session_id, data) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            part.id().as_str(),
            part.message_id().as_str(),
            part.session_id().as_str(),
            serde_json::to_string(part)?
        ])?;
    } else {
        connection.prepare_cached("DELETE FROM part_tail WHERE part_id = ?1")?.execute([part.id().as_str()])?;
    }
    Ok(())
}

/// Writes a part whose text stays as it was appended.
pub fn end_part(connection: &Connection, part: &Part) -> Result<(), Error> {
    let data = serde_json::to_string(part)?;
    connection.prepare_cached("UPDATE part SET data = ?2 WHERE id = ?1")?.execute(params![part.id().as_str(), data])?;
    Ok(())
}

/// Whether there is a part of this id, in any session.
pub fn has_part(connection: &Connection, id: &PartId) -> Result<bool, Error> {
    Ok(connection.prepare_cached("SELECT 1 FROM part WHERE id = ?1")?.exists([id.as_str()])?)
}

/// Appends to a field of a part without writing it whole.
pub fn append_part(connection: &Connection, id: &PartId, cursor: u64, field: &str, delta: &str) -> Result<(), Error> {
    connection.prepare_cached("INSERT INTO part_tail (part_id, cursor, field, delta) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        id.as_str(),
        cursor,
        field,
        delta
    ])?;
    Ok(())
}

/// Reads one message with its parts.
pub fn get_message(connection: &Connection, session: &SessionId, id: &MessageId) -> Result<Option<MessageWithParts>, Error> {
    let Some(info) = get_info(connection, session, id)? else { return Ok(None) };
    Ok(Some(MessageWithParts { info, parts: parts(connection, id.as_str())?, cursor: newest_cursor(connection)? }))
}

/// Reads one message without its parts.
pub fn get_info(connection: &Connection, session: &SessionId, id: &MessageId) -> Result<Option<Message>, Error> {
    let data: Option<String> = connection
        .prepare_cached("SELECT data FROM message WHERE id = ?1 AND session_id = ?2")?
        .query_row([id.as_str(), session.as_str()], |row| row.get(0))
        .optional()?;
    data.map(|data| info(connection, &data)).transpose()
}

fn info(connection: &Connection, data: &str) -> Result<Message, Error> {
    let mut message = serde_json::from_str(data)?;
    if let Message::User(user) = &mut message {
        user.state = prompt_state(connection, &user.id)?;
    }
    Ok(message)
}

/// The state of a prompt follows from the queue, the turn and the answers. What its row says about it is not used.
fn prompt_state(connection: &Connection, prompt: &MessageId) -> Result<PromptState, Error> {
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

/// Reads the last `limit` messages of a session before `before`, oldest first.
pub fn list_messages(
    connection: &Connection,
    session: &SessionId,
    limit: Option<u32>,
    before: Option<&MessageId>,
) -> Result<Vec<MessageWithParts>, Error> {
    let cursor = newest_cursor(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT id, data FROM message WHERE session_id = ?1 AND (?2 IS NULL OR seq < (SELECT seq FROM message WHERE id = ?2)) ORDER BY seq DESC LIMIT ?3",
    )?;
    let limit = limit.map_or(-1, i64::from);
    let mut rows = statement.query(params![session.as_str(), before.map(MessageId::as_str), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        found.push(MessageWithParts { info: info(connection, &row.get::<_, String>(1)?)?, parts: parts(connection, &id)?, cursor });
    }
    found.reverse();
    Ok(found)
}

/// How many bytes those messages take in the store, without reading them.
pub fn messages_size(connection: &Connection, session: &SessionId, limit: Option<u32>, before: Option<&MessageId>) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(octet_length(data) + (SELECT coalesce(sum(octet_length(part.data)), 0) FROM part WHERE part.message_id = chosen.id)), 0)
         FROM (SELECT id, data FROM message WHERE session_id = ?1 AND (?2 IS NULL OR seq < (SELECT seq FROM message WHERE id = ?2)) ORDER BY seq DESC LIMIT ?3) AS chosen",
    )?;
    let limit = limit.map_or(-1, i64::from);
    Ok(statement.query_row(params![session.as_str(), before.map(MessageId::as_str), limit], |row| row.get(0))?)
}

fn newest_cursor(connection: &Connection) -> Result<u64, Error> {
    Ok(connection.prepare_cached("SELECT coalesce(max(cursor), 0) FROM event")?.query_row([], |row| row.get(0))?)
}

fn parts(connection: &Connection, message: &str) -> Result<Vec<Part>, Error> {
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

/// Adds what was appended since the part was last written whole.
fn add_tail(connection: &Connection, id: &str, part: &mut Part) -> Result<(), Error> {
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
        && let ToolState::Running(running) = &mut tool.state
        && !output.is_empty()
    {
        let metadata = running.metadata.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
        let before = metadata["output"].as_str().unwrap_or_default();
        metadata["output"] = Value::String(format!("{before}{output}"));
    }
    Ok(())
}

/// Puts a prompt at the end of the queue.
pub fn enqueue(connection: &Connection, session: &SessionId, message: &MessageId) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT INTO queue (session_id, message_id) VALUES (?1, ?2)")?
        .execute([session.as_str(), message.as_str()])?;
    Ok(())
}

/// Takes a prompt out of the queue.
pub fn dequeue(connection: &Connection, message: &MessageId) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM queue WHERE message_id = ?1")?.execute([message.as_str()])?;
    Ok(())
}

/// The prompts that wait, in order.
pub fn queue(connection: &Connection, session: &SessionId) -> Result<Vec<MessageId>, Error> {
    let mut statement = connection.prepare_cached("SELECT message_id FROM queue WHERE session_id = ?1 ORDER BY seq")?;
    let ids: Vec<String> = statement.query_map([session.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(ids.iter().filter_map(|id| MessageId::parse(id).ok()).collect())
}

/// Puts a prompt before all that wait.
pub fn enqueue_first(connection: &Connection, session: &SessionId, message: &MessageId) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT INTO queue (seq, session_id, message_id) VALUES ((SELECT coalesce(min(seq), 1) - 1 FROM queue), ?1, ?2)")?
        .execute([session.as_str(), message.as_str()])?;
    Ok(())
}

/// Notes which prompt the session answers now.
pub fn set_turn(connection: &Connection, session: &SessionId, message: &MessageId) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT INTO turn (session_id, message_id) VALUES (?1, ?2) ON CONFLICT (session_id) DO UPDATE SET message_id = excluded.message_id")?
        .execute([session.as_str(), message.as_str()])?;
    Ok(())
}

/// Notes that the session answers no prompt now.
pub fn clear_turn(connection: &Connection, session: &SessionId) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM turn WHERE session_id = ?1")?.execute([session.as_str()])?;
    Ok(())
}

/// The prompt that the session answers, by what was noted.
pub fn turn(connection: &Connection, session: &SessionId) -> Result<Option<MessageId>, Error> {
    let id: Option<String> = connection
        .prepare_cached("SELECT message_id FROM turn WHERE session_id = ?1")?
        .query_row([session.as_str()], |row| row.get(0))
        .optional()?;
    Ok(id.and_then(|id| MessageId::parse(&id).ok()))
}

/// The answers of a session that have not ended, oldest first.
pub fn open_answers(connection: &Connection, session: &SessionId) -> Result<Vec<MessageId>, Error> {
    let mut statement = connection.prepare_cached("SELECT id FROM message WHERE session_id = ?1 AND open ORDER BY seq")?;
    let ids: Vec<String> = statement.query_map([session.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(ids.iter().filter_map(|id| MessageId::parse(id).ok()).collect())
}

/// Every session in a turn, or with an answer that has not ended.
pub fn sessions_in_a_turn(connection: &Connection) -> Result<Vec<SessionId>, Error> {
    sessions(connection, "SELECT session_id FROM turn UNION SELECT session_id FROM message WHERE open")
}

/// Every session in which prompts wait.
pub fn sessions_with_a_queue(connection: &Connection) -> Result<Vec<SessionId>, Error> {
    sessions(connection, "SELECT DISTINCT session_id FROM queue")
}

fn sessions(connection: &Connection, query: &str) -> Result<Vec<SessionId>, Error> {
    let mut statement = connection.prepare_cached(query)?;
    let ids: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(ids.iter().filter_map(|id| SessionId::parse(id).ok()).collect())
}

/// The task list.
pub fn todos(connection: &Connection, session: &SessionId) -> Result<Vec<Todo>, Error> {
    let data: Option<String> = connection
        .prepare_cached("SELECT data FROM todo WHERE session_id = ?1")?
        .query_row([session.as_str()], |row| row.get(0))
        .optional()?;
    Ok(data.map(|data| serde_json::from_str(&data)).transpose()?.unwrap_or_default())
}

/// Replaces the task list.
pub fn set_todos(connection: &Connection, session: &SessionId, todos: &[Todo]) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT INTO todo (session_id, data) VALUES (?1, ?2) ON CONFLICT (session_id) DO UPDATE SET data = excluded.data")?
        .execute(params![session.as_str(), serde_json::to_string(todos)?])?;
    Ok(())
}
