//! Background commands, which `bash` starts with `background: true`: `process.*`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ProcessId, SessionId};

params! {
    /// Params of `process.list`.
    ProcessListParams {
        /// Only this session and its descendants.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

params! {
    /// Params of `process.read`.
    ProcessReadParams {
        /// The command.
        id: ProcessId,
        /// Where to begin, in bytes of the output since its beginning; default: the oldest that is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// The most bytes; default and at most 1 MiB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    }
}

params! {
    /// Params of `process.end`.
    ProcessEndParams {
        /// The command.
        id: ProcessId,
    }
}

/// A background command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessInfo {
    /// Its id.
    pub id: ProcessId,
    /// The session that it belongs to.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// The command line.
    pub command: String,
    /// What it does, in the model's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The directory in which it runs.
    pub directory: String,
    /// The process of its shell, which leads its process group.
    pub pid: u32,
    /// When it was started.
    pub started: i64,
    /// Whether it runs.
    pub status: ProcessStatus,
    /// Its exit code, once it has ended; absent where a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
}

/// Whether a background command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProcessStatus {
    /// It runs.
    Running,
    /// It has ended, with everything that it has started.
    Exited,
}

/// A part of the output of a background command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessOutput {
    /// The text; keys are taken out of it.
    #[schemars(extend("x-long" = true))]
    pub text: String,
    /// Where it begins; greater than the offset that was asked for where that is no longer kept.
    pub offset: u64,
    /// The offset of the next output.
    pub next: u64,
}
