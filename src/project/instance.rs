//! An open directory: where it stands, and which project and checkout that is.

use std::{
    collections::HashSet,
    path::MAIN_SEPARATOR,
    sync::atomic::{AtomicI64, Ordering},
};

use super::git_layout::Location;
use crate::{
    config::trust::TrustedFile,
    find::Site,
    session::Place,
    stdx::{paths::AbsPath, time::now_ms},
    store::{CheckoutId, KnownProject},
};

/// An open directory.
#[derive(Debug)]
pub struct Instance {
    /// The directory, a real path.
    pub directory: AbsPath,
    /// Where it stands.
    pub location: Location,
    /// The project, as it was when it was last looked at.
    pub project: KnownProject,
    /// The checkout that the directory is in.
    pub checkout: CheckoutId,
    /// The project's files that may be used, as they were when trust was given.
    pub trusted: HashSet<TrustedFile>,
    used: AtomicI64,
}

impl Instance {
    pub(super) fn new(
        directory: AbsPath,
        location: Location,
        project: KnownProject,
        checkout: CheckoutId,
        trusted: HashSet<TrustedFile>,
    ) -> Self {
        Self { directory, location, project, checkout, trusted, used: AtomicI64::new(now_ms()) }
    }

    /// The directory and its checkout as a search needs them.
    #[must_use]
    pub fn site(&self) -> Site {
        Site {
            project: self.project.id.clone(),
            directory: self.directory.clone(),
            worktree: self.worktree().clone(),
            git: self.location.git().map(|layout| (layout.git_dir.clone(), layout.common_dir.clone())),
        }
    }

    /// The top of the checkout in use.
    #[must_use]
    pub fn worktree(&self) -> &AbsPath {
        self.location.worktree()
    }

    /// The directory in a way that survives a move of the checkout.
    #[must_use]
    pub fn place(&self) -> Place {
        let inside = self.directory.as_path().strip_prefix(self.worktree()).unwrap_or(self.directory.as_path());
        Place { checkout_id: self.checkout.0, path: inside.to_string_lossy().replace(MAIN_SEPARATOR, "/") }
    }

    pub(super) fn touch(&self) {
        self.used.store(now_ms(), Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> i64 {
        self.used.load(Ordering::Relaxed)
    }
}
