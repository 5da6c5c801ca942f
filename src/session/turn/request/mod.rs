//! What the model is asked: the instructions, the conversation, the tools, the options.

mod fit;
pub mod history;
mod system;

use polytree_protocol::message::MessageWithParts;

use super::{guests::structured, state::Turn, tools};
use crate::{
    provider::{
        definition::{ModelMessage, ModelRequest, UserContent},
        forced_call, merge,
    },
    session::sampling::{self, Choices},
    stdx::time::{day, now_ms},
};

/// The request of a step.
pub(super) fn request(turn: &Turn, history: &[MessageWithParts], final_step: bool) -> ModelRequest {
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
    let mut tools = if calls_tools { tools::offered(turn) } else { Vec::new() };
    if final_step {
        tools.retain(|tool| turn.form.is_some() && tool.name == structured::TOOL);
    }
    let Choices { temperature, top_p, max_output_tokens, mut options } = sampling::choices(&turn.user, &turn.agent, &turn.model);
    let mut system = system::system(&turn.workspace, prompt, &turn.model.reference.to_string(), &day(now_ms()));
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
