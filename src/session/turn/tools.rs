//! Which tools the model may call in a turn.

use std::{collections::BTreeMap, sync::Arc};

use super::state::Turn;
use crate::{
    permission::rules::Rules,
    provider::definition::ToolSpec,
    session::children,
    tool::{
        definition::{AnyTool, Tool as _},
        select,
        task::{self, Task},
    },
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

/// What is offered is what can be called.
pub(super) fn available(turn: &Turn) -> Vec<Arc<dyn AnyTool>> {
    let rules = turn.rules(&[]);
    let prompt = turn.user.tools.clone().unwrap_or_default();
    let is_on = |name: &str, agent: &BTreeMap<String, bool>, prompt: &BTreeMap<String, bool>| {
        select::switch(name, &[&turn.workspace.tool_switches, agent, prompt]) != Some(false)
    };
    let is_available = |tool: &&Arc<dyn AnyTool>| {
        is_on(tool.name(), &turn.agent.tools, &prompt)
            && turn.callers.iter().all(|caller| is_on(tool.name(), &caller.agent.tools, &caller.tools))
            && !rules.denies_all(tool.permission())
    };
    let tools = turn.workspace.tools.iter().filter(is_available).cloned();
    tools
        .filter_map(|tool| if tool.name() == Task::NAME { starting_agents(turn, &rules) } else { Some(tool) })
        .chain(turn.guest_tools())
        .collect()
}

/// The tool that starts agents, with those that it can start; `None` without any.
fn starting_agents(turn: &Turn, rules: &Rules) -> Option<Arc<dyn AnyTool>> {
    let agents = &turn.workspace.agents;
    let can_start = children::may_have_children(&turn.workspace.task, turn.depth) && children::agents(agents, rules).next().is_some();
    can_start.then(|| task::with_agents(children::agents(agents, rules)))
}
