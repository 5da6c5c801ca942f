//! Permission questions, answers, rules and grants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{GrantId, MessageId, PermissionId, ProjectId, SessionId},
    permission_metadata::PermissionMetadata,
};

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
        /// With `always`: where it holds; default: in the project.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<GrantScope>,
        /// With `always`: what is granted in place of all that `always` of the question offers: some of those patterns, or
        /// narrower ones. At most 1,000.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        always: Option<Vec<String>>,
        /// With `reject`: a message for the model; the turn then continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    }
}

params! {
    /// Params of `permission.grants`.
    PermissionGrantsParams {
        /// Only what holds in this session: the project's grants and its own.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
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
#[serde(deny_unknown_fields)]
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
    /// From now on, for the patterns in `always`, in this project or session.
    Always,
    /// No.
    Reject,
}

/// Where a grant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrantScope {
    /// In the session that asked, and in those that belong to the same root.
    Session,
    /// In the project.
    #[default]
    Project,
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
    /// More about what is asked, as far as clients can use it.
    #[schemars(with = "PermissionMetadata")]
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
    /// The root session that it holds in, with its descendants; absent: in the whole project.
    #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The permission's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is allowed.
    pub pattern: String,
    /// When it was given.
    pub time: PermissionTime,
}
