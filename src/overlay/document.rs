//! A text that a client has announced, and why an announcement is refused.

use std::sync::Arc;

use polytree_protocol::id::EditId;

use super::apply::InvalidChange;
use crate::stdx::paths::AbsPath;

/// The size limit of one text, in bytes.
pub const TEXT_LIMIT: usize = 32 * 1024 * 1024;

/// The size limit of all texts of one connection, in bytes.
pub const CONNECTION_LIMIT: usize = 256 * 1024 * 1024;

/// A text as a client has announced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file, as a real path as far as it exists.
    pub path: AbsPath,
    /// The client's version number; it grows with each change.
    pub version: i64,
    pub text: Arc<str>,
    /// The connection that announced the text.
    pub connection: u64,
}

/// Why an announcement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client has not opened the file.
    #[error("{0} is not open on this connection")]
    NotOpen(AbsPath),
    /// The version does not grow.
    #[error("the announced text of {path} has version {version} already")]
    Outdated { path: AbsPath, version: i64 },
    /// A change is invalid.
    #[error("`edits` do not fit the announced text: {0}")]
    InvalidChange(#[from] InvalidChange),
    /// The text is too long.
    #[error("the text is too long")]
    TooLong,
    /// The texts of the connection are too long together.
    #[error("the texts of this connection are too long together")]
    TooMuch,
    /// The diagnostics of the connection are too long together.
    #[error("the diagnostics of this connection are too long together")]
    TooManyDiagnostics,
    /// No such edit is pending.
    #[error("no such edit waits for an answer: {0}")]
    NoSuchEdit(EditId),
    /// The version of the edited text is not greater than the one before.
    #[error("`version` must be greater than {0}, the version that the edit was meant for")]
    NoNewVersion(i64),
}
