//! Reads a range of a conversation, with parts and appended text, in one pass over the tables.

use std::collections::HashSet;

use polytree_protocol::{
    id::SessionId,
    message::{Message, MessageWithParts, PromptState},
    part::Part,
};
use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::{Tail, newest_cursor, prompt_state};
use crate::store::Error;

type Result<T> = std::result::Result<T, Error>;

/// The messages whose numbers are in the range, oldest first.
pub(super) fn range(connection: &Connection, session: &SessionId, from: i64, before: i64) -> Result<Vec<MessageWithParts>> {
    filtered(connection, session, "", "message.seq >= ?2 AND message.seq < ?3", params![session.as_str(), from, before])
}

/// The messages that the filter lets through, oldest first, without the parts that only say when a step began and ended: no
/// model reads them. The first of the values is the session's id.
pub(super) fn of_model(connection: &Connection, session: &SessionId, filter: &str, values: impl Params) -> Result<Vec<MessageWithParts>> {
    filtered(connection, session, r#"AND substr(part.data, 1, 14) <> '{"type":"step-'"#, filter, values)
}

fn filtered(connection: &Connection, session: &SessionId, parts: &str, filter: &str, values: impl Params) -> Result<Vec<MessageWithParts>> {
    let cursor = newest_cursor(connection)?;
    // The order of the columns is the order of the nested loops, so nothing is sorted.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT message.seq, message.data, part.seq, part.data, part_tail.delta
         FROM message LEFT JOIN part ON part.message_id = message.id {parts} LEFT JOIN part_tail ON part_tail.part_id = part.id
         WHERE message.session_id = ?1 AND ({filter}) ORDER BY message.seq, part.seq, part_tail.cursor"
    ))?;
    let mut rows = statement.query(values)?;
    let mut found: Vec<MessageWithParts> = Vec::new();
    let (mut message, mut part, mut tail) = (None, None, Tail::default());
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        if message != Some(number) {
            end_part(&mut found, &mut tail);
            (message, part) = (Some(number), None);
            found.push(MessageWithParts { info: Message::from_json(text(row.get_ref(1)?)?)?, parts: Vec::new(), cursor });
        }
        let Some(number) = row.get::<_, Option<i64>>(2)? else { continue };
        if part != Some(number) {
            end_part(&mut found, &mut tail);
            part = Some(number);
            let read = Part::from_json(text(row.get_ref(3)?)?)?;
            if let Some(message) = found.last_mut() {
                message.parts.push(read);
            }
        }
        if let Some(delta) = row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)? {
            tail.push(delta);
        }
    }
    end_part(&mut found, &mut tail);
    set_states(connection, session, &mut found)?;
    Ok(found)
}

fn text(value: rusqlite::types::ValueRef<'_>) -> Result<&str> {
    Ok(value.as_str().map_err(rusqlite::Error::from)?)
}

fn end_part(found: &mut [MessageWithParts], tail: &mut Tail) {
    if let Some(part) = found.last_mut().and_then(|message| message.parts.last_mut()) {
        tail.end(part);
    }
}

/// Sets the states of the prompts. Most of them have an answer in the range and neither wait nor run; the others are looked
/// up one by one.
fn set_states(connection: &Connection, session: &SessionId, found: &mut [MessageWithParts]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT message_id FROM queue WHERE session_id = ?1 UNION SELECT message_id FROM turn WHERE session_id = ?1
         UNION SELECT parent_id FROM message WHERE session_id = ?1 AND open",
    )?;
    let open: HashSet<String> = statement.query_map([session.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let answered: HashSet<String> = found
        .iter()
        .filter_map(|message| if let Message::Assistant(answer) = &message.info { Some(answer.parent_id.to_string()) } else { None })
        .collect();
    for message in found {
        let Message::User(user) = &mut message.info else { continue };
        // A prompt that entered a turn with others is answered with the last of them.
        let id = user.answered_with.as_ref().unwrap_or(&user.id);
        let is_answered = answered.contains(id.as_str()) && !open.contains(id.as_str());
        user.state = if is_answered { PromptState::Answered } else { prompt_state(connection, id)? };
    }
    Ok(())
}

/// The number of a message, or a number after all others.
pub(super) fn number(connection: &Connection, id: Option<&str>) -> Result<i64> {
    let Some(id) = id else { return Ok(i64::MAX) };
    let found = connection.prepare_cached("SELECT seq FROM message WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()?;
    // Nothing is before a message that is not there.
    Ok(found.unwrap_or(i64::MIN))
}

/// The number of the first of the last `limit` messages before a number.
pub(super) fn first_of_last(connection: &Connection, session: &SessionId, limit: Option<u32>, before: i64) -> Result<i64> {
    let Some(limit) = limit else { return Ok(i64::MIN) };
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(min(seq), 0) FROM (SELECT seq FROM message WHERE session_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3)",
    )?;
    Ok(statement.query_row(params![session.as_str(), before, limit], |row| row.get(0))?)
}
