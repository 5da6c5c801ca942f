//! A working directory, with the project and the checkout that it belongs to.

use std::path::MAIN_SEPARATOR;

use polytree_protocol::id::ProjectId;

use super::{head::Head, layout::Location};
use crate::stdx::{disk, paths::AbsPath};

/// A directory in a checkout of a project. Outside git the directory is its own checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    pub project: ProjectId,
    /// A real path.
    pub directory: AbsPath,
    /// The root of the checkout; outside git the directory itself.
    pub worktree: AbsPath,
    /// The git directories of the checkout; `None` outside git.
    pub git: Option<GitDirs>,
}

/// The git directories of a checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitDirs {
    /// The checkout's own git directory, with its `HEAD` and index.
    pub own: AbsPath,
    /// The common git directory of all checkouts of the repository.
    pub common: AbsPath,
}

impl Checkout {
    /// The checkout of a located directory.
    pub fn new(project: ProjectId, directory: AbsPath, location: &Location) -> Self {
        let git = location.git().map(|layout| GitDirs { own: layout.git_dir.clone(), common: layout.common_dir.clone() });
        Self { project, directory, worktree: location.worktree().clone(), git }
    }

    /// The short name of the branch that is checked out. Reads a small file.
    pub async fn branch(&self) -> Option<String> {
        let git_dir = self.git.as_ref()?.own.clone();
        let head = disk::run(self.directory.clone(), move || Head::read(git_dir.as_path())).await;
        head?.branch().map(str::to_owned)
    }

    /// The whole checkout: the root as the directory.
    pub fn top(&self) -> Self {
        Self { directory: self.worktree.clone(), ..self.clone() }
    }

    /// The directory as a checkout of its own, outside git.
    pub fn alone(&self) -> Self {
        Self { project: self.project.clone(), directory: self.directory.clone(), worktree: self.directory.clone(), git: None }
    }

    /// The directory relative to the root, with `/` between names; empty at the root. Does not change when the checkout
    /// is moved.
    pub fn below_top(&self) -> String {
        let below = self.directory.as_path().strip_prefix(&self.worktree).unwrap_or(self.directory.as_path());
        below.to_string_lossy().replace(MAIN_SEPARATOR, "/")
    }
}
