//! Review of what a session changed, hunk by hunk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    buffer::TextRange,
    id::{HunkId, MessageId, SessionId},
};

/// What the user decided about a hunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HunkState {
    /// Nothing yet.
    Open,
    /// It stays.
    Kept,
    /// The file has its text from before.
    Undone,
}

/// Lines that a session changed and that are next to each other, or a file that has no lines to compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hunk {
    /// It stays the same while the text of the hunk does.
    #[serde(rename = "hunkID")]
    pub hunk_id: HunkId,
    /// The absolute path.
    pub path: String,
    /// Its place in the current text, unsaved text of editors included: `after`, or `before` of an undone hunk.
    pub range: TextRange,
    /// The lines before; empty where lines were added. Absent for a file that is not text or too large, and in an event whose
    /// texts would be longer than 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The lines after; empty where lines were removed. Absent as `before` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The message that changed it last.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The tool call that changed it last.
    #[serde(default, rename = "callID", skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// What the user decided.
    pub state: HunkState,
}

params! {
    /// Params of `hunk.list`.
    HunkListParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// Only those of this file, relative to the session's directory or absolute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    }
}

params! {
    /// Params of `hunk.keep`. Without a hunk and a path all open hunks of the session are kept.
    HunkKeepParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// This hunk. One that was undone is put into the file again.
        #[serde(default, rename = "hunkID", skip_serializing_if = "Option::is_none")]
        hunk_id: Option<HunkId>,
        /// All open hunks of this file, relative to the session's directory or absolute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    }
}

params! {
    /// Params of `hunk.undo`. Without a hunk and a path all open hunks of the session are undone.
    HunkUndoParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// This hunk, also if it was kept.
        #[serde(default, rename = "hunkID", skip_serializing_if = "Option::is_none")]
        hunk_id: Option<HunkId>,
        /// All open hunks of this file, relative to the session's directory or absolute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Leaves hunks that somebody else has changed as they are and undoes the rest.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    }
}
