//! The model call of a step. It is tried again where that may help.

use polytree_protocol::{
    id::MessageId,
    message::{MessageError, MessageWithParts, Tokens},
    part::{Part, RetryPart},
};

use super::{
    compact,
    failure::message_error,
    request::{history, request},
    retries::{jitter, put, retry_part, wait_for_retry},
    state::Turn,
    stream::{Call, Fold, Streamed, stream},
};
use crate::{
    provider::{
        definition::{Error as ModelError, FinishReason},
        retry::Failures,
    },
    session::{Error, ids},
};

pub(super) enum ModelEnd {
    Finished {
        calls: Vec<Call>,
        reason: FinishReason,
        tokens: Tokens,
    },
    /// With `retry`, another attempt in a new message may succeed.
    Failed {
        error: MessageError,
        retry: bool,
        tokens: Tokens,
    },
    Aborted,
}

/// Calls the model until an answer is complete, and retries where that may help. `failures` counts the calls in a row that
/// have failed, also in earlier messages.
pub(super) async fn run(
    turn: &Turn,
    answer: &MessageId,
    history: &[MessageWithParts],
    is_final: bool,
    failures: &mut Failures,
) -> Result<ModelEnd, Error> {
    // Stored when the service has refused the request, and it is sent again without attachments.
    let mut bare: Option<RetryPart> = None;
    loop {
        // Made again for each attempt, as the history may be long and most calls succeed.
        let mut request = request(turn, history, is_final);
        if bare.is_some() {
            history::leave_out_attachments(&mut request.messages);
        }
        let mut fold = Fold::new(turn.session.id.clone(), answer.clone(), ids::part_id);
        let (error, tokens) = match stream(turn, &turn.model, answer, request, &mut fold).await? {
            Streamed::Finished(reason, tokens) if is_empty(&fold, reason) => {
                let message = format!("{} ended its answer without a word and without a call", turn.model.reference);
                (ModelError::Empty { message }, tokens)
            }
            Streamed::Finished(reason, tokens) => {
                let reason = if fold.calls.is_empty() || reason == FinishReason::Length { reason } else { FinishReason::ToolCalls };
                return Ok(ModelEnd::Finished { calls: fold.calls, reason, tokens });
            }
            Streamed::Aborted => return Ok(ModelEnd::Aborted),
            Streamed::Failed(error) => (error, Tokens::default()),
        };
        if turn.guests.iter().any(|guest| guest.adapts_to(&error)) {
            continue;
        }
        let wait = failures.add(&error, jitter());
        let mut message = message_error(&error, &turn.model.reference, turn.model.unset.as_deref());
        let Some(wait) = wait else {
            let is_overflow = matches!(error, ModelError::ContextOverflow { .. });
            let refused = is_about_the_request(&error) && !fold.has_spoken && !(is_overflow && compact::is_possible(turn, history));
            let has_attachments = || history::leave_out_attachments(&mut self::request(turn, history, is_final).messages);
            if refused && bare.is_none() && has_attachments() {
                message.data.hint = Some(WITHOUT_ATTACHMENTS.to_owned());
                let part = RetryPart { without_attachments: true, ..retry_part(turn, answer, failures.count(), &message) };
                put(turn, Part::Retry(part.clone())).await?;
                bare = Some(part);
                continue;
            }
            if let Some(part) = bare.filter(|_| refused) {
                // It was not the attachments: later requests have them again.
                put(turn, Part::Retry(RetryPart { without_attachments: false, ..part })).await?;
            }
            return Ok(ModelEnd::Failed { error: message, retry: false, tokens });
        };
        if !wait_for_retry(turn, answer, failures.count(), &message, wait).await? {
            return Ok(ModelEnd::Aborted);
        }
        // What a client has seen, or what has cost something, stays on record.
        if fold.has_spoken || tokens != Tokens::default() {
            return Ok(ModelEnd::Failed { error: message, retry: true, tokens });
        }
    }
}

/// Whether an answer that ended well says nothing: reasoning alone is no answer. An answer that was withheld, or used up
/// its output limit, has an error of its own.
fn is_empty(fold: &Fold, reason: FinishReason) -> bool {
    let should_speak = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other);
    should_speak && fold.calls.is_empty() && !fold.has_text
}

const WITHOUT_ATTACHMENTS: &str =
    "the request is sent again without the attached images and documents; attach what is still needed in another size or format";

/// Whether the service has refused the content of the request, and not the key or the rate.
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
