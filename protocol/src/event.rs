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
        /// How texts over 64 KiB come: as a reference, which is the default, or inline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blobs: Option<Blobs>,
    }
}

/// How long texts come in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Blobs {
    /// A `BlobRef` replaces the text.
    #[default]
    Reference,
    /// Whole. A `BlobRef` remains only where the text is no longer stored: a later event has its successor.
    Inline,
}

/// Replaces a text of more than 64 KiB in an event. `session.message` returns the whole text, `permission.list` that of
/// a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// The place of the text in the event's properties, as a JSON pointer.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The length of the text in bytes of UTF-8.
    pub bytes: u64,
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
    /// Its position in the order of all events of the daemon; 0 for an event that is sent to one connection only and not kept.
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
