//! How opening a directory or changing a project fails.

use polytree_protocol::id::ProjectId;

use crate::{
    config, git,
    provider::{FetchError, KeyStoreError},
    stdx::paths::AbsPath,
    store,
};

/// How opening a directory or changing a project fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such project.
    #[error("there is no project {0}")]
    UnknownProject(ProjectId),
    /// The directory cannot be used.
    #[error("{0}")]
    Directory(String),
    /// The directory could not be looked at.
    #[error("{directory}: {source}")]
    Unseen {
        /// The directory.
        directory: AbsPath,
        /// What the system said.
        source: std::io::Error,
    },
    /// git cannot.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The settings are at fault.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A key cannot be stored, or the keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The catalogue of models cannot be fetched.
    #[error(transparent)]
    Catalog(#[from] FetchError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] store::Error),
}
