//! One event as it is kept in memory: its fields for filters, and its text for the wire, made once for all readers.

use polytree_protocol::id::{ProjectId, SessionId};
use serde_json::value::RawValue;

/// Where an event happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The directory, as an absolute real path.
    pub directory: Option<String>,
    /// The project.
    pub project_id: Option<ProjectId>,
    /// The session.
    pub session_id: Option<SessionId>,
}

/// A committed event.
#[derive(Debug)]
pub struct Record {
    /// Its place in the order of all events.
    pub cursor: u64,
    /// A row of the event table.
    pub kind: String,
    /// Where.
    pub scope: Scope,
    /// The properties as JSON text.
    pub properties: String,
    /// When, in milliseconds since 1970.
    pub time: i64,
}

impl Record {
    /// The event as it stands on the wire.
    ///
    /// # Panics
    /// Never: the parts are JSON.
    #[must_use]
    pub fn to_json(&self) -> Box<RawValue> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.properties.len() + 200);
        let _ = write!(text, r#"{{"cursor":{},"time":{},"type":"{}""#, self.cursor, self.time, self.kind);
        if let Some(directory) = &self.scope.directory {
            let _ = write!(text, r#","directory":{}"#, serde_json::Value::from(directory.as_str()));
        }
        if let Some(project) = &self.scope.project_id {
            let _ = write!(text, r#","projectID":"{project}""#);
        }
        if let Some(session) = &self.scope.session_id {
            let _ = write!(text, r#","sessionID":"{session}""#);
        }
        let _ = write!(text, r#","properties":{}}}"#, self.properties);
        RawValue::from_string(text).expect("an event's parts are JSON")
    }

    /// Roughly the bytes it takes in memory.
    pub(crate) fn size(&self) -> usize {
        self.properties.len() + 300
    }
}
