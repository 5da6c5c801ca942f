//! Closes turns that did not end normally. Afterwards nothing appears to be running, nothing runs a second time, and a
//! prompt without an answer is back in the queue. A turn that waits for the user's answer stays open.

use std::collections::HashSet;

use polytree_protocol::{
    id::{MessageId, PermissionId, QuestionId, SessionId},
    message::{AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName, MessagePath, MessageTime, Tokens, UserMessage},
    part::{Part, Span, ToolFailed, ToolPart, ToolState},
    permission::PermissionOutcome,
    session::SessionStatus,
};
use serde_json::json;

use super::{Asker, Error, Scope, Store, Transaction};
use crate::stdx::{ids, time::now_ms};

/// Why a turn is closed.
#[derive(Debug, Clone)]
pub enum Cause {
    /// The daemon before this one ended.
    Restart,
    /// The user has aborted it.
    Abort,
    /// The store failed, as the text says.
    Store(String),
}

/// What a session waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitsFor {
    Permission(PermissionId),
    Question(QuestionId),
}

/// An open question of a session.
struct OpenQuestion {
    waits_for: WaitsFor,
    message: MessageId,
    call: String,
    since: i64,
}

#[derive(Debug, Default)]
pub struct Settled {
    /// An open turn was closed.
    pub closed: bool,
    /// The questions that keep a turn open, and since when each is open.
    pub waiting: Vec<(WaitsFor, i64)>,
    /// A prompt or an answer remains for the next command of the user.
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

/// A new, empty answer.
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
    /// The sessions with a turn, and those with queued prompts.
    pub async fn left_over(&self) -> Result<(Vec<SessionId>, Vec<SessionId>), Error> {
        self.read(|rows| Ok((rows.sessions_in_a_turn()?, rows.sessions_with_a_queue()?))).await
    }

    /// Closes what is open in a session; no task may be working in it. `may_repeat` tells whether a tool changes
    /// nothing, so that its calls may run again when a turn with an open question is resumed.
    pub async fn settle(&self, id: SessionId, cause: Cause, may_repeat: fn(&str) -> bool) -> Result<Settled, Error> {
        self.write(move |transaction| settle(transaction, &id, &cause, may_repeat)).await
    }

    /// Ends a turn with this error before the request to the model. An answer that was to be resumed is closed with its
    /// parts; otherwise a new one is created. Returns the last answer.
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
    let questions = open_questions(transaction, id)?;
    let open = transaction.rows.open_answers(id)?;
    let has_question = |answer: &&MessageId| questions.iter().any(|question| question.message == **answer);
    let kept = if matches!(cause, Cause::Restart) { open.iter().find(has_question).cloned() } else { None };
    for answer in &open {
        if kept.as_ref() == Some(answer) {
            // Calls beside the question may have completed; only the call that asks certainly has not.
            let asking: HashSet<&str> = questions.iter().filter(|q| q.message == *answer).map(|q| q.call.as_str()).collect();
            let parts = transaction.rows.message(id, answer)?.map(|message| message.parts).unwrap_or_default();
            close_parts(transaction, &scope, parts, cause, |call| !asking.contains(call.call_id.as_str()) && !may_repeat(&call.tool))?;
        } else {
            close_answer(transaction, &scope, id, answer, cause, &cause.error())?;
        }
    }
    transaction.withdraw(id, cause.outcome(), |message| kept.as_ref() != Some(message))?;
    let waiting = questions.into_iter().filter(|question| kept.as_ref() == Some(&question.message));
    let waiting: Vec<_> = waiting.map(|question| (question.waits_for, question.since)).collect();
    if kept.is_some() {
        return Ok(Settled { closed: false, waiting, left: true });
    }
    let turn = transaction.rows.turn(id)?;
    let mut left = false;
    if let Some(prompt) = &turn {
        left = close_turn(transaction, &scope, id, prompt, cause)?;
        transaction.rows.clear_turn(id)?;
        transaction.emit_prompt(&scope, prompt)?;
    }
    if matches!(cause, Cause::Abort) {
        transaction.cancel_queue(&scope, id)?;
    }
    let closed = turn.is_some() || !open.is_empty();
    if closed || matches!(cause, Cause::Store(_)) {
        transaction.emit_status(&scope, SessionStatus::Idle)?;
        transaction.emit_idle(&scope)?;
    }
    Ok(Settled { closed, waiting, left })
}

/// The open questions of a session: those of permissions, then those of models.
fn open_questions(transaction: &Transaction<'_>, id: &SessionId) -> Result<Vec<OpenQuestion>, Error> {
    let permissions = transaction.rows.open_questions(Asker::Session(id))?.into_iter().map(|stored| {
        let asked = stored.question.permission;
        OpenQuestion {
            waits_for: WaitsFor::Permission(asked.id),
            message: asked.message_id,
            call: asked.call_id,
            since: asked.time.created,
        }
    });
    let inquiries = transaction.rows.open_inquiries(Some(id))?.into_iter().map(|inquiry| {
        let asked = inquiry.question;
        OpenQuestion { waits_for: WaitsFor::Question(asked.id), message: asked.message_id, call: asked.call_id, since: asked.time.created }
    });
    Ok(permissions.chain(inquiries).collect())
}

/// Closes a turn without an open answer: it stopped before the first answer, between two, or after the last. True if
/// its prompt is back in the queue.
fn close_turn(
    transaction: &mut Transaction<'_>,
    scope: &Scope,
    session: &SessionId,
    prompt: &MessageId,
    cause: &Cause,
) -> Result<bool, Error> {
    let Some(Message::User(user)) = transaction.rows.message_info(session, prompt)? else { return Ok(false) };
    let last = match transaction.rows.last_answer(prompt)? {
        Some(last) => transaction.rows.message(session, &last)?.map(|message| message.info),
        None => None,
    };
    match last {
        None if matches!(cause, Cause::Restart) => {
            transaction.rows.enqueue_first(session, prompt)?;
            transaction.emit_queue(scope)?;
            return Ok(true);
        }
        None => {
            let directory = scope.directory.clone().unwrap_or_default();
            end(transaction, scope, new_answer(&user, &directory, &directory), &cause.error())?;
        }
        // The model was to continue after its tool calls.
        Some(Message::Assistant(answer)) if answer.error.is_none() && answer.finish.as_deref() == Some("tool-calls") => {
            end(transaction, scope, answer, &cause.error())?;
        }
        Some(_) => {}
    }
    Ok(false)
}

/// Closes an answer with its parts.
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
    transaction.emit_message(scope, Message::Assistant(answer), None)?;
    transaction.emit_error(scope, error.clone())
}

/// Closes the parts; tool calls only if `chosen` is true.
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
            transaction.emit_part(scope, part)?;
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
