//! Why a file cannot be listed, read or compared.

use std::io;

use super::open;
use crate::git;

/// Why a file cannot be listed, read or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is none.
    #[error("{0}")]
    Path(&'static str),
    /// It lies outside the worktree, or leads there.
    #[error("{path} lies outside the worktree {worktree}")]
    Outside {
        /// As it was given.
        path: String,
        /// The worktree.
        worktree: String,
    },
    /// There is nothing.
    #[error("there is no file {0}")]
    NotFound(String),
    /// It is, or leads through, a link to nothing.
    #[error("{path} leads through the symbolic link {link}, whose target {target} does not exist or leads in a circle")]
    Dangling {
        /// As it was given.
        path: String,
        /// The link.
        link: String,
        /// Where it leads.
        target: String,
    },
    /// A file was expected.
    #[error("{0} is a directory")]
    Directory(String),
    /// A directory was expected.
    #[error("{0} is not a directory")]
    NotDirectory(String),
    /// A pipe, socket or device.
    #[error("{path} is a {word} and not a regular file")]
    Special {
        /// As it was given.
        path: String,
        /// What it is.
        word: &'static str,
    },
    /// The system refuses.
    #[error("{0} may not be read")]
    Forbidden(String),
    /// It was exchanged or changed while it was read.
    #[error("{0} changed while it was read")]
    Changed(String),
    /// A client holds a newer text of it and has not told that text.
    #[error("an editor holds a newer text of {0} and has not told it yet")]
    Untold(String),
    /// More than is given at once.
    #[error("{what}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit, in bytes or items.
        limit: u64,
        /// What to do instead.
        hint: &'static str,
    },
    /// The system failed.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// As it was given.
        path: String,
        /// What it said.
        source: io::Error,
    },
    /// git cannot tell.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A task ended without an answer.
    #[error("the work ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// The error of opening a path that a client gave as `path`.
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

    /// The error of the system about a path that a client gave as `path`.
    pub(super) fn io(path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound(path),
            io::ErrorKind::PermissionDenied => Self::Forbidden(path),
            _ => Self::Io { path, source },
        }
    }
}
