//! Removing what is over the limits of the settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Params of `server.gc`.
    ServerGcParams {
        /// Only says what would be removed.
        #[serde(default, rename = "dryRun", skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}

/// Result of `server.gc`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerGcResult {
    /// Nothing was removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What was removed, or would be, by kind.
    pub kinds: Vec<GcKindResult>,
    /// The size of the database before.
    pub database_before: u64,
    /// The size of the database afterwards.
    pub database_after: u64,
}

/// What was removed of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GcKindResult {
    /// The kind.
    pub kind: GcKind,
    /// What was removed, or would be.
    pub removed: GcTotal,
    /// What there is afterwards, or would be.
    pub kept: GcTotal,
    /// Why some of it could not be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A number of things and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GcTotal {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A kind of data that is kept for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GcKind {
    /// Events of the log.
    #[default]
    Events,
    /// Files with whole outputs of tools.
    Outputs,
    /// Contents of changed files, for undo.
    Snapshots,
    /// Archived sessions.
    Archived,
}
