//! The begin of a turn whose prompt is a command. Its shell lines run as calls of bash, with the permissions of the turn, in
//! an answer of their own that the model does not read; their outputs take the places of the lines.

use std::sync::Arc;

use polytree_protocol::{
    events::{CommandInfo, EventPayload},
    id::MessageId,
    message::{AssistantMessage, Message, MessageWithParts},
    part::{Part, ToolPart, ToolState},
};
use serde_json::json;

use super::{
    calls,
    next::{End, Next, StepEnd},
    repeats::Repeats,
    state::{Open, Step, Turn},
    stream::Call,
};
use crate::{
    provider::definition::FinishReason,
    session::{
        Error, ids,
        prompt::called::{Called, FINISH},
    },
    stdx::time::now_ms,
    store::new_answer,
};

/// Runs the shell lines of the turn's prompt, if it is a command that has any. Returns how the turn ends, if it does.
pub(super) async fn begin(
    turn: &Arc<Turn>,
    history: &mut Vec<MessageWithParts>,
    open: &mut Option<Open>,
    last: &mut Option<MessageId>,
) -> Result<Option<End>, Error> {
    let Some(prompt) = history.iter_mut().find(|message| *message.info.id() == turn.user.id) else { return Ok(None) };
    let called = |part: &Part| if let Part::Text(text) = part { Called::of(text) } else { None };
    let Some((place, called)) = prompt.parts.iter().enumerate().find_map(|(place, part)| Some((place, called(part)?))) else {
        return Ok(None);
    };
    let info = CommandInfo {
        session_id: turn.session.id.clone(),
        message_id: turn.user.id.clone(),
        name: called.name.clone(),
        arguments: called.arguments.clone(),
    };
    let unit = turn.unit().event(EventPayload::CommandExecuted(info));
    if called.shell.is_empty() {
        // A turn that is resumed has told it.
        if open.is_none() {
            turn.shared.store.commit(unit).await?;
        }
        return Ok(None);
    }
    let (mut answer, ended) = run(turn, &called, open.take(), last).await?;
    let id = answer.id.clone();
    let end = match ended {
        StepEnd::Rejected => Some(End::Done),
        StepEnd::Aborted => Some(End::Aborted),
        StepEnd::Suspended => Some(End::Suspended),
        StepEnd::Called | StepEnd::Answered | StepEnd::Failed { .. } => None,
    };
    if let Some(end) = end {
        turn.close(Step::new(answer, FinishReason::ToolCalls), &Next::End(end.clone())).await?;
        return Ok(Some(end));
    }
    let stored = turn.stored(&answer.id).await?.map(|message| message.parts).unwrap_or_default();
    let Part::Text(text) = &mut prompt.parts[place] else { return Ok(None) };
    // From the end, so that the places before stay.
    for (number, shell) in called.shell.iter().enumerate().rev() {
        if text.text.get(shell.start..shell.end).is_some() {
            text.text.replace_range(shell.start..shell.end, output(&stored, number).trim_end_matches('\n'));
        }
    }
    text.metadata = Some(Called { shell: Vec::new(), ..called }.metadata());
    answer.time.completed = Some(now_ms());
    answer.finish = Some(FINISH.to_owned());
    turn.shared.store.commit(unit.part(prompt.parts[place].clone()).message(Message::Assistant(answer))).await?;
    // That of a turn that was resumed.
    history.retain(|message| *message.info.id() != id);
    Ok(None)
}

async fn run(
    turn: &Arc<Turn>,
    called: &Called,
    open: Option<Open>,
    last: &mut Option<MessageId>,
) -> Result<(AssistantMessage, StepEnd), Error> {
    if let Some(Open { answer, parts }) = open {
        let ended = calls::resume(turn, &answer.id, parts).await?;
        return Ok((answer, ended));
    }
    let checkout = &turn.workspace.checkout;
    let answer = new_answer(&turn.user, &checkout.directory.to_string(), &checkout.worktree.to_string());
    turn.shared.store.commit(turn.unit().message(Message::Assistant(answer.clone()))).await?;
    *last = Some(answer.id.clone());
    let calls = called.shell.iter().enumerate().map(|(number, shell)| Call {
        part_id: ids::part_id(),
        call_id: call_id(number),
        name: "bash".to_owned(),
        arguments: json!({ "command": shell.line, "description": format!("for the command {}", called.name) }).to_string(),
        metadata: None,
    });
    let ended = calls::run(turn, &answer.id, calls.collect(), false, &mut Repeats::default()).await?;
    Ok((answer, ended))
}

fn call_id(number: usize) -> String {
    format!("command_{}", number + 1)
}

/// What a shell line has printed, or why it did not run.
fn output(parts: &[Part], number: usize) -> String {
    let id = call_id(number);
    let call = |part: &Part| if let Part::Tool(part) = part { Some(part).filter(|part| part.call_id == id).cloned() } else { None };
    match parts.iter().find_map(call) {
        Some(ToolPart { state: ToolState::Completed(done), .. }) => done.output,
        Some(ToolPart { state: ToolState::Error(failed), .. }) => format!("(This shell line has failed: {})", failed.error),
        _ => "(This shell line did not run.)".to_owned(),
    }
}
