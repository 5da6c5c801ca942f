//! The model's task list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of the task list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Todo {
    /// What is to be done.
    #[schemars(extend("x-long" = true))]
    pub content: String,
    /// `pending`, `in_progress`, `completed` or `cancelled`.
    pub status: String,
    /// `high`, `medium` or `low`.
    pub priority: String,
}
