//! The stream of one answer: deltas become parts, and are stored and sent while the next ones arrive. What comes during
//! one commit goes into the next, so a fast model costs few commits and a slow one no delay.

mod fold;
mod unwritten;

use futures::StreamExt as _;
use polytree_protocol::{
    id::MessageId,
    message::Tokens,
    part::{Part, Span, ToolFailed, ToolPart, ToolState},
};
use serde_json::json;

pub(super) use self::fold::{Call, Fold};
use self::{fold::Change, unwritten::Unwritten};
use super::{arguments::parse_input, state::Turn};
use crate::{
    provider::definition::{CALL_LENGTH, Delta, Error as ModelError, FinishReason, MAX_ANSWER, ModelRequest},
    session::Error,
    stdx::time::now_ms,
};

pub(super) enum Streamed {
    Finished(FinishReason, Tokens),
    Failed(ModelError),
    Aborted,
}

/// Streams one answer of the model into the store.
pub(super) async fn stream(turn: &Turn, message: &MessageId, request: ModelRequest, fold: &mut Fold) -> Result<Streamed, Error> {
    let _call = turn.progress.begin_model_call(&turn.model.reference);
    let mut deltas = turn.model.provider.stream(request);
    let unwritten = Unwritten::new(&turn.shared.store, &turn.scope, message);
    let (mut received, mut full) = (0, false);
    let ended = loop {
        break tokio::select! {
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
                    turn.progress.touch();
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
        // They count as a whole.
        Delta::ToolCallArguments { .. } | Delta::Finish { .. } => 0,
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
                    input: parse_input(input).unwrap_or_else(|_| json!({})),
                    error: error.to_owned(),
                    metadata: aborted.then(|| json!({ "aborted": true })),
                    time: Span { start: now, end: Some(now) },
                }),
                metadata: None,
            }))
        })
        .collect()
}
