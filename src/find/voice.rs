//! Where the changes of files are told.

use std::sync::Arc;

use polytree_protocol::{events::EventPayload, id::ProjectId};

use crate::{stdx::paths::AbsPath, store::Store};

/// Tells of files.
#[derive(Clone)]
pub struct Voice {
    /// The store.
    pub store: Arc<Store>,
}

impl Voice {
    /// Tells of changes in a project, each with the directory that it happened in.
    pub async fn tell(&self, project: &ProjectId, payloads: Vec<(AbsPath, EventPayload)>) {
        let payloads = payloads.into_iter().map(|(directory, payload)| (directory.to_string(), payload)).collect();
        if let Err(error) = self.store.announce(project.clone(), payloads).await {
            tracing::warn!(%error, "changed files could not be announced");
        }
    }
}
