//! Agents as clients see them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{permission::Rule, provider::ModelRef};

params! {
    /// Params of `agent.list`.
    AgentListParams {}
}

/// Who may start an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentMode {
    /// The user.
    Primary,
    /// The model, by the task tool.
    Subagent,
    /// Both.
    #[default]
    All,
}

/// A persona: its prompt, model, tools and permissions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// The name by which a prompt asks for it.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who may start it.
    pub mode: AgentMode,
    /// Shipped with the daemon.
    pub built_in: bool,
    /// The model it prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// Replaces the built-in system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The longest answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The variant of the model, for prompts that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The most model calls in one turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Tools switched on or off by name or wildcard.
    pub tools: BTreeMap<String, bool>,
    /// Its permission rules, in order; the last match wins.
    pub permission: Vec<Rule>,
    /// Further options for the provider.
    pub options: BTreeMap<String, Value>,
    /// The files that define or change it, lowest first: of what several say, the last one counts. Empty for a built-in
    /// agent that nothing changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
}
