//! A tool call that does a job in a child session.

use std::sync::Arc;

use polytree_protocol::{part::Part, provider::ModelRef};

use crate::{
    session::{
        children::{self, Caller},
        turn::{request::history, state::Turn},
    },
    tool::{
        context::{Job, ToolContext},
        definition::{ToolError, ToolOutput},
    },
};

/// Starts the child and, unless it works in the background, waits for its end. `rest` is called before that: a call that waits
/// takes no slot.
pub(super) async fn run(turn: &Arc<Turn>, context: &ToolContext, mut job: Job, rest: impl FnOnce()) -> Result<ToolOutput, ToolError> {
    let (title, background) = (job.description.clone(), job.background);
    if let Some(part) = history::part_of(&context.call_id) {
        job.model = model_of(turn, part).await?;
    }
    let rules = turn.rules(&[]);
    let caller = Caller {
        shared: &turn.shared,
        session: &turn.session,
        workspace: &turn.workspace,
        agent: &turn.agent,
        user: &turn.user,
        model: &turn.model.reference,
        rules: &rules,
        environment: &turn.environment,
        depth: turn.depth,
        message_id: &context.message_id,
        call_id: &context.call_id,
    };
    let child = children::start(&caller, job).await.map_err(ToolError::Failed)?;
    let running = child.running();
    context.host.progress(context, Some(title.clone()), running.clone()).await;
    if background {
        let id = child.id().clone();
        if context.cancel.is_cancelled() {
            child.abort().await;
            return Err(ToolError::Aborted);
        }
        child.leave();
        let text = format!(
            "The agent works in the background, in the session {id}. You are told of its end at a later step: go on with other work, or end \
             your turn. To give it more work after its end, call this tool with task_id {id}."
        );
        return Ok(ToolOutput::new(title, text, running));
    }
    rest();
    let done = child.wait(&context.cancel).await.map_err(|error| ToolError::failed(error.to_string()))?;
    let Some(done) = done else { return Err(ToolError::Aborted) };
    if done.has_failed {
        // The metadata of a failed call are those that it had while it ran.
        context.host.progress(context, Some(title), done.metadata).await;
        return Err(ToolError::Failed(done.text));
    }
    Ok(ToolOutput::new(title, done.text, done.metadata))
}

/// The model that a prompt names for a job.
async fn model_of(turn: &Turn, part: &str) -> Result<Option<ModelRef>, ToolError> {
    let prompt = turn.stored(&turn.user.id).await.map_err(|error| ToolError::failed(error.to_string()))?;
    let parts = prompt.map(|prompt| prompt.parts).unwrap_or_default();
    Ok(parts.into_iter().find_map(|found| match found {
        Part::Subtask(found) if found.id.as_str() == part => found.model,
        _ => None,
    }))
}
