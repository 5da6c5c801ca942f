//! One model call: its retries. Deltas are stored and sent while the next ones arrive: what
//! comes during one commit goes into the next, so a fast model costs few commits and a slow one no delay.

use polytree_protocol::{
    id::MessageId,
    message::{AssistantMessage, MessageError, MessageWithParts, Tokens},
    part::{Created, Part, RetryPart},
    session::{SessionStatus, StatusRetry},
};

use super::{
    failure::message_error,
    request::{self, history},
    state::Turn,
    stream::{Call, Fold, Streamed, stream},
};
use crate::{
    provider::{
        definition::{Error as ModelError, FinishReason},
        retry::Failures,
    },
    session::{Error, ids},
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
    let mut request = request::request(turn, history, final_step);
    // Told when the service has refused the request and is asked again without attachments.
    let mut bare: Option<RetryPart> = None;
    loop {
        let mut fold = Fold::new(turn.session.id.clone(), answer.id.clone(), ids::part_id);
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
            request = request::request(turn, history, final_step);
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
        id: ids::part_id(),
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
