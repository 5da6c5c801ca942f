//! Showing files in editors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{buffer::TextRange, id::SessionId};

params! {
    /// Params of `editor.open`.
    EditorOpenParams {
        /// The file: relative to the directory that the request means, or absolute. It must exist and lie in the worktree.
        path: String,
        /// What is to be shown of it; default: where the editor was last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range: Option<TextRange>,
        /// The session whose directory is meant.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

/// What a client can do beside asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCapabilities {
    /// It shows a file for the event `editor.open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// It makes edits for the event `buffer.edit`; for diagnosis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edits: Option<bool>,
    /// It shows differences of files; for diagnosis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diffs: Option<bool>,
}

/// A file that is to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EditorOpenInfo {
    /// The absolute path.
    pub path: String,
    /// What is to be shown of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<TextRange>,
}
