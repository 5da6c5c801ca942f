//! What a question about a permission tells beside its patterns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sandbox::SandboxReport;

/// More about a question. What is there depends on the permission's type and on what asks; a command also asks for
/// the types `read`, `edit`, `external_directory` and `sandbox`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionMetadata {
    /// Of a command: the line as it will run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The line with what cannot be seen as `\u{202e}`, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// Of a command: what it does, in the model's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Of a command: the directory in which it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Of a command: patterns of the places outside of the worktree, and of those that hold keys, that it works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directories: Option<Vec<String>>,
    /// Of a command: false where it cannot be told what it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub understood: Option<bool>,
    /// Where a command is not understood: the patterns that rules deny. `polytree run --yes` rejects the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denies: Option<Vec<String>>,
    /// Of a git command: what the repository's settings could make it run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Vec<String>>,
    /// Of a command that is granted for one place only: by what names grants know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<std::collections::BTreeMap<String, Vec<String>>>,
    /// Of a command: what it would run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxReport>,
    /// Of the type `sandbox`: why it should run outside of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a file: its absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    /// Of the type `edit`: the change as a unified diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Of the type `edit`: BLAKE3 of the file as it is, in hexadecimal; absent where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of the type `external_directory`: the directory that "always" grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Of a patch: the files that it would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<PatchChange>>,
    /// Of a fetch: the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Of a fetch: what would be returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<WebFormat>,
    /// Of a fetch: the URL that has redirected to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirected_from: Option<String>,
    /// Of a search: its pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Of a search or a list: where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of a search: only files whose path matches this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<String>,
    /// Of a search: the files in which matches were found and which a rule asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    /// Of the type `repeat`: the tool that is called again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Of the type `repeat`: its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
}

/// What is done to a file by a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatchAction {
    /// It is new.
    Add,
    /// Its content changes.
    Update,
    /// It goes.
    Delete,
    /// It comes from another name, which is told as deleted.
    Move,
}

/// A file that a patch would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchChange {
    /// The absolute path.
    pub file_path: String,
    /// What would be done.
    pub action: PatchAction,
    /// BLAKE3 of the file as it is, in hexadecimal; absent where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The form in which a page is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebFormat {
    /// HTML is converted.
    Markdown,
    /// Without markup.
    Text,
    /// As it was sent.
    Html,
    /// Checked and laid out.
    Json,
}
