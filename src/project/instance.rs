//! An open directory: which project and checkout it is in, and what of the project's own files may be used.

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
    /// How it was located.
    pub location: Location,
    /// The project, as it was when it was last looked at.
    pub project: KnownProject,
    /// The number under which the store knows the checkout.
    pub checkout_id: CheckoutId,
    /// The project's files that may be used, as they were when trust was given.
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

    /// The directory as the store keeps it: it survives a move of the checkout.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { checkout_id: self.checkout_id.0, path: self.checkout.below_top() }
    }
}
