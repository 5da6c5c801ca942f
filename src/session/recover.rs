//! At the start of a daemon: answers that one before it left unfinished are marked, so that nothing looks as if it
//! still ran. Those that wait for an answer of the user stay open; the answer resumes them.

use std::collections::HashSet;

use polytree_protocol::{
    message::{Message, MessageError, MessageErrorData, MessageErrorName},
    part::{Part, Span, ToolFailed, ToolState},
    session::SessionStatus,
};
use serde_json::json;

use super::{Error, announce::Voice, sessions::Shared, store};
use crate::{permission::oldest_open, stdx::time::now_ms, storage::Write};

const TEXT: &str = "the daemon ended while this answer was written";

pub(super) async fn recover(shared: &Shared) -> Result<(), Error> {
    let open = shared.database.read(store::sessions_with_open_messages).await?;
    if open.is_empty() {
        return Ok(());
    }
    let waiting: Vec<_> = shared
        .broker
        .open()
        .await?
        .into_iter()
        .map(|question| {
            (question.permission.session_id, question.permission.message_id, question.permission.id, question.permission.time.created)
        })
        .collect();
    let kept: HashSet<_> = waiting.iter().map(|(_, message, ..)| message.clone()).collect();
    for (session, _, question, since) in waiting {
        shared.statuses.remember(&session, question, since);
    }
    let events = std::sync::Arc::clone(&shared.events);
    shared
        .database
        .write::<_, Error>(move |write| {
            for (id, message) in open {
                if kept.contains(&message) {
                    continue;
                }
                let Some(session) = store::get_session(write, &id)? else { continue };
                let voice = Voice::new(&events, &session);
                interrupt(write, &voice, &message)?;
                // A question of an answer that is closed now has nobody who needs it.
                debug_assert!(oldest_open(write, &id)?.is_none_or(|question| kept.contains(&question.message_id)));
                voice.status(write, SessionStatus::Idle)?;
                voice.idle(write)?;
            }
            Ok(())
        })
        .await
}

fn interrupt(write: &mut Write<'_>, voice: &Voice, message: &polytree_protocol::id::MessageId) -> Result<(), Error> {
    let Some(stored) = store::get_message(write, &voice.session_id, message)? else { return Ok(()) };
    let now = now_ms();
    for mut part in stored.parts {
        let changed = match &mut part {
            Part::Text(text) => text.time.as_mut().is_some_and(|time| end(time, now)),
            Part::Reasoning(reasoning) => end(&mut reasoning.time, now),
            Part::Tool(tool) => match &tool.state {
                ToolState::Pending(pending) => {
                    tool.state = failed(json!(pending.input), None, Span { start: now, end: Some(now) });
                    true
                }
                ToolState::Running(running) => {
                    tool.state =
                        failed(running.input.clone(), running.metadata.clone(), Span { start: running.time.start, end: Some(now) });
                    true
                }
                _ => false,
            },
            _ => false,
        };
        if changed {
            voice.part(write, &part)?;
        }
    }
    if let Message::Assistant(mut answer) = stored.info {
        let error = MessageError {
            name: MessageErrorName::MessageInterruptedError,
            data: MessageErrorData { message: TEXT.into(), ..MessageErrorData::default() },
        };
        answer.time.completed = Some(now);
        answer.error = Some(error.clone());
        voice.message(write, &Message::Assistant(answer), None)?;
        voice.error(write, error)?;
    }
    Ok(())
}

fn end(time: &mut Span, now: i64) -> bool {
    let open = time.end.is_none();
    time.end = time.end.or(Some(now));
    open
}

fn failed(input: serde_json::Value, metadata: Option<serde_json::Value>, time: Span) -> ToolState {
    let mut metadata = metadata.unwrap_or_else(|| json!({}));
    metadata["interrupted"] = true.into();
    let error = "the daemon ended before this call had a result; it may have run in part: look before you run it again".to_owned();
    ToolState::Error(ToolFailed { input, error, metadata: Some(metadata), time })
}
