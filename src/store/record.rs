//! A committed event in memory: fields for filters, and the properties as JSON text.

use polytree_protocol::{
    id::{ProjectId, SessionId},
    session::Session,
};
use serde_json::value::RawValue;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The directory, as an absolute real path.
    pub directory: Option<String>,
    pub project_id: Option<ProjectId>,
    pub session_id: Option<SessionId>,
    /// Only for readers that name the session or its family.
    pub hidden: bool,
}

#[derive(Debug)]
pub struct Record {
    /// Its position in the log.
    pub cursor: u64,
    /// The event type.
    pub kind: String,
    pub scope: Scope,
    /// The properties as JSON text.
    pub properties: String,
    /// When, in milliseconds since 1970.
    pub time: i64,
}

impl Record {
    /// The event in its wire form.
    ///
    /// # Panics
    /// Never: the parts are JSON.
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

    /// The approximate memory use in bytes.
    pub(crate) fn size(&self) -> usize {
        self.properties.len() + 300
    }
}

/// A page of the log.
#[derive(Debug)]
pub struct Page {
    /// The matching records; adjacent deltas of one part are merged.
    pub records: Vec<Record>,
    /// The position after this page.
    pub cursor: u64,
    /// There may be more after it.
    pub more: bool,
}

/// The range of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The oldest cursor from which a reader can continue.
    pub oldest: u64,
    /// No cursor above this one was assigned yet.
    pub newest: u64,
}

impl Scope {
    /// The scope of a session.
    pub fn of(session: &Session) -> Self {
        Self {
            directory: Some(session.directory.clone()),
            project_id: Some(session.project_id.clone()),
            session_id: Some(session.id.clone()),
            hidden: session.hidden,
        }
    }

    /// The session of a scope that has one.
    pub(super) fn session(&self) -> SessionId {
        self.session_id.clone().unwrap_or_default()
    }
}
