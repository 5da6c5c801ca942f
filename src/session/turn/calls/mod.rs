//! The tool calls of one answer: repaired where the model erred, then run.

mod batch;
mod changes;
mod child;
mod execute;
mod host;

use std::sync::Arc;

use polytree_protocol::{
    id::MessageId,
    part::{Part, Span, ToolPart, ToolRunning, ToolState},
};
use serde_json::{Value, json};

use self::{
    execute::{Prepared, execute},
    host::closed,
};
use super::{
    arguments::{is_unwritten, repair},
    next::StepEnd,
    repeats::Repeats,
    state::Turn,
    stream::Call,
    tools::available,
};
use crate::{
    session::{Error, ids, sampling},
    stdx::{paths::AbsPath, time::now_ms},
    tool::{
        definition::{AnyTool, Tool as _, ToolError, erase},
        invalid::Invalid,
        task::Task,
    },
};

/// The most calls of one answer that are run. The model is told about the others.
const MAX_CALLS: usize = 128;

/// Runs the calls of an answer. With `at_limit` it ended at the output limit: then the last call may have been cut.
pub(super) async fn run(
    turn: &Arc<Turn>,
    message: &MessageId,
    calls: Vec<Call>,
    at_limit: bool,
    repeats: &mut Repeats,
) -> Result<StepEnd, Error> {
    let tools = available(turn);
    let guest_tools = turn.guest_tools();
    let (mut prepared, mut beyond) = (Vec::new(), Vec::new());
    let last = calls.len().saturating_sub(1);
    let (mut was_cut, mut usable) = (false, false);
    for (place, call) in calls.into_iter().enumerate() {
        let may_be_cut = at_limit && place == last;
        let repaired = repair(&tools, &call.name, &call.arguments);
        let cut = may_be_cut && (repaired.is_err() || is_unwritten(&call.arguments));
        let repaired = if cut { Err(cut_call(turn)) } else { repaired };
        let (tool, input) = repaired.unwrap_or_else(|problem| invalid(&call.name, &problem));
        was_cut |= cut;
        usable |= tool.name() != Invalid::NAME;
        let running = ToolRunning { input: input.clone(), title: None, metadata: None, time: Span { start: now_ms(), end: None } };
        let mut part = ToolPart {
            id: call.part_id,
            session_id: turn.session.id.clone(),
            message_id: message.clone(),
            call_id: call.call_id,
            tool: tool.name().to_owned(),
            subject: tool.subject(&input, &turn.workspace.checkout.directory),
            state: ToolState::Running(running.clone()),
            metadata: call.metadata,
        };
        if prepared.len() < MAX_CALLS {
            // How often a guest's tool may be called is for the guest to say.
            let is_of_guest = guest_tools.iter().any(|tool| tool.name() == call.name);
            let repeated = !cut && !is_of_guest && repeats.call(tool.name(), &input);
            prepared.push(Prepared { part, tool, input, repeated });
        } else {
            let text = format!(
                "This call was not run: an answer may hold at most {MAX_CALLS} tool calls. If it is still needed, make it in your next answer."
            );
            part.state = closed(&running, Err(ToolError::Failed(text)));
            beyond.push(Part::Tool(part));
        }
    }
    repeats.answer(was_cut, usable);
    execute(turn, prepared, beyond).await
}

/// Starts child sessions by calls that no model has made: their ids and their arguments.
pub(super) async fn run_given(turn: &Arc<Turn>, message: &MessageId, given: Vec<(String, Value)>) -> Result<StepEnd, Error> {
    let tool = erase(Task);
    let prepared = given.into_iter().map(|(call_id, input)| {
        let time = Span { start: now_ms(), end: None };
        let part = ToolPart {
            id: ids::part_id(),
            session_id: turn.session.id.clone(),
            message_id: message.clone(),
            call_id,
            tool: Task::NAME.to_owned(),
            subject: tool.subject(&input, &turn.workspace.checkout.directory),
            state: ToolState::Running(ToolRunning { input: input.clone(), title: None, metadata: None, time }),
            metadata: None,
        };
        Prepared { part, tool: Arc::clone(&tool), input, repeated: false }
    });
    execute(turn, prepared.collect(), Vec::new()).await
}

/// Runs those calls of an answer that waited for a person when the last daemon stopped; answers given since then count.
pub(super) async fn resume(turn: &Arc<Turn>, message: &MessageId, parts: Vec<Part>) -> Result<StepEnd, Error> {
    remember_files(turn, message).await?;
    let tools = available(turn);
    let mut prepared = Vec::new();
    for part in parts {
        let Part::Tool(mut part) = part else { continue };
        let ToolState::Running(running) = &mut part.state else { continue };
        let input = running.input.clone();
        let known = turn.workspace.tools.iter().find(|tool| tool.name() == part.tool).cloned();
        let (tool, input) = match known.or_else(|| (part.tool == Invalid::NAME).then(|| erase(Invalid))) {
            Some(tool) => (tool, input),
            None => repair(&tools, &part.tool, &input.to_string()).unwrap_or_else(|problem| invalid(&part.tool, &problem)),
        };
        running.metadata = None;
        prepared.push(Prepared { part, tool, input, repeated: false });
    }
    execute(turn, prepared, Vec::new()).await
}

/// Restores which files the session had read before the restart, from the questions: a change is resumed only if the file
/// is still the one that the question was about.
async fn remember_files(turn: &Turn, message: &MessageId) -> Result<(), Error> {
    let asked = turn.shared.store.asked_in(turn.session.id.clone(), message.clone()).await?;
    let file_times = turn.shared.file_times(&turn.session.id);
    for question in asked.iter().filter(|question| question.kind == "edit") {
        let text = |field: &str| question.metadata[field].as_str();
        if let Some(path) = text("filePath").and_then(AbsPath::new)
            && let Some(hash) = text("version").and_then(|version| blake3::Hash::from_hex(version).ok())
            && file_times.last(&path).is_none()
        {
            file_times.record(&path, hash);
        }
    }
    Ok(())
}

/// The tool that tells the model what was wrong with a call.
fn invalid(name: &str, problem: &str) -> (Arc<dyn AnyTool>, Value) {
    (erase(Invalid), json!({ "tool": name, "error": problem }))
}

/// What the model is told of a call that the output limit has cut off.
fn cut_call(turn: &Turn) -> String {
    let limit = sampling::sampling(&turn.user, &turn.agent, &turn.model).max_output_tokens;
    format!(
        "Your answer reached the output limit (at most {limit} tokens), which cut this call off in the middle of its arguments: it was not \
         run. Do not repeat it as it was. Make it shorter: write a long file in several calls, each with a part of it, or change \
         only the lines that differ."
    )
}
