//! How a call on a session fails. A failing model is not among these: that is written on the message.

use std::sync::Arc;

use polytree_protocol::{
    id::{HunkId, MessageId, PartId, SessionId},
    revert::RevertedFile,
};

use crate::{
    config, permission,
    stdx::{nearest, paths::AbsPath},
    store,
};

/// The most prompts that wait in one session: every event of the queue lists all of them.
pub const MAX_QUEUED: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    #[error("there is no message {0} in this session")]
    UnknownMessage(MessageId),
    #[error("{directory}: {source}")]
    Unseen { directory: AbsPath, source: std::io::Error },
    /// The id is in use for something else.
    #[error("{0}")]
    Conflict(String),
    #[error("there is no agent {name:?}; {}", meant(name, known))]
    UnknownAgent { name: String, known: Vec<String> },
    /// The file that defines the agent is wrong.
    #[error("the agent {name:?} cannot be used: {error}")]
    BrokenAgent { name: String, error: Arc<config::Error> },
    #[error("there is no command {name:?}; {}", meant(name, known))]
    UnknownCommand { name: String, known: Vec<String> },
    /// The file that defines the command is wrong.
    #[error("the command {name:?} cannot be used: {error}")]
    BrokenCommand { name: String, error: Arc<config::Error> },
    /// No such provider or model.
    #[error("{message}")]
    UnknownModel { message: String, hint: Option<String> },
    /// The provider's key is missing.
    #[error("{message}")]
    Credentials { message: String, hint: Option<String> },
    #[error("the session's directory {0} is gone")]
    DirectoryGone(String),
    /// The prompt cannot be taken.
    #[error("{0}")]
    Input(String),
    #[error("`{field}`: {message}")]
    Params { field: &'static str, message: String },
    /// The recording that was asked for cannot be written or replayed.
    #[error("{0}")]
    Recording(String),
    /// `what` says what is too large, and how large it may be.
    #[error("{what}")]
    TooLarge { what: String, limit: u64 },
    /// The call needs an idle session.
    #[error("the session or a child of it is in a turn, or prompts wait; abort it, or wait until it is idle")]
    Busy,
    #[error("there is no part {0} in this message")]
    UnknownPart(PartId),
    #[error("there is no hunk {0} in this session any more; list the hunks again")]
    UnknownHunk(HunkId),
    /// Not possible in the present state.
    #[error("{0}")]
    State(String),
    /// Somebody else has changed files, so no file was changed.
    #[error("nothing was changed, because {} cannot be undone; `files` says why", files(.0.len()))]
    Files(Vec<RevertedFile>),
    /// Files could not be restored; none was changed.
    #[error("nothing was undone: {0}")]
    Undo(std::io::Error),
    #[error("{MAX_QUEUED} prompts wait in this session already")]
    QueueFull,
    #[error("the daemon is shutting down and takes no more prompts")]
    Closing,
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Permission(#[from] permission::Error),
    #[error(transparent)]
    Storage(#[from] store::Error),
}

fn files(count: usize) -> String {
    if count == 1 { "one file".to_owned() } else { format!("{count} files") }
}

/// The name that was probably meant, else all of them.
fn meant(name: &str, known: &[String]) -> String {
    match nearest::one(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("known are {}", known.join(", ")),
    }
}
