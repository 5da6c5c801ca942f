//! How storing fails.

use std::{io, path::PathBuf};

/// How storing fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite said no.
    #[error("store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value does not parse.
    #[error("store: a stored value does not parse: {0}")]
    Value(#[from] serde_json::Error),
    /// The store was written by a newer version of the program.
    #[error("the store {} has version {found}, this program knows versions up to {known}; use the newer program, or another data directory", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest known version.
        known: usize,
    },
    /// The store's tables could not be brought up to date.
    #[error("store: migration failed: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    /// A file of the store cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// Whether the disk is full or the store cannot be written for another outside reason.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
        match self {
            Self::Sqlite(error) => error
                .sqlite_error_code()
                .is_some_and(|code| matches!(code, DiskFull | ReadOnly | SystemIoFailure | CannotOpen | PermissionDenied)),
            Self::Closed | Self::File { .. } => true,
            _ => false,
        }
    }
}
