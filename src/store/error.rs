//! The errors of the store.

use std::{io, path::PathBuf};

use crate::stdx::paths::AbsPath;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("store: {message}")]
    Engine { fault: Fault, message: String },
    /// A stored value does not parse.
    #[error("store: a stored value does not parse: {0}")]
    Value(#[from] serde_json::Error),
    /// The store was written by a newer version of the program.
    #[error("the store {} has version {found}, this program knows versions up to {known}", path.display())]
    Newer { path: PathBuf, found: usize, known: usize },
    /// The file is the database of another application.
    #[error("{} is not a store of polytree, but the database of another application", path.display())]
    Foreign { path: PathBuf },
    /// Another program has locked the store.
    #[error("the store {} is locked by another program", path.display())]
    Locked { path: PathBuf },
    /// Damage was found while the store was in use.
    #[error("the store {} is damaged: {problem}", path.display())]
    Damaged {
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The store's tables could not be brought up to date.
    #[error("store: migration failed: {message}")]
    Migration { fault: Fault, message: String },
    /// A file of the store cannot be used.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A path is not valid Unicode, so it can be neither stored nor sent.
    #[error("the path {path:?} is not valid Unicode")]
    NotText { path: AbsPath },
    /// More would have to be read than one call may.
    #[error("there is too much text to search at once")]
    TooMuch { limit: u64 },
    #[error("the store is closed")]
    Closed,
}

/// The kinds of database errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Damage,
    /// Another program holds its lock.
    Lock,
    /// The disk is full or failing, or the files cannot be accessed.
    Disk,
    /// Any other error, such as an invalid statement.
    Other,
}

impl Error {
    /// Whether the cause is outside the program: the disk is full, or the store is locked, damaged or foreign.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Engine { fault, .. } => *fault != Fault::Other,
            Self::Closed | Self::File { .. } | Self::Newer { .. } | Self::Foreign { .. } | Self::Locked { .. } | Self::Damaged { .. } => {
                true
            }
            Self::Value(_) | Self::Migration { .. } | Self::NotText { .. } | Self::TooMuch { .. } => false,
        }
    }

    pub fn is_damage(&self) -> bool {
        match self {
            Self::Engine { fault, .. } | Self::Migration { fault, .. } => *fault == Fault::Damage,
            Self::Damaged { .. } => true,
            _ => false,
        }
    }

    /// What the user can do about it.
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
            Self::Engine { fault: Fault::Lock, .. } => locked("polytree.db"),
            _ if self.is_damage() => {
                "nothing more is written to it; the next start of the daemon sets it aside and begins a new one".to_owned()
            }
            _ if self.is_unavailable() => "check the disk and the data directory".to_owned(),
            _ => return None,
        })
    }
}
