//! Undo of a part of a conversation, with the files that it changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    file::FileStatus,
    id::{MessageId, PartId, SessionId},
};

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RevertAction {
    /// It gets its earlier content or mode.
    Restore,
    /// It is created again.
    Create,
    /// It is deleted.
    Delete,
    /// The session's changes are removed, those of others stay.
    Merge,
    /// Nothing: it already is as it should be, or cannot be written.
    Skip,
    /// Nothing: somebody else has changed it, and a merge is not clean.
    Conflict,
}

/// What happens to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevertedFile {
    /// The absolute path.
    pub path: String,
    /// What happens to it.
    pub action: RevertAction,
    /// Why nothing happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

params! {
    /// Params of `session.revert`.
    SessionRevertParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The first message to undo. An answer is undone with its prompt.
        #[serde(rename = "messageID")]
        message_id: MessageId,
        /// The first part to undo: the earlier parts of the message stay. Without a text or tool call before it, the whole
        /// message is undone.
        #[serde(default, rename = "partID", skip_serializing_if = "Option::is_none")]
        part_id: Option<PartId>,
        /// Returns what would happen, and changes nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        preview: bool,
        /// Leaves files in conflict as they are and undoes the rest.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    }
}

params! {
    /// Params of `session.unrevert`.
    SessionUnrevertParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// Returns what would happen, and changes nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        preview: bool,
        /// Leaves files in conflict as they are and restores the rest.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    }
}

params! {
    /// Params of `session.diff`.
    SessionDiffParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// Only the changes of this message; of a prompt, those of all its answers.
        #[serde(default, rename = "messageID", skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
    }
}

/// What a session has changed in one file, from before its first change to after its last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDiff {
    /// The absolute path.
    pub path: String,
    /// The text before; absent if there was no file, and where `patch` is empty for want of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The text after; absent if there is no file any more, and where `patch` is empty for want of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// A unified diff. Empty for a file that is not text, that is too large, or whose image is not stored any more.
    #[schemars(extend("x-long" = true))]
    pub patch: String,
    /// Lines that were added.
    pub added: u64,
    /// Lines that were removed.
    pub removed: u64,
    /// How it was changed.
    pub status: FileStatus,
}
