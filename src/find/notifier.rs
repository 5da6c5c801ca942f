//! Appends events about changed files to the log.

use std::sync::Arc;

use polytree_protocol::{events::EventPayload, id::ProjectId};

use crate::{
    event::{Events, Scope},
    stdx::paths::AbsPath,
    storage::{self, Database},
};

/// Appends events about files.
#[derive(Clone)]
pub struct Notifier {
    /// The store.
    pub database: Arc<Database>,
    /// The log of events.
    pub events: Arc<Events>,
}

impl Notifier {
    /// Appends events of a project, each with the directory that it happened in.
    pub async fn notify(&self, project: &ProjectId, payloads: Vec<(AbsPath, EventPayload)>) {
        let (events, project) = (Arc::clone(&self.events), project.clone());
        let told = self.database.write::<_, storage::Error>(move |write| {
            for (directory, payload) in payloads {
                let scope = Scope { directory: Some(directory.to_string()), project_id: Some(project.clone()), session_id: None };
                events.append(write, &scope, &payload)?;
            }
            Ok(())
        });
        if let Err(error) = told.await {
            tracing::warn!(%error, "changed files could not be announced");
        }
    }
}
