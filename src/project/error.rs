//! Errors of opening a directory or changing a project.

use polytree_protocol::id::ProjectId;

use crate::{
    config, git,
    provider::{FetchError, KeyStoreError},
    stdx::paths::AbsPath,
    store,
};

/// Why a directory cannot be opened or a project cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project does not exist.
    #[error("there is no project {0}")]
    UnknownProject(ProjectId),
    /// The files that need trust have changed since they were seen.
    #[error("the project's files have changed since they were read")]
    Changed,
    #[error("{0}")]
    Directory(String),
    /// The directory cannot be read.
    #[error("{directory}: {source}")]
    Unseen { directory: AbsPath, source: std::io::Error },
    #[error(transparent)]
    Git(#[from] git::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A key cannot be stored, or the keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The catalogue of models cannot be fetched.
    #[error(transparent)]
    Catalog(#[from] FetchError),
    #[error(transparent)]
    Storage(#[from] store::Error),
}
