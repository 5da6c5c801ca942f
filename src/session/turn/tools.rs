//! Which tools the model may call in a turn.

use std::sync::Arc;

use super::state::Turn;
use crate::{
    provider::definition::ToolSpec,
    tool::{definition::AnyTool, select},
};

/// The tools that the model is told of. In the last step only those of guests.
pub(super) fn offered(turn: &Turn, is_final: bool) -> Vec<ToolSpec> {
    let tools = if is_final { turn.guest_tools() } else { available(turn) };
    let spec = |tool: Arc<dyn AnyTool>| ToolSpec {
        name: tool.name().to_owned(),
        description: tool.description().to_owned(),
        parameters: tool.parameters(),
    };
    tools.into_iter().map(spec).collect()
}

pub(super) fn available(turn: &Turn) -> Vec<Arc<dyn AnyTool>> {
    let rules = turn.rules(&[]);
    let prompt = turn.user.tools.clone().unwrap_or_default();
    let switches = [&turn.workspace.tool_switches, &turn.agent.tools, &prompt];
    let is_available =
        |tool: &&Arc<dyn AnyTool>| select::switch(tool.name(), &switches) != Some(false) && !rules.denies_all(tool.permission());
    turn.workspace.tools.iter().filter(is_available).cloned().chain(turn.guest_tools()).collect()
}
