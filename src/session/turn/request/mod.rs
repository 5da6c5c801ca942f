//! What the model is asked in a step: instructions, conversation, tools, options.

pub mod fit;
pub mod history;
mod system;
pub mod visible;

use polytree_protocol::message::MessageWithParts;

use super::{state::Turn, tools};
use crate::{
    provider::definition::{ModelMessage, ModelRequest, UserContent},
    session::sampling::{self, Sampling},
    stdx::time::{day, now_ms},
};

/// The request of a step, as the guests want it.
pub(super) fn request(turn: &Turn, history: &[MessageWithParts], is_final: bool) -> ModelRequest {
    let prompt = turn.user.system.as_deref().or(turn.agent.prompt.as_deref());
    let Sampling { temperature, top_p, max_output_tokens, options } = sampling::sampling(&turn.user, &turn.agent, &turn.model);
    let mut request = ModelRequest {
        model: turn.model.reference.clone(),
        info: turn.model.info.clone(),
        system: system::system(&turn.workspace, prompt, &turn.model.reference.to_string(), &day(now_ms())),
        messages: history::to_model(history, &turn.model.reference),
        tools: if turn.model.info.tool_call { tools::offered(turn, is_final) } else { Vec::new() },
        temperature,
        top_p,
        max_output_tokens,
        options,
        cache_key: turn.session.id.to_string(),
    };
    for guest in &turn.guests {
        guest.before_request(turn, history, &mut request);
    }
    if is_final {
        let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
        let how = if names.is_empty() {
            "without calling tools".to_owned()
        } else {
            format!("by calling {} and no other tool", names.join(" or "))
        };
        let text = format!("This is the last step of this turn: answer with what you have, {how}.");
        request.messages.push(ModelMessage::User(vec![UserContent::Text(text)]));
    }
    fit::fit(&mut request, max_output_tokens, history);
    request
}

/// Adds a text to what the user said last. It is not stored.
pub(super) fn remind(request: &mut ModelRequest, text: &str) {
    let text = UserContent::Text(text.to_owned());
    let mut users = request.messages.iter_mut().rev();
    match users.find_map(|message| if let ModelMessage::User(content) = message { Some(content) } else { None }) {
        Some(content) => content.push(text),
        None => request.messages.push(ModelMessage::User(vec![text])),
    }
}
