//! What a session will use, how full its context is, and what was used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{id::SessionId, message::Tokens, provider::ModelRef, sandbox::Mode};

params! {
    /// Params of `session.defaults`.
    SessionDefaultsParams {
        /// The session whose next prompt is meant; without it the first prompt of a new session in the directory.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

params! {
    /// Params of `session.context`.
    SessionContextParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
    }
}

params! {
    /// Params of `usage.list`. A `directory` or `projectID` means that project alone.
    UsageListParams {
        /// Only what was used from then on, in milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<i64>,
        /// What the totals are of.
        by: UsageBy,
    }
}

/// What the next prompt uses if it names nothing itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionDefaults {
    /// The agent.
    pub agent: String,
    /// The model.
    pub model: ModelRef,
    /// The variant of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What is done without a question.
    pub mode: Mode,
    /// Where each of them comes from.
    pub source: SessionDefaultsSource,
    /// Why the model cannot be used, for people; a prompt is refused for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where the defaults of the next prompt come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionDefaultsSource {
    /// Where the agent comes from.
    pub agent: DefaultSource,
    /// Where the model comes from.
    pub model: DefaultSource,
    /// Where the variant comes from; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<DefaultSource>,
    /// Where the mode comes from.
    pub mode: DefaultSource,
}

/// Where a default comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DefaultSource {
    /// `session.update`, `session.create`, or the session's last prompt; a child has the mode of its root.
    Session,
    /// The agent.
    Agent,
    /// The settings.
    Settings,
    /// The program: no setting names one.
    Default,
}

/// How full the context of a session's model is, in tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionContext {
    /// The conversation at the end of the last answer, as the service counted it. 0: there is no answer yet, or the service
    /// does not count.
    pub used: u64,
    /// The context of the model that the next prompt uses. 0: it is not known.
    pub limit: u64,
    /// How much of it is kept free for the answer.
    pub reserved: u64,
    /// The model that the next prompt uses.
    pub model: ModelRef,
}

/// What totals are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageBy {
    /// Days in UTC.
    #[default]
    Day,
    /// Projects.
    Project,
    /// Models.
    Model,
}

/// What was used in a day, in a project or of a model. What was spent stays counted when its session is deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageTotal {
    /// The day as `YYYY-MM-DD`, the project's id, or `provider/model`.
    pub key: String,
    /// What it cost, in US dollars.
    pub cost: f64,
    /// The tokens of all model calls.
    pub tokens: Tokens,
    /// How many prompts were sent.
    pub prompts: u64,
}
