//! Work for child sessions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{MessageId, PartId},
    provider::ModelRef,
};

/// The call of the tool `task` for which a session works. It can do no more than the agent that made the call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskCall {
    /// The message of the parent that holds the call.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The call.
    #[serde(rename = "callID")]
    pub call_id: String,
    /// The agent that made the call.
    pub caller: String,
    /// The tools that were switched on or off for the caller's prompt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, bool>,
    /// The call did not wait for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background: bool,
    /// The parent has been told how it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

/// Work for a child session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubtaskInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// What the child is asked.
    pub prompt: String,
    /// A few words for people.
    pub description: String,
    /// The agent that does it; its `mode` must be `subagent` or `all`.
    pub agent: String,
    /// The model that it uses. Default: the agent's, else that of this prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
}

/// How far a child session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// It works, or waits for an answer of the user.
    Running,
    /// It has ended with a final message.
    Finished,
    /// It was cut off; what it has said so far is there.
    Partial,
    /// It has given nothing.
    Failed,
}
