//! Closing turns that did not close themselves: those that a daemon before this one left, at the start, and those whose
//! end could not be stored. Nothing looks as if it still ran, nothing runs a second time, and a prompt that nobody has
//! begun to answer goes back to the queue. What waits for an answer of the user stays open; the answer resumes it.

use std::collections::HashSet;

use polytree_protocol::{
    id::{MessageId, SessionId},
    message::{AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName},
    part::{Part, Span, ToolFailed, ToolPart, ToolState},
    permission::{Permission, PermissionOutcome},
    session::SessionStatus,
};
use serde_json::json;

use super::{Error, announce::Voice, answer::new_answer, sessions::Shared, store};
use crate::{permission::open_of, stdx::time::now_ms, storage::Write};

/// Tools that change nothing may run again beside a question that is taken up.
const ONLY_READING: [&str; 5] = ["read", "grep", "glob", "list", "todoread"];

/// Why a turn is closed from outside.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// The daemon before this one ended.
    Restart,
    /// The user does not want it any more.
    Abort,
    /// The store failed, as the text says.
    Store(String),
}

/// What closing has found.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// A turn was open and is closed now.
    pub closed: bool,
    /// The questions that keep a turn open.
    pub waiting: Vec<Permission>,
}

impl Cause {
    fn error(&self) -> MessageError {
        let (name, message) = match self {
            Self::Restart => (MessageErrorName::MessageInterruptedError, "the daemon ended while this answer was written".to_owned()),
            Self::Abort => (MessageErrorName::MessageAbortedError, "the turn was aborted".to_owned()),
            Self::Store(error) => {
                (MessageErrorName::MessageInterruptedError, format!("the turn could not be stored and was ended: {error}"))
            }
        };
        MessageError { name, data: MessageErrorData { message, ..MessageErrorData::default() } }
    }

    fn outcome(&self) -> PermissionOutcome {
        if matches!(self, Self::Abort) { PermissionOutcome::Aborted } else { PermissionOutcome::Expired }
    }
}

/// At the start of a daemon. Gives the sessions that could not be closed because the store cannot be written now.
pub(super) async fn recover(shared: &Shared) -> Result<Vec<SessionId>, Error> {
    let (mut sessions, queued) =
        shared.database.read::<_, Error>(|c| Ok((store::sessions_in_a_turn(c)?, store::sessions_with_a_queue(c)?))).await?;
    for question in shared.broker.open().await? {
        if !sessions.contains(&question.permission.session_id) {
            sessions.push(question.permission.session_id);
        }
    }
    for id in queued {
        shared.leave_for_later(&id);
    }
    let mut unsettled = Vec::new();
    for id in sessions {
        match settle(shared, &id, Cause::Restart).await {
            Ok(settled) => {
                for question in settled.waiting {
                    shared.statuses.remember(&id, question.id, question.time.created);
                }
            }
            // Everything can be read all the same.
            Err(Error::Storage(error)) if error.is_unavailable() => {
                tracing::warn!(%error, session = %id, "what the last daemon left cannot be closed yet");
                unsettled.push(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(unsettled)
}

/// Closes what is open in a session. Nobody may be working in it.
pub(super) async fn settle(shared: &Shared, id: &SessionId, cause: Cause) -> Result<Settled, Error> {
    let (events, broker, session) = (std::sync::Arc::clone(&shared.events), std::sync::Arc::clone(&shared.broker), id.clone());
    let restart = matches!(cause, Cause::Restart);
    let (settled, left) = shared
        .database
        .write::<_, Error>(move |write| {
            let Some(session) = store::get_session(write, &session)? else { return Ok((Settled::default(), false)) };
            let voice = Voice::new(&events, &session);
            let (questions, open) = (open_of(write, &session.id)?, store::open_answers(write, &session.id)?);
            let kept = if restart { open.iter().find(|id| questions.iter().any(|q| q.message_id == **id)).cloned() } else { None };
            for answer in &open {
                if kept.as_ref() == Some(answer) {
                    // What else ran beside the question may have run to its end: only the one who asks has not.
                    let asking: HashSet<&str> = questions.iter().filter(|q| q.message_id == *answer).map(|q| q.call_id.as_str()).collect();
                    let parts = store::get_message(write, &session.id, answer)?.map(|message| message.parts).unwrap_or_default();
                    close_parts(write, &voice, parts, &cause, |call| {
                        !asking.contains(call.call_id.as_str()) && !ONLY_READING.contains(&call.tool.as_str())
                    })?;
                } else {
                    close_answer(write, &voice, answer, &cause, &cause.error())?;
                }
            }
            broker.withdraw_where(write, &session.id, cause.outcome(), |question| kept.as_ref() != Some(&question.message_id))?;
            let waiting: Vec<_> = questions.into_iter().filter(|question| kept.as_ref() == Some(&question.message_id)).collect();
            if kept.is_some() {
                return Ok((Settled { closed: false, waiting }, true));
            }
            let turn = store::turn(write, &session.id)?;
            let mut requeued = false;
            if let Some(prompt) = &turn {
                requeued = close_turn(write, &voice, prompt, &cause)?;
                store::clear_turn(write, &session.id)?;
                voice.prompt_state(write, prompt)?;
            }
            if matches!(cause, Cause::Abort) {
                cancel_queue(write, &voice)?;
            }
            let closed = turn.is_some() || !open.is_empty();
            if closed || matches!(cause, Cause::Store(_)) {
                voice.status(write, SessionStatus::Idle)?;
                voice.idle(write)?;
            }
            Ok((Settled { closed, waiting }, requeued))
        })
        .await?;
    if left {
        shared.leave_for_later(id);
    }
    Ok(settled)
}

/// Takes every waiting prompt of a session out of the queue; they stay as messages.
pub(super) fn cancel_queue(write: &mut Write<'_>, voice: &Voice) -> Result<(), Error> {
    let waiting = store::queue(write, &voice.session_id)?;
    for id in &waiting {
        store::dequeue(write, id)?;
        voice.prompt_state(write, id)?;
    }
    if !waiting.is_empty() {
        voice.queue(write)?;
    }
    Ok(())
}

/// A turn of which no answer is open: it was cut off before the first one, between two, or after the last. True when its
/// prompt has gone back to the queue.
fn close_turn(write: &mut Write<'_>, voice: &Voice, prompt: &MessageId, cause: &Cause) -> Result<bool, Error> {
    let Some(Message::User(user)) = store::get_message(write, &voice.session_id, prompt)?.map(|message| message.info) else {
        return Ok(false);
    };
    let last = match store::last_answer(write, prompt)? {
        Some(last) => store::get_message(write, &voice.session_id, &last)?.map(|message| message.info),
        None => None,
    };
    match last {
        None if matches!(cause, Cause::Restart) => {
            store::enqueue_first(write, &voice.session_id, prompt)?;
            voice.queue(write)?;
            return Ok(true);
        }
        None => {
            let directory = voice.scope.directory.clone().unwrap_or_default();
            end(write, voice, new_answer(&user, &directory, &directory), &cause.error())?;
        }
        // The model was to go on after its calls.
        Some(Message::Assistant(answer)) if answer.error.is_none() && answer.finish.as_deref() == Some("tool-calls") => {
            end(write, voice, answer, &cause.error())?;
        }
        Some(_) => {}
    }
    Ok(false)
}

/// Closes an answer with everything in it.
pub(super) fn close_answer(
    write: &mut Write<'_>,
    voice: &Voice,
    answer: &MessageId,
    cause: &Cause,
    error: &MessageError,
) -> Result<(), Error> {
    let Some(stored) = store::get_message(write, &voice.session_id, answer)? else { return Ok(()) };
    close_parts(write, voice, stored.parts, cause, |_| true)?;
    match stored.info {
        Message::Assistant(answer) => end(write, voice, answer, error),
        Message::User(_) => Ok(()),
    }
}

fn end(write: &mut Write<'_>, voice: &Voice, mut answer: AssistantMessage, error: &MessageError) -> Result<(), Error> {
    answer.time.completed = answer.time.completed.or(Some(now_ms()));
    answer.error = Some(error.clone());
    voice.message(write, &Message::Assistant(answer), None)?;
    Ok(voice.error(write, error.clone())?)
}

/// Closes the parts, of tool calls those that are chosen.
fn close_parts(
    write: &mut Write<'_>,
    voice: &Voice,
    parts: Vec<Part>,
    cause: &Cause,
    chosen: impl Fn(&ToolPart) -> bool,
) -> Result<(), Error> {
    let now = now_ms();
    for mut part in parts {
        let changed = match &mut part {
            Part::Text(text) => text.time.as_mut().is_some_and(|time| end_time(time, now)),
            Part::Reasoning(reasoning) => end_time(&mut reasoning.time, now),
            Part::Tool(tool) if chosen(tool) => match &tool.state {
                ToolState::Pending(pending) => {
                    tool.state = failed(json!(pending.input), None, Span { start: now, end: Some(now) }, cause);
                    true
                }
                ToolState::Running(running) => {
                    let time = Span { start: running.time.start, end: Some(now) };
                    tool.state = failed(running.input.clone(), running.metadata.clone(), time, cause);
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
    Ok(())
}

fn end_time(time: &mut Span, now: i64) -> bool {
    let open = time.end.is_none();
    time.end = time.end.or(Some(now));
    open
}

fn failed(input: serde_json::Value, metadata: Option<serde_json::Value>, time: Span, cause: &Cause) -> ToolState {
    let mut metadata = metadata.filter(serde_json::Value::is_object).unwrap_or_else(|| json!({}));
    let (mark, error) = match cause {
        Cause::Abort => ("aborted", "the tool call was aborted"),
        Cause::Restart => {
            ("interrupted", "the daemon ended before this call had a result; it may have run in part: look before you run it again")
        }
        Cause::Store(_) => {
            ("interrupted", "the result of this call could not be stored; it may have run in part: look before you run it again")
        }
    };
    metadata[mark] = true.into();
    ToolState::Error(ToolFailed { input, error: error.to_owned(), metadata: Some(metadata), time })
}
