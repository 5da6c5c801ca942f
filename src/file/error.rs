//! Errors of listing, reading and comparing files.

use std::io;

use super::open;
use crate::git;

/// Errors of listing, reading and comparing files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Path(&'static str),
    /// It is outside the worktree, or is a link to a path outside.
    #[error("{path} lies outside the worktree {worktree}")]
    Outside {
        /// As the client gave it.
        path: String,
        worktree: String,
    },
    #[error("there is no file {0}")]
    NotFound(String),
    /// It is, or contains, a broken symbolic link.
    #[error("{path} contains the symbolic link {link}, whose target {target} does not exist or is a loop")]
    Dangling {
        /// As the client gave it.
        path: String,
        link: String,
        target: String,
    },
    #[error("{0} is a directory")]
    Directory(String),
    #[error("{0} is not a directory")]
    NotDirectory(String),
    /// A pipe, socket or device.
    #[error("{path} is a {word} and not a regular file")]
    Special {
        /// As the client gave it.
        path: String,
        word: &'static str,
    },
    #[error("no permission to read {0}")]
    Forbidden(String),
    /// It was replaced or changed while it was read.
    #[error("{0} changed while it was read")]
    Changed(String),
    /// An editor has it open with a newer text that is not known.
    #[error("an editor has {0} open with a newer text, and has not sent that text yet")]
    TextUnknown(String),
    /// The result exceeds a limit.
    #[error("{what}")]
    TooLarge {
        what: String,
        /// The limit, in bytes or items.
        limit: u64,
        hint: &'static str,
    },
    #[error("{path} cannot be read: {source}")]
    Io {
        /// As the client gave it.
        path: String,
        source: io::Error,
    },
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A task has panicked.
    #[error("a task ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// An error of opening a path that a client gave as `path`.
    pub(super) fn opening(path: &str, error: open::Error) -> Self {
        let path = path.to_owned();
        match error {
            open::Error::Directory => Self::Directory(path),
            open::Error::NotDirectory => Self::NotDirectory(path),
            open::Error::Special(word) => Self::Special { path, word },
            open::Error::Moved => Self::Changed(path),
            open::Error::Io(source) => Self::io(path, source),
        }
    }

    /// An I/O error about a path that a client gave as `path`.
    pub(super) fn io(path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound(path),
            io::ErrorKind::PermissionDenied => Self::Forbidden(path),
            _ => Self::Io { path, source },
        }
    }
}
