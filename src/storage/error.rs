//! How storing fails.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::damage;

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
    #[error("the store {} has version {found}, this program knows versions up to {known}", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest known version.
        known: usize,
    },
    /// The file is the database of another application.
    #[error("{} is not a store of polytree, but the database of another application", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another program has locked the store.
    #[error("the store {} is locked by another program", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// The store has shown damage while it was in use.
    #[error("the store {} is damaged: {problem}", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
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
    /// The error of opening the store at `path`.
    pub(super) fn opening(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::Locked { path: path.to_owned() },
            _ => Self::Sqlite(error),
        }
    }

    /// Whether the store cannot be used for an outside reason: the disk is full, it is locked or damaged, or it is not ours.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
        match self {
            Self::Sqlite(error) => {
                damage::is_damage(error)
                    || error.sqlite_error_code().is_some_and(|code| {
                        matches!(
                            code,
                            DiskFull | ReadOnly | SystemIoFailure | CannotOpen | PermissionDenied | DatabaseBusy | DatabaseLocked
                        )
                    })
            }
            Self::Closed | Self::File { .. } | Self::Newer { .. } | Self::Foreign { .. } | Self::Locked { .. } | Self::Damaged { .. } => {
                true
            }
            Self::Value(_) | Self::Migration(_) => false,
        }
    }

    /// Whether the store is damaged.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite(error) => damage::is_damage(error),
            Self::Migration(rusqlite_migration::Error::RusqliteError { err, .. }) => damage::is_damage(err),
            Self::Damaged { .. } => true,
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let locked = |of: &str| format!("end the program that has {of} open, or wait until it is done; nothing was changed");
        Some(match self {
            Self::Newer { .. } => {
                "use the newer program, or set POLYTREE_DATA_DIR to another directory; the store was left as it is".to_owned()
            }
            Self::Foreign { path } => format!(
                "move {} to where it belongs, or set POLYTREE_DATA_DIR to another directory; the file was left as it is",
                path.display()
            ),
            Self::Locked { path } => locked(&path.display().to_string()),
            Self::Sqlite(error)
                if matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)) =>
            {
                locked("polytree.db")
            }
            _ if self.is_damage() => {
                "nothing more is written to it; the next start of the daemon sets it aside and begins a new one".to_owned()
            }
            _ if self.is_unavailable() => "check the disk and the data directory".to_owned(),
            _ => return None,
        })
    }
}
