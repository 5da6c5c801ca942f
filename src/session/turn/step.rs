//! One step of a turn: an answer of the model, and its tool calls.

use std::sync::Arc;

use polytree_protocol::{id::MessageId, message::MessageWithParts};

use super::{
    answer::finish_error,
    calls,
    model_call::{self, ModelEnd},
    next::{LoopState, StepEnd},
    state::{Open, Step, Turn},
};
use crate::{
    provider::{definition::FinishReason, retry::Failures},
    session::Error,
};

/// Begins an answer, calls the model, and runs the calls of its answer. The answer is still open then; `last` is its id.
pub(super) async fn run(
    turn: &Arc<Turn>,
    state: &mut LoopState,
    history: &mut Vec<MessageWithParts>,
    last: &mut Option<MessageId>,
) -> Result<(Step, StepEnd), Error> {
    let mut step = Step::new(turn.begin(history).await?, FinishReason::Other);
    let id = step.answer.id.clone();
    *last = Some(id.clone());
    state.is_final = turn.agent.steps.is_some_and(|limit| state.steps + 1 >= limit);
    let ended = match model_call::run(turn, &id, history, state.is_final, &mut state.failures).await? {
        ModelEnd::Aborted => StepEnd::Aborted,
        ModelEnd::Failed { error, retry, tokens } => {
            step.tokens = tokens;
            StepEnd::Failed { error, retry }
        }
        ModelEnd::Finished { calls, reason, tokens } => {
            state.failures = Failures::default();
            (step.reason, step.tokens) = (reason, tokens);
            step.called = calls.iter().map(|call| call.name.clone()).collect();
            if !calls.is_empty() {
                calls::run(turn, &id, calls, reason == FinishReason::Length, &mut state.repeats).await?
            } else if let Some(error) = finish_error(reason, &turn.model) {
                StepEnd::Failed { error, retry: false }
            } else {
                StepEnd::Answered
            }
        }
    };
    Ok((step, ended))
}

/// Goes on with an answer whose calls waited for a person when the daemon before this one stopped.
pub(super) async fn resume(turn: &Arc<Turn>, open: Open, history: &mut Vec<MessageWithParts>) -> Result<(Step, StepEnd), Error> {
    let Open { answer, parts } = open;
    history.retain(|message| *message.info.id() != answer.id);
    let ended = calls::resume(turn, &answer.id, parts).await?;
    Ok((Step::new(answer, FinishReason::ToolCalls), ended))
}
