//! A text that a client has announced, and why an announcement is refused.

use std::sync::Arc;

use polytree_protocol::id::EditId;

use super::apply::Misfit;
use crate::stdx::paths::AbsPath;

/// The size limit of one text, in bytes.
pub const TEXT_LIMIT: usize = 32 * 1024 * 1024;

/// The size limit of all texts of one connection, in bytes.
pub const BUDGET: usize = 256 * 1024 * 1024;

/// A text as a client has announced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file that it will be saved to, a real path as far as it exists.
    pub path: AbsPath,
    /// The client's number for this state of the text; it grows with each change.
    pub version: i64,
    /// The text.
    pub text: Arc<str>,
    /// The number of the connection whose text it is.
    pub connection: u64,
}

/// Why an announcement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client has not opened the file.
    #[error("{0} is not open on this connection")]
    NotOpen(AbsPath),
    /// The client's number does not grow.
    #[error("the announced text of {path} has version {version} already")]
    Outdated {
        /// The file.
        path: AbsPath,
        /// The announced version.
        version: i64,
    },
    /// The changes do not fit.
    #[error("`edits` do not fit the announced text: {0}")]
    Misfit(#[from] Misfit),
    /// The text is too long.
    #[error("the text is too long")]
    TooLong,
    /// All texts of the connection are.
    #[error("the texts of this connection are too long together")]
    TooMuch,
    /// Nobody asks for this edit, or not any more.
    #[error("no such edit waits for an answer: {0}")]
    NoSuchEdit(EditId),
    /// An edited text needs a number of its own.
    #[error("`version` must be greater than {0}, the version that the edit was meant for")]
    NoNewVersion(i64),
}
