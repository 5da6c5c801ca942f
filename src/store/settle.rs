//! Closing turns that did not close themselves. Nothing looks as if it still ran, nothing runs a second time, and a
//! prompt that nobody has begun to answer goes back to the queue. What waits for an answer of the user stays open.

use std::collections::HashSet;

use polytree_protocol::{
    id::{MessageId, SessionId},
    message::{AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName, MessagePath, MessageTime, Tokens, UserMessage},
    part::{Part, Span, ToolFailed, ToolPart, ToolState},
    permission::{Permission, PermissionOutcome},
    session::SessionStatus,
};
use serde_json::json;

use super::{Asker, Error, Scope, Store, Transaction};
use crate::stdx::{ids, time::now_ms};

/// Why a turn is closed from outside.
#[derive(Debug, Clone)]
pub enum Cause {
    /// The daemon before this one ended.
    Restart,
    /// The user does not want it any more.
    Abort,
    /// The store failed, as the text says.
    Store(String),
}

/// What closing has found.
#[derive(Debug, Default)]
pub struct Settled {
    /// A turn was open and is closed now.
    pub closed: bool,
    /// The questions that keep a turn open.
    pub waiting: Vec<Permission>,
    /// A prompt or an answer is left for the next command of the user.
    pub left: bool,
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

/// An answer of which nothing is said yet.
#[must_use]
pub fn new_answer(user: &UserMessage, cwd: &str, root: &str) -> AssistantMessage {
    AssistantMessage {
        id: MessageId::from_ulid(ids::next()),
        session_id: user.session_id.clone(),
        parent_id: user.id.clone(),
        time: MessageTime { created: now_ms(), completed: None },
        error: None,
        agent: user.agent.clone(),
        mode: user.agent.clone(),
        provider_id: user.model.provider_id.clone(),
        model_id: user.model.model_id.clone(),
        path: MessagePath { cwd: cwd.to_owned(), root: root.to_owned() },
        summary: false,
        cost: 0.0,
        tokens: Tokens::default(),
        finish: None,
        variant: user.variant.clone(),
        structured: None,
    }
}

impl Store {
    /// The sessions in a turn, and those in which prompts wait.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn left_over(&self) -> Result<(Vec<SessionId>, Vec<SessionId>), Error> {
        self.read(|rows| Ok((rows.sessions_in_a_turn()?, rows.sessions_with_a_queue()?))).await
    }

    /// Closes what is open in a session. Nobody may be working in it. `may_repeat` tells of a tool that it changes nothing,
    /// so that a call of it may run again beside a question that is taken up.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn settle(&self, id: SessionId, cause: Cause, may_repeat: fn(&str) -> bool) -> Result<Settled, Error> {
        self.write(move |transaction| settle(transaction, &id, &cause, may_repeat)).await
    }

    /// Ends a turn before the model is asked, with this error. An answer that was to be taken up again is closed with
    /// everything in it, else there is a new one. Gives the last answer.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn end_before_start(
        &self,
        id: SessionId,
        prompt: MessageId,
        open: Option<MessageId>,
        error: MessageError,
    ) -> Result<Option<MessageId>, Error> {
        self.write(move |transaction| {
            let Some(session) = transaction.rows.session(&id)? else { return Ok(open) };
            let scope = Scope::of(&session);
            if let Some(open) = open {
                transaction.withdraw(&id, PermissionOutcome::Aborted, |_| true)?;
                close_answer(transaction, &scope, &id, &open, &Cause::Abort, &error)?;
                return Ok(Some(open));
            }
            let Some(Message::User(user)) = transaction.rows.message_info(&id, &prompt)? else { return Ok(None) };
            let answer = new_answer(&user, &session.directory, &session.directory);
            let answer_id = answer.id.clone();
            end(transaction, &scope, answer, &error)?;
            Ok(Some(answer_id))
        })
        .await
    }
}

fn settle(transaction: &mut Transaction<'_>, id: &SessionId, cause: &Cause, may_repeat: fn(&str) -> bool) -> Result<Settled, Error> {
    let Some(session) = transaction.rows.session(id)? else { return Ok(Settled::default()) };
    let scope = Scope::of(&session);
    let questions: Vec<Permission> =
        transaction.rows.open_questions(Asker::Session(id))?.into_iter().map(|stored| stored.question.permission).collect();
    let open = transaction.rows.open_answers(id)?;
    let is_asked_about = |answer: &&MessageId| questions.iter().any(|question| question.message_id == **answer);
    let kept = if matches!(cause, Cause::Restart) { open.iter().find(is_asked_about).cloned() } else { None };
    for answer in &open {
        if kept.as_ref() == Some(answer) {
            // What else ran beside the question may have run to its end: only the one who asks has not.
            let asking: HashSet<&str> = questions.iter().filter(|q| q.message_id == *answer).map(|q| q.call_id.as_str()).collect();
            let parts = transaction.rows.message(id, answer)?.map(|message| message.parts).unwrap_or_default();
            close_parts(transaction, &scope, parts, cause, |call| !asking.contains(call.call_id.as_str()) && !may_repeat(&call.tool))?;
        } else {
            close_answer(transaction, &scope, id, answer, cause, &cause.error())?;
        }
    }
    transaction.withdraw(id, cause.outcome(), |question| kept.as_ref() != Some(&question.message_id))?;
    let waiting: Vec<_> = questions.into_iter().filter(|question| kept.as_ref() == Some(&question.message_id)).collect();
    if kept.is_some() {
        return Ok(Settled { closed: false, waiting, left: true });
    }
    let turn = transaction.rows.turn(id)?;
    let mut left = false;
    if let Some(prompt) = &turn {
        left = close_turn(transaction, &scope, id, prompt, cause)?;
        transaction.rows.clear_turn(id)?;
        transaction.tell_prompt(&scope, prompt)?;
    }
    if matches!(cause, Cause::Abort) {
        transaction.cancel_queue(&scope, id)?;
    }
    let closed = turn.is_some() || !open.is_empty();
    if closed || matches!(cause, Cause::Store(_)) {
        transaction.tell_status(&scope, SessionStatus::Idle)?;
        transaction.tell_idle(&scope)?;
    }
    Ok(Settled { closed, waiting, left })
}

/// A turn of which no answer is open: it was cut off before the first one, between two, or after the last. True when its
/// prompt has gone back to the queue.
fn close_turn(
    transaction: &mut Transaction<'_>,
    scope: &Scope,
    session: &SessionId,
    prompt: &MessageId,
    cause: &Cause,
) -> Result<bool, Error> {
    let Some(Message::User(user)) = transaction.rows.message(session, prompt)?.map(|message| message.info) else {
        return Ok(false);
    };
    let last = match transaction.rows.last_answer(prompt)? {
        Some(last) => transaction.rows.message(session, &last)?.map(|message| message.info),
        None => None,
    };
    match last {
        None if matches!(cause, Cause::Restart) => {
            transaction.rows.enqueue_first(session, prompt)?;
            transaction.tell_queue(scope)?;
            return Ok(true);
        }
        None => {
            let directory = scope.directory.clone().unwrap_or_default();
            end(transaction, scope, new_answer(&user, &directory, &directory), &cause.error())?;
        }
        // The model was to go on after its calls.
        Some(Message::Assistant(answer)) if answer.error.is_none() && answer.finish.as_deref() == Some("tool-calls") => {
            end(transaction, scope, answer, &cause.error())?;
        }
        Some(_) => {}
    }
    Ok(false)
}

/// Closes an answer with everything in it.
fn close_answer(
    transaction: &mut Transaction<'_>,
    scope: &Scope,
    session: &SessionId,
    answer: &MessageId,
    cause: &Cause,
    error: &MessageError,
) -> Result<(), Error> {
    let Some(stored) = transaction.rows.message(session, answer)? else { return Ok(()) };
    close_parts(transaction, scope, stored.parts, cause, |_| true)?;
    match stored.info {
        Message::Assistant(answer) => end(transaction, scope, answer, error),
        Message::User(_) => Ok(()),
    }
}

fn end(transaction: &mut Transaction<'_>, scope: &Scope, mut answer: AssistantMessage, error: &MessageError) -> Result<(), Error> {
    answer.time.completed = answer.time.completed.or(Some(now_ms()));
    answer.error = Some(error.clone());
    transaction.tell_message(scope, Message::Assistant(answer), None)?;
    transaction.tell_error(scope, error.clone())
}

/// Closes the parts, of tool calls those that are chosen.
fn close_parts(
    transaction: &mut Transaction<'_>,
    scope: &Scope,
    parts: Vec<Part>,
    cause: &Cause,
    chosen: impl Fn(&ToolPart) -> bool,
) -> Result<(), Error> {
    let now = now_ms();
    for mut part in parts {
        let is_chosen = if let Part::Tool(tool) = &part { chosen(tool) } else { true };
        if is_chosen && end_part(&mut part, cause, now) {
            transaction.tell_part(scope, part)?;
        }
    }
    Ok(())
}

/// Ends a part that is still open; returns whether it was.
pub fn end_part(part: &mut Part, cause: &Cause, now: i64) -> bool {
    match part {
        Part::Text(text) => text.time.as_mut().is_some_and(|time| end_time(time, now)),
        Part::Reasoning(reasoning) => end_time(&mut reasoning.time, now),
        Part::Tool(tool) => match &tool.state {
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
    }
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
