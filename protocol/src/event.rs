//! Asking for events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{ProjectId, SessionId};

params! {
    /// Params of `event.subscribe`. A `directory` means that directory or below.
    EventSubscribeParams {
        /// Only this session and its descendants.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        /// Only these types.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        types: Option<Vec<String>>,
        /// Every matching event after this cursor, first from the log, then live; 0: from the oldest kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    }
}

params! {
    /// Params of `event.list`. A `directory` means that directory or below.
    EventListParams {
        /// Only this session and its descendants.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        /// Only these types.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        types: Option<Vec<String>>,
        /// Only those after this cursor; 0: from the oldest kept.
        since: u64,
        /// How many at most: 1 to 10000, default 1000.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    }
}

params! {
    /// Params of `event.unsubscribe`.
    EventUnsubscribeParams {
        /// The subscription's id.
        subscription: u64,
    }
}

/// Result of `event.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventListResult {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// Every matching event up to here is contained in this and earlier answers.
    pub cursor: u64,
    /// There are more after `cursor`.
    pub more: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its place in the order of all events of the daemon; 0 for what is told to one connection alone and is not kept.
    pub cursor: u64,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// A row of the event table.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// In which project.
    #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// In which session.
    #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// What the row of the event table says.
    pub properties: Value,
}
