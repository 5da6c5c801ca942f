//! The jobs for child sessions that a prompt holds: they are done before the model is asked.

use std::sync::Arc;

use polytree_protocol::{
    id::MessageId,
    message::MessageWithParts,
    part::{Part, SubtaskPart},
};
use serde_json::json;

use super::{
    calls,
    next::{End, LoopState, Next, next},
    request::history,
    state::{Step, Turn},
};
use crate::{provider::definition::FinishReason, session::Error};

/// Does the jobs of the prompt, side by side. Returns the end of the turn if it ends with them.
pub(super) async fn run(turn: &Arc<Turn>, history: &mut Vec<MessageWithParts>, last: &mut Option<MessageId>) -> Result<Option<End>, Error> {
    let own = history.iter().filter(|message| *message.info.id() == turn.user.id).flat_map(|message| &message.parts);
    let jobs: Vec<SubtaskPart> = own.filter_map(|part| if let Part::Subtask(part) = part { Some(part.clone()) } else { None }).collect();
    if jobs.is_empty() {
        return Ok(None);
    }
    let step = Step::new(turn.begin(history).await?, FinishReason::ToolCalls);
    let id = step.answer.id.clone();
    *last = Some(id.clone());
    let given = jobs.into_iter().map(|job| {
        let input = json!({ "description": job.description, "prompt": job.prompt, "subagent_type": job.agent });
        (history::call_of(&job.id), input)
    });
    let ended = calls::run_given(turn, &id, given.collect()).await?;
    let next = next(&LoopState::default(), ended, None);
    turn.close(step, &next).await?;
    if let Next::End(end) = next {
        return Ok(Some(end));
    }
    history.extend(turn.read_back(&id).await?);
    Ok(None)
}
