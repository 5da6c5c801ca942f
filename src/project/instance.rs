//! An open directory: which project and checkout it is in, and what of the project's own files may be used.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicI64, Ordering},
};

use crate::{
    config::trust::TrustedFile,
    git::{Checkout, layout::Location},
    session::Place,
    stdx::{paths::AbsPath, time::now_ms},
    store::{CheckoutId, KnownProject},
};

/// An open directory.
#[derive(Debug)]
pub struct Instance {
    /// The directory with its project and checkout.
    pub checkout: Checkout,
    /// How it was located.
    pub location: Location,
    /// The project, as it was when it was last looked at.
    pub project: KnownProject,
    /// The number under which the store knows the checkout.
    pub checkout_id: CheckoutId,
    /// The project's files that may be used, as they were when trust was given.
    pub trusted: HashSet<TrustedFile>,
    used: AtomicI64,
}

impl Instance {
    pub(super) fn new(
        directory: AbsPath,
        location: Location,
        project: KnownProject,
        checkout_id: CheckoutId,
        trusted: HashSet<TrustedFile>,
    ) -> Self {
        let checkout = Checkout::new(project.id.clone(), directory, &location);
        Self { checkout, location, project, checkout_id, trusted, used: AtomicI64::new(now_ms()) }
    }

    /// The directory, a real path.
    #[must_use]
    pub fn directory(&self) -> &AbsPath {
        &self.checkout.directory
    }

    /// The top of the checkout.
    #[must_use]
    pub fn worktree(&self) -> &AbsPath {
        &self.checkout.worktree
    }

    /// The directory as the store keeps it: it survives a move of the checkout.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { checkout_id: self.checkout_id.0, path: self.checkout.below_top() }
    }

    pub(super) fn touch(&self) {
        self.used.store(now_ms(), Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> i64 {
        self.used.load(Ordering::Relaxed)
    }
}
