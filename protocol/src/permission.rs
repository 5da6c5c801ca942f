//! Permission questions, answers, rules and grants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{GrantId, MessageId, PermissionId, ProjectId, SessionId};

params! {
    /// Params of `permission.list`.
    PermissionListParams {
        /// Only this session and its descendants.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

params! {
    /// Params of `permission.reply`.
    PermissionReplyParams {
        /// The session that asked.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The question.
        #[serde(rename = "permissionID")]
        permission_id: PermissionId,
        /// The answer.
        response: PermissionResponse,
        /// With `reject`: a message for the model; the turn then continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    }
}

params! {
    /// Params of `permission.grants`.
    PermissionGrantsParams {}
}

params! {
    /// Params of `permission.revoke`.
    PermissionRevokeParams {
        /// The grant to take back.
        id: GrantId,
    }
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Go ahead.
    Allow,
    /// Ask the user.
    Ask,
    /// Never.
    Deny,
}

/// A permission rule. The last matching rule wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// The permission's type, such as `bash` or `edit`; `*` for all.
    pub permission: String,
    /// What it applies to: a wildcard pattern over a command, path or address.
    pub pattern: String,
    /// What then.
    pub action: Action,
}

/// An answer of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionResponse {
    /// This one time.
    #[default]
    Once,
    /// From now on, for the patterns in `always`, in this project.
    Always,
    /// No.
    Reject,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionOutcome {
    /// Allowed this one time.
    Once,
    /// Allowed from now on.
    Always,
    /// Refused.
    Reject,
    /// Withdrawn because the turn was aborted.
    Aborted,
    /// Withdrawn because it is obsolete.
    Expired,
}

/// An open permission question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Permission {
    /// The question's id.
    pub id: PermissionId,
    /// The session that asks.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// The assistant message that holds the tool call.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The tool call.
    #[serde(rename = "callID")]
    pub call_id: String,
    /// The permission's type, such as `bash` or `edit`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is asked for.
    #[schemars(extend("x-long" = true))]
    pub patterns: Vec<String>,
    /// What "always" would grant.
    #[schemars(extend("x-long" = true))]
    pub always: Vec<String>,
    /// One line for people.
    #[schemars(extend("x-long" = true))]
    pub title: String,
    /// More about the call. Of `bash`, and of the `external_directory` that it asks for: `command` (the line as it will
    /// run), `shown` (the same with what cannot be seen as `\u{202e}`, where that differs), `description` (the model's words), `workdir`, `directories` (patterns of the places outside of the worktree,
    /// and of those that hold keys, that it works in), `understood: false` where it
    /// cannot be told what it runs, and then `denies` (patterns that rules deny; `polytree run --yes` rejects the question). Of
    /// others: the diff, the path.
    pub metadata: Value,
    /// When it was asked.
    pub time: PermissionTime,
}

/// When a question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionTime {
    /// Milliseconds since 1970.
    pub created: i64,
}

/// A remembered "always".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// The grant's id, for `permission.revoke`.
    pub id: GrantId,
    /// The project it holds in.
    #[serde(rename = "projectID")]
    pub project_id: ProjectId,
    /// The permission's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is allowed.
    pub pattern: String,
    /// When it was given.
    pub time: PermissionTime,
}
