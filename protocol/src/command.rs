//! Commands: prompts with a name, from settings and Markdown files; and the user's own shell lines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{MessageId, SessionId},
    provider::ModelRef,
};

params! {
    /// Params of `command.list`.
    CommandListParams {}
}

/// A command: a prompt with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// The name by which it is called.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The agent that does it; default: that of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model that does it; default: that of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// The prompt. `$ARGUMENTS` stands for all arguments, `$1` to `$9` for one of them, `` !`line` `` for the output of a
    /// shell line, `@path` attaches a file.
    pub template: String,
    /// Shipped with the daemon.
    pub built_in: bool,
    /// The files that define or change it, lowest first: of what several say, the last one counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
}

params! {
    /// Params of `session.command`.
    SessionCommandParams {
        /// The session; without it one is created in the directory.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        /// The name of the command.
        command: String,
        /// What follows the name; several arguments are separated by white space, and quotes hold one together.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        arguments: String,
        /// The agent, if the command names none; default: the session's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// The model, if the command names none; default: as for a prompt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
        /// The variant of the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
        /// The id that the user message shall have: the same id with the same params again joins that turn.
        #[serde(default, rename = "messageID", skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
    }
}

params! {
    /// Params of `session.shell`.
    SessionShellParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The shell line. It runs without a question and without the sandbox: it is the user's own.
        command: String,
        /// The agent that the messages name; default: the session's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    }
}

params! {
    /// Params of `session.init`.
    SessionInitParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The model; default: as for a prompt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
    }
}
