//! How a call on a session fails. A failing model is not among these: that is written on the message.

use polytree_protocol::id::{MessageId, SessionId};

use crate::{config, event, permission, stdx::paths::AbsPath, store};

/// More prompts than this do not wait in one session: each is told in every event of the queue.
pub const MAX_QUEUED: usize = 1000;

/// How a call on a session fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such session.
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    /// No such message in the session.
    #[error("there is no message {0} in this session")]
    UnknownMessage(MessageId),
    /// The directory could not be looked at.
    #[error("{directory}: {source}")]
    Unseen {
        /// The directory.
        directory: AbsPath,
        /// What the system said.
        source: std::io::Error,
    },
    /// The id is in use for something else.
    #[error("{0}")]
    Conflict(String),
    /// No such agent.
    #[error("there is no agent {name:?}; known are {}", known.join(", "))]
    UnknownAgent {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such provider or model.
    #[error("{message}")]
    UnknownModel {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The provider's key is missing.
    #[error("{message}")]
    Credentials {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The session's directory is gone.
    #[error("the session's directory {0} is gone")]
    DirectoryGone(String),
    /// The prompt cannot be taken.
    #[error("{0}")]
    Input(String),
    /// A field of the params cannot be taken.
    #[error("`{field}`: {message}")]
    Params {
        /// The field.
        field: &'static str,
        /// What is wrong with it, and what was expected.
        message: String,
    },
    /// The recording that was asked for cannot be written or played.
    #[error("{0}")]
    Recording(String),
    /// A limit of the prompt was passed.
    #[error("{what}")]
    TooLarge {
        /// What is too large, and how large it may be.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// Too many prompts wait already.
    #[error("{} prompts wait in this session already", MAX_QUEUED)]
    QueueFull,
    /// The daemon is ending.
    #[error("the daemon is shutting down and takes no more prompts")]
    Closing,
    /// The settings are at fault.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The events are at fault.
    #[error(transparent)]
    Event(#[from] event::Error),
    /// A permission question is at fault.
    #[error(transparent)]
    Permission(#[from] permission::Error),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] store::Error),
}
