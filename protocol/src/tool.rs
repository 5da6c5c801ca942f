//! Tool descriptions as clients see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

params! {
    /// Params of `tool.list`.
    ToolListParams {}
}

/// A tool that a model is offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolInfo {
    /// The name that the model calls.
    pub id: String,
    /// What the model reads about it.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: Value,
}
