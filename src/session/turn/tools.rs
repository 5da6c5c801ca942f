//! Which tools the model may call in a turn.

use std::sync::Arc;

use super::state::Turn;
use crate::{
    provider::definition::ToolSpec,
    tool::{definition::AnyTool, select},
};

/// The tools that the model is offered.
pub(super) fn offered(turn: &Turn) -> Vec<ToolSpec> {
    available(turn)
        .map(|tool| ToolSpec { name: tool.name().to_owned(), description: tool.description().to_owned(), parameters: tool.parameters() })
        .collect()
}

/// The tools that the model may call.
pub(super) fn available(turn: &Turn) -> impl Iterator<Item = &Arc<dyn AnyTool>> {
    let rules = turn.rules(&[]);
    let switches = [&turn.workspace.tool_switches, &turn.agent.tools];
    let prompt = turn.user.tools.clone().unwrap_or_default();
    let offered = turn.workspace.tools.iter().filter(move |tool| {
        let name = tool.name();
        name != "invalid" && select::is_offered(name, &[switches[0], switches[1], &prompt], |kind| rules.denies_all(kind))
    });
    // By it the answer is given: no switch takes it away.
    offered.chain(&turn.form_tool)
}
