//! An open directory: its project, its checkout, and the trusted files of the project.

use std::collections::HashSet;

use crate::{
    config::trust::TrustedFile,
    git::{Checkout, layout::Location},
    session::Place,
    stdx::paths::AbsPath,
    store::{CheckoutId, KnownProject},
};

/// An open directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Instance {
    /// The directory with its project and checkout.
    pub checkout: Checkout,
    /// Its location.
    pub location: Location,
    /// The project at the last check.
    pub project: KnownProject,
    /// The checkout's id in the store.
    pub checkout_id: CheckoutId,
    /// The project's trusted files, in their trusted states.
    pub trusted: HashSet<TrustedFile>,
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
        Self { checkout, location, project, checkout_id, trusted }
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

    /// The directory in the form of the store, which survives a move of the checkout.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { checkout_id: self.checkout_id.0, path: self.checkout.below_top() }
    }
}
