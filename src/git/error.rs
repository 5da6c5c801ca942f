//! Errors of running git and of reading repositories.

use std::io;

use crate::stdx::paths::AbsPath;

/// Errors of running git and of reading repositories.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The git program is missing or cannot be started.
    #[error("cannot start the git program")]
    NoProgram(#[source] io::Error),
    /// git cannot read the repository; with git's own message.
    #[error("git cannot read the repository: {0}")]
    Failed(String),
    /// git did not answer in time; with the timeout in seconds.
    #[error("git did not answer within {0} seconds")]
    Timeout(u64),
    /// git's output is larger than the limit.
    #[error("git lists more than {} MiB", .limit >> 20)]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// A file that git would read is a pipe, a socket or a device.
    #[error("{0} is a pipe, socket or device and not a regular file")]
    NotAFile(AbsPath),
    #[error("cannot initialise a git repository in {directory}")]
    Init {
        directory: AbsPath,
        /// From libgit2 or the program.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
