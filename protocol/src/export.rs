//! Copies of sessions: forks, and conversations as files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{MessageId, SessionId},
    message::MessageWithParts,
    session::Session,
    todo::Todo,
};

/// The version of [`SessionExport`] that this contract reads and writes.
pub const EXPORT_FORMAT: u32 = 1;

params! {
    /// Params of `session.fork`.
    SessionForkParams {
        /// The session to copy.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// Copies only the messages before this one; default: all messages of turns that have ended.
        #[serde(default, rename = "messageID", skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
        /// The id of the new session: the same id with the same params again returns that session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<SessionId>,
    }
}

params! {
    /// Params of `session.export`.
    SessionExportParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
    }
}

params! {
    /// Params of `session.import`. The session is created in the directory, with new ids for everything. Its `mode`,
    /// `parentID`, `share` and `revert` are dropped: a file cannot grant anything.
    SessionImportParams {
        /// What `session.export` returned, in this daemon or another.
        session: SessionExport,
        /// The id of the new session: the same id with the same params again returns that session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<SessionId>,
    }
}

/// A whole conversation. `polytree sessions export` writes the same to a file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SessionExport {
    /// The version of this form: 1.
    pub format: u32,
    /// The session.
    pub session: Session,
    /// Its messages, oldest first.
    pub messages: Vec<MessageWithParts>,
    /// Its task list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub todos: Vec<Todo>,
}

params! {
    /// Params of `session.todo`.
    SessionTodoParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
    }
}
