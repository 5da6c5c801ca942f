//! Why a command cannot be confined.

use std::io;

/// Why a command cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum Unconfined {
    /// The kernel, or the system, cannot do it.
    #[error("this machine cannot confine commands; `polytree doctor` says what is missing")]
    Impossible,
    /// A part of the policy cannot be enforced, and settings require all of it.
    #[error("this machine cannot enforce all of the sandbox, and `sandbox.required` in the settings wants that")]
    Incomplete,
    /// The worktree has too many directories to look for secrets.
    #[error("the worktree has too many directories to be looked through for what the rules keep from commands")]
    TooLarge,
    /// There are too many files between the secrets.
    #[error("the rules keep too many files from commands to tell the kernel of each")]
    TooMany,
    /// Rules keep some files from being changed, and this machine cannot do that inside a directory that is writable.
    #[error("rules keep some files of the worktree from being changed, which this machine cannot enforce")]
    Fixed,
    /// Something could not be read or made.
    #[error("the sandbox cannot be prepared: {0}")]
    Io(#[source] io::Error),
}
