//! How a question to git or about a repository fails.

use std::io;

use crate::stdx::paths::AbsPath;

/// How a question to git or about a repository fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no git program, or it cannot be started.
    #[error("the git program cannot be started")]
    NoProgram(#[source] io::Error),
    /// git cannot read the repository; with git's own message.
    #[error("git cannot read the repository: {0}")]
    Failed(String),
    /// git did not answer in time; with the timeout in seconds.
    #[error("git did not answer within {0} seconds")]
    Timeout(u64),
    /// git printed more than is read of one answer.
    #[error("git lists more than {} MiB", .limit >> 20)]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// A file that git reads is a pipe, a socket or a device.
    #[error("{0} is a pipe, socket or device and not a regular file")]
    NotAFile(AbsPath),
    /// The repository's own files cannot be read.
    #[error("cannot read the repository in {git_dir}")]
    Unreadable {
        /// Its git directory.
        git_dir: AbsPath,
        /// The cause.
        source: io::Error,
    },
    /// A repository cannot be created.
    #[error("cannot initialise a git repository in {directory}")]
    Init {
        /// Where it was to be.
        directory: AbsPath,
        /// The cause, from the library or the program.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
