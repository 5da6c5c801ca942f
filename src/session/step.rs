//! One model call: its request, its stream, its retries. Deltas are stored and sent while the next ones arrive: what
//! comes during one commit goes into the next, so a fast model costs few commits and a slow one no delay.

use futures::StreamExt as _;
use polytree_protocol::{
    id::MessageId,
    message::{AssistantMessage, MessageError, MessageWithParts, Tokens},
    part::{Created, Part, RetryPart, Span, ToolFailed, ToolPart, ToolState},
    session::{SessionStatus, StatusRetry},
};
use serde_json::json;

use super::{
    Error, calls, choices,
    choices::Choices,
    failure::message_error,
    fit,
    fold::{Call, Change, Fold},
    history, structured, system,
    turn::{Turn, part_id},
    unwritten::Unwritten,
};
use crate::{
    provider::{
        definition::{CALL_LENGTH, Delta, Error as ModelError, FinishReason, MAX_ANSWER, ModelMessage, ModelRequest, UserContent},
        forced_call, merge,
        retry::Failures,
    },
    stdx::time::now_ms,
};

/// How a model call ended; the answer is still open.
pub(super) enum StepEnd {
    /// Well: its calls, why it stopped, what it used.
    Finished(AssistantMessage, Vec<Call>, FinishReason, Tokens),
    /// Badly, with what it used; with `true` it is worth another message.
    Failed(AssistantMessage, MessageError, bool, Tokens),
    /// It was cut off.
    Aborted(AssistantMessage),
}

/// Calls the model until an answer is complete, waiting and trying again where that may help.
/// `failures` are the calls in a row that have failed, also in messages before this one.
pub(super) async fn run(
    turn: &Turn,
    answer: AssistantMessage,
    history: &[MessageWithParts],
    final_step: bool,
    failures: &mut Failures,
) -> Result<StepEnd, Error> {
    let mut request = request(turn, history, final_step);
    // Told when the service has refused the request and is asked again without attachments.
    let mut bare: Option<RetryPart> = None;
    loop {
        let mut fold = Fold::new(turn.session.id.clone(), answer.id.clone(), part_id);
        let ended = stream(turn, &answer.id, request.clone(), &mut fold).await?;
        let (error, tokens) = match ended {
            Streamed::Finished(reason, tokens) if is_empty(&fold, reason) => (
                ModelError::Empty { message: format!("{} ended its answer without a word and without a call", turn.model.reference) },
                tokens,
            ),
            Streamed::Finished(reason, tokens) => {
                let reason = if fold.calls.is_empty() || reason == FinishReason::Length { reason } else { FinishReason::ToolCalls };
                return Ok(StepEnd::Finished(answer, fold.calls, reason, tokens));
            }
            Streamed::Aborted => return Ok(StepEnd::Aborted(answer)),
            Streamed::Failed(error) => (error, Tokens::default()),
        };
        if turn.form.as_ref().is_some_and(|form| form.stops_forcing(&error)) {
            request = self::request(turn, history, final_step);
            if bare.is_some() {
                history::leave_out_attachments(&mut request.messages);
            }
            continue;
        }
        let wait = failures.add(&error, jitter());
        let attempt = failures.count();
        let mut message = message_error(&error, &turn.model.reference, turn.model.unset.as_deref());
        let Some(wait) = wait else {
            let refused = is_about_the_request(&error) && !fold.has_spoken();
            if refused && history::leave_out_attachments(&mut request.messages) {
                message.data.hint = Some(WITHOUT_ATTACHMENTS.to_owned());
                let part = RetryPart { without_attachments: true, ..retry_part(turn, &answer.id, attempt, &message) };
                put(turn, Part::Retry(part.clone())).await?;
                bare = Some(part);
                continue;
            }
            if let Some(part) = bare.filter(|_| refused) {
                // It was not the attachments: later requests have them again.
                put(turn, Part::Retry(RetryPart { without_attachments: false, ..part })).await?;
            }
            return Ok(StepEnd::Failed(answer, message, false, tokens));
        };
        announce_retry(turn, &answer.id, attempt, &message, wait).await?;
        let slept = tokio::select! {
            () = turn.tasks.token().cancelled() => false,
            () = tokio::time::sleep(std::time::Duration::from_millis(wait)) => true,
        };
        if !slept {
            return Ok(StepEnd::Aborted(answer));
        }
        if let Some(status) = turn.shared.statuses.set(&turn.session.id, SessionStatus::Busy) {
            turn.shared.store.commit(turn.unit().status(status)).await?;
        }
        // What a client has seen, or what has cost something, stays on record.
        if fold.has_spoken() || tokens != Tokens::default() {
            return Ok(StepEnd::Failed(answer, message, true, tokens));
        }
    }
}

/// Whether an answer that ended well says nothing: thinking alone is no answer. An answer that was withheld, or used up
/// its output limit, has an error of its own.
fn is_empty(fold: &Fold, reason: FinishReason) -> bool {
    let should_speak = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other);
    should_speak && fold.calls.is_empty() && !fold.has_text()
}

const WITHOUT_ATTACHMENTS: &str =
    "the request is sent again without the attached images and documents; attach what is still needed in another size or format";

/// Whether the service has refused what the request holds, and not who asks or how often.
fn is_about_the_request(error: &ModelError) -> bool {
    match error {
        // A service that is busy or broken says nothing about the request; some answer 500 to what they cannot read.
        ModelError::Status { status, .. } => (400..=500).contains(status) && !matches!(status, 408 | 429),
        ModelError::Stream { .. } | ModelError::ContentFilter { .. } | ModelError::ContextOverflow { .. } => true,
        // A filter in front of a service refuses what it does not like with 403, as it refuses a key.
        ModelError::Credentials { .. } => true,
        ModelError::Quota { .. }
        | ModelError::ModelNotFound { .. }
        | ModelError::Network { .. }
        | ModelError::Connection { .. }
        | ModelError::Unreachable { .. }
        | ModelError::Empty { .. }
        | ModelError::Request { .. } => false,
    }
}

fn retry_part(turn: &Turn, message: &MessageId, attempt: u32, error: &MessageError) -> RetryPart {
    RetryPart {
        id: part_id(),
        session_id: turn.session.id.clone(),
        message_id: message.clone(),
        attempt,
        error: error.clone(),
        without_attachments: false,
        time: Created { created: now_ms() },
    }
}

async fn put(turn: &Turn, part: Part) -> Result<(), Error> {
    Ok(turn.shared.store.commit(turn.unit().part(part)).await?)
}

enum Streamed {
    Finished(FinishReason, Tokens),
    Failed(ModelError),
    Aborted,
}

async fn stream(turn: &Turn, message: &MessageId, request: ModelRequest, fold: &mut Fold) -> Result<Streamed, Error> {
    let _call = turn.progress.calls(&turn.model.reference);
    let mut deltas = turn.model.provider.stream(request);
    let unwritten = Unwritten::new(&turn.shared.store, &turn.scope, message);
    let (mut received, mut full) = (0, false);
    let ended = loop {
        let ended = tokio::select! {
            biased;
            () = turn.tasks.token().cancelled() => Streamed::Aborted,
            room = unwritten.room(), if full => {
                room?;
                full = false;
                continue;
            }
            delta = deltas.next(), if !full => match delta {
                Some(Ok(Delta::Finish { reason, tokens })) => Streamed::Finished(reason, tokens),
                Some(Ok(delta)) => {
                    turn.progress.sign();
                    received += length(&delta);
                    if received <= MAX_ANSWER {
                        full = unwritten.add(|changes| fold.push(delta, now_ms(), changes))?;
                        continue;
                    }
                    Streamed::Failed(ModelError::answer_too_long())
                }
                Some(Err(error)) => Streamed::Failed(error),
                None => Streamed::Failed(ModelError::Connection { message: "the stream ended before the answer was complete".into() }),
            },
            error = unwritten.failure(), if !full => return Err(error.into()),
        };
        break ended;
    };
    unwritten.add(|changes| {
        let now = now_ms();
        fold.close(now, changes);
        if !matches!(ended, Streamed::Finished(..)) {
            changes.extend(give_up_calls(turn, message, fold, now, matches!(ended, Streamed::Aborted)));
        }
    })?;
    unwritten.written().await?;
    Ok(ended)
}

fn length(delta: &Delta) -> usize {
    match delta {
        Delta::Text(text) | Delta::Reasoning(text) | Delta::ReasoningSignature(text) => text.len(),
        Delta::ToolCallStart { name, .. } => name.len() + CALL_LENGTH,
        Delta::ToolCallDone { name, arguments, .. } => name.len() + arguments.len() + CALL_LENGTH,
        Delta::Finish { .. } => 0,
    }
}

/// Calls that will never run, because the answer they stand in broke off, are closed.
fn give_up_calls(turn: &Turn, message: &MessageId, fold: &Fold, now: i64, aborted: bool) -> Vec<Change> {
    fold.started()
        .map(|(call_id, name, id, input)| {
            let error = if aborted { "the turn was aborted before this call ran" } else { "the answer broke off before this call ran" };
            Change::Put(Part::Tool(ToolPart {
                id: id.clone(),
                session_id: turn.session.id.clone(),
                message_id: message.clone(),
                call_id: call_id.to_owned(),
                tool: name.to_owned(),
                subject: None,
                state: ToolState::Error(ToolFailed {
                    input: calls::parse_input(input).unwrap_or_else(|_| json!({})),
                    error: error.to_owned(),
                    metadata: aborted.then(|| json!({ "aborted": true })),
                    time: Span { start: now, end: Some(now) },
                }),
                metadata: None,
            }))
        })
        .collect()
}

fn request(turn: &Turn, history: &[MessageWithParts], final_step: bool) -> ModelRequest {
    let mut messages = history::to_model(history, &turn.model.reference);
    if let Some(reminder) = reminder(turn, history) {
        match messages.iter_mut().rev().find_map(|message| if let ModelMessage::User(content) = message { Some(content) } else { None }) {
            Some(content) => content.push(UserContent::Text(reminder.to_owned())),
            None => messages.push(ModelMessage::User(vec![UserContent::Text(reminder.to_owned())])),
        }
    }
    let calls_tools = turn.model.info.tool_call;
    if final_step {
        let how =
            if turn.form.is_some() && calls_tools { "by calling StructuredOutput and no other tool" } else { "without calling tools" };
        messages.push(ModelMessage::User(vec![UserContent::Text(format!(
            "This is the last step of this turn: answer with what you have, {how}."
        ))]));
    }
    let prompt = turn.user.system.as_deref().or(turn.agent.prompt.as_deref());
    let mut tools = if calls_tools { calls::offered(turn) } else { Vec::new() };
    if final_step {
        tools.retain(|tool| turn.form.is_some() && tool.name == structured::TOOL);
    }
    let Choices { temperature, top_p, max_output_tokens, mut options } = choices::choices(&turn.user, &turn.agent, &turn.model);
    let mut system = system::system(&turn.workspace, prompt, &turn.model.reference.to_string(), &system::day(now_ms()));
    if let Some(form) = &turn.form {
        system.push(form.instruction(calls_tools));
        if form.forces() && !tools.is_empty() {
            let forced = forced_call(&turn.model.api, &options, &turn.model.info);
            merge(&mut options, &forced);
        }
    }
    let mut request = ModelRequest {
        model: turn.model.reference.clone(),
        info: turn.model.info.clone(),
        system,
        messages,
        tools,
        temperature,
        top_p,
        max_output_tokens,
        options,
        cache_key: turn.session.id.to_string(),
    };
    fit::fit(&mut request, max_output_tokens, history);
    request
}

fn reminder(turn: &Turn, history: &[MessageWithParts]) -> Option<&'static str> {
    use polytree_protocol::message::Message::Assistant;
    if turn.agent.name == "plan" {
        return Some(system::PLAN_REMINDER);
    }
    let planned =
        history.iter().rev().find_map(|message| if let Assistant(info) = &message.info { Some(info.agent == "plan") } else { None });
    (turn.agent.name == "build" && planned == Some(true)).then_some(system::BUILD_REMINDER)
}

async fn announce_retry(turn: &Turn, message: &MessageId, attempt: u32, error: &MessageError, wait: u64) -> Result<(), Error> {
    let now = now_ms();
    let part = Part::Retry(retry_part(turn, message, attempt, error));
    let next = now + i64::try_from(wait).unwrap_or(i64::MAX / 2);
    let status = SessionStatus::Retry(StatusRetry { attempt, message: error.data.message.clone(), next });
    let status = turn.shared.statuses.set(&turn.session.id, status);
    let unit = turn.unit().part(part);
    Ok(turn.shared.store.commit(if let Some(status) = status { unit.status(status) } else { unit }).await?)
}

/// A number from 0 to 1 that keeps many sessions from trying again at the same moment.
#[expect(clippy::cast_precision_loss, reason = "16 bits fit")]
fn jitter() -> f64 {
    (crate::stdx::ids::next().0 & 0xffff) as f64 / 65_536.0
}
