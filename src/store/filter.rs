//! Which events a reader wants.

use std::{collections::HashSet, path::Path};

use polytree_protocol::id::{ProjectId, SessionId};

use super::Record;

/// Selects events; a field that is `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub directory: Option<String>,
    pub project_id: Option<ProjectId>,
    /// That session and its descendants.
    pub session_id: Option<SessionId>,
    pub types: Option<Vec<String>>,
    pub(crate) family: HashSet<String>,
}

impl Filter {
    pub fn new(
        directory: Option<String>,
        project_id: Option<ProjectId>,
        session_id: Option<SessionId>,
        types: Option<Vec<String>>,
    ) -> Self {
        Self { directory, project_id, session_id, types, family: HashSet::new() }
    }

    /// Whether the record matches. Records must come in order: a new child session widens the filter.
    pub fn matches(&mut self, record: &Record) -> bool {
        if self.session_id.is_some() && !self.is_in_family(record) || self.session_id.is_none() && record.scope.hidden {
            return false;
        }
        if self.project_id.is_some() && self.project_id != record.scope.project_id {
            return false;
        }
        if let Some(directory) = &self.directory
            && !record.scope.directory.as_ref().is_some_and(|other| Path::new(other).starts_with(directory))
        {
            return false;
        }
        self.types.as_ref().is_none_or(|types| types.contains(&record.kind))
    }

    fn is_in_family(&mut self, record: &Record) -> bool {
        let Some(session) = &record.scope.session_id else { return false };
        if self.family.contains(session.as_str()) {
            return true;
        }
        // A deleted child is in no table any more; its event names the parent.
        if record.kind != "session.created" && record.kind != "session.deleted" {
            return false;
        }
        let parent = serde_json::from_str::<serde_json::Value>(&record.properties)
            .ok()
            .and_then(|p| p["info"]["parentID"].as_str().map(str::to_owned));
        let child = parent.is_some_and(|parent| self.family.contains(&parent));
        if child {
            self.family.insert(session.as_str().to_owned());
        }
        child
    }
}
