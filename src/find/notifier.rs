//! Appends events about changed files to the log.

use std::sync::Arc;

use polytree_protocol::{events::EventPayload, id::ProjectId};

use crate::{stdx::paths::AbsPath, store::Store};

#[derive(Clone)]
pub struct Notifier {
    pub store: Arc<Store>,
}

impl Notifier {
    /// Appends events of a project, each with its directory.
    pub async fn notify(&self, project: &ProjectId, payloads: Vec<(AbsPath, EventPayload)>) {
        let payloads = payloads.into_iter().map(|(directory, payload)| (directory.to_string(), payload)).collect();
        if let Err(error) = self.store.announce(project.clone(), payloads).await {
            tracing::warn!(%error, "cannot store file events");
        }
    }
}
