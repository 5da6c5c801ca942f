//! The kinds of part that a message is made of.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{MessageId, PartId, SessionId},
    message_error::MessageError,
    provider::ModelRef,
    todo::Todo,
    tokens::Tokens,
};

macro_rules! parts {
    ($($(#[doc = $doc:literal])* $variant:ident $tag:literal $name:ident { $($(#[$field_meta:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        /// A part of a message.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "type")]
        #[expect(clippy::large_enum_variant, reason = "a wire type: written or read once, and plain to match on")]
        pub enum Part {
            $($(#[doc = $doc])* #[serde(rename = $tag)] $variant($name),)*
        }

        $(
            $(#[doc = $doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase")]
            pub struct $name {
                /// The part's id.
                pub id: PartId,
                /// The session.
                #[serde(rename = "sessionID")]
                pub session_id: SessionId,
                /// The message.
                #[serde(rename = "messageID")]
                pub message_id: MessageId,
                $($(#[$field_meta])* pub $field: $type,)*
            }
        )*

        impl Part {
            /// Parses the JSON of a part. Where the tag comes first, as it is written, this is faster than `Deserialize`.
            ///
            /// # Errors
            /// When it is no part.
            pub fn from_json(text: &str) -> serde_json::Result<Self> {
                match text.strip_prefix("{\"type\":\"").and_then(|rest| rest.split_once('"')) {
                    $(Some(($tag, _)) => serde_json::from_str(text).map(Part::$variant),)*
                    _ => serde_json::from_str(text),
                }
            }

            /// The part's id.
            #[must_use]
            pub fn id(&self) -> &PartId {
                match self { $(Part::$variant(part) => &part.id),* }
            }

            /// The message that it belongs to.
            #[must_use]
            pub fn message_id(&self) -> &MessageId {
                match self { $(Part::$variant(part) => &part.message_id),* }
            }

            /// The session that it belongs to.
            #[must_use]
            pub fn session_id(&self) -> &SessionId {
                match self { $(Part::$variant(part) => &part.session_id),* }
            }

            /// The same part with an id of its own in another message.
            #[must_use]
            pub fn moved(mut self, id: PartId, message: &MessageId, session: &SessionId) -> Self {
                match &mut self {
                    $(Part::$variant(part) => {
                        part.id = id;
                        part.message_id = message.clone();
                        part.session_id = session.clone();
                    }),*
                }
                self
            }
        }
    };
}

parts! {
    /// Text of the user or the model.
    Text "text" TextPart {
        /// The text, exactly as it came.
        #[schemars(extend("x-long" = true))]
        text: String,
        /// Added by the daemon, not typed by the user.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        synthetic: bool,
        /// When it was streamed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Span>,
        /// What the provider attached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Value>,
    }

    /// What the model thought.
    Reasoning "reasoning" ReasoningPart {
        /// The text, exactly as it came.
        #[schemars(extend("x-long" = true))]
        text: String,
        /// What the provider attached, such as its signature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Value>,
        /// When it was streamed.
        time: Span,
    }

    /// A file or image that the user attached.
    File "file" FilePart {
        /// The media type.
        mime: String,
        /// The name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
        /// `file:`, `data:` or another address.
        #[schemars(extend("x-long" = true))]
        url: String,
        /// Where in the prompt it was mentioned; not interpreted by the daemon.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Value>,
    }

    /// A tool call and its result.
    Tool "tool" ToolPart {
        /// The provider's id of the call.
        #[serde(rename = "callID")]
        call_id: String,
        /// The tool's name.
        tool: String,
        /// What the call is about, in one line: the command, the file, the pattern. Absent while the model still writes
        /// the call, and where only the arguments tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// How far it is.
        state: ToolState,
        /// What the provider attached to the call, to be sent back with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Value>,
    }

    /// A model call begins.
    StepStart "step-start" StepStartPart {
        /// The state of the work tree before it. The daemon does not set it: see `patch`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<String>,
    }

    /// A model call has ended.
    StepFinish "step-finish" StepFinishPart {
        /// Why: `stop`, `tool-calls`, `length`, `content-filter`, `error` or `other`.
        reason: String,
        /// The state of the work tree after it. The daemon does not set it: see `patch`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<String>,
        /// What this call cost, in US dollars.
        cost: f64,
        /// What this call used.
        tokens: Tokens,
    }

    /// A recorded state of the work tree. The daemon makes none: `patch` parts take its place. Conversations from elsewhere may
    /// have it.
    Snapshot "snapshot" SnapshotPart {
        /// Its id.
        snapshot: String,
    }

    /// The files that a tool call changed.
    Patch "patch" PatchPart {
        /// The id of the stored change set. Empty in a copy of a session, which cannot undo what the original changed.
        hash: String,
        /// Absolute paths.
        files: Vec<String>,
        /// Files and directories that may have changed and cannot be restored, because no image was stored.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        uncovered: Vec<String>,
        /// Why, by path.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        reasons: BTreeMap<String, String>,
        /// The tool call that changed them.
        #[serde(default, rename = "callID", skip_serializing_if = "Option::is_none")]
        call_id: Option<String>,
    }

    /// A mention of an agent.
    Agent "agent" AgentPart {
        /// The agent's name.
        name: String,
        /// Where in the prompt it was mentioned; not interpreted by the daemon.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Value>,
    }

    /// Work for a child session.
    Subtask "subtask" SubtaskPart {
        /// What the child is asked.
        #[schemars(extend("x-long" = true))]
        prompt: String,
        /// A few words for people.
        description: String,
        /// The agent that does it.
        agent: String,
        /// The model that it uses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
    }

    /// A model call failed and is tried again.
    Retry "retry" RetryPart {
        /// Which attempt failed, from 1.
        attempt: u32,
        /// How it failed.
        error: MessageError,
        /// The service refused the request, and it is sent again without the images and documents of the conversation. This
        /// model is not sent those again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        without_attachments: bool,
        /// When.
        time: Created,
    }

    /// The history before this point was summarised. It stands in the summary, or in the prompt that asked for it.
    Compaction "compaction" CompactionPart {
        /// Not asked for by the user.
        auto: bool,
        /// The service had refused the conversation as too long.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        overflow: bool,
        /// The prompt from which on the model still reads the messages before the summary as they are; absent: none of them.
        #[serde(default, rename = "tailStartID", skip_serializing_if = "Option::is_none")]
        tail_start_id: Option<MessageId>,
        /// What the model is told beside the summary, as it was then.
        #[serde(default, skip_serializing_if = "CompactionState::is_empty")]
        state: CompactionState,
    }
}

/// What a summary does not put into words.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CompactionState {
    /// The task list of the session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub todos: Vec<Todo>,
    /// The child sessions that were in a turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<RunningChild>,
}

impl CompactionState {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.todos.is_empty() && self.children.is_empty()
    }
}

/// A child session that is in a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningChild {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// What it is about.
    pub title: String,
}

/// When something was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// Milliseconds since 1970.
    pub created: i64,
}

/// A span of time; without `end` it still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Milliseconds since 1970.
    pub start: i64,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
}

/// When a call ran that gave a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolTime {
    /// Milliseconds since 1970.
    pub start: i64,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// Since when the model does not read the output any more, in milliseconds since 1970. The output stays in the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted: Option<i64>,
}

/// How far a tool call is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ToolState {
    /// The model is writing the call, or it waits for permission.
    Pending(ToolPending),
    /// It runs.
    Running(ToolRunning),
    /// It gave a result.
    Completed(ToolCompleted),
    /// It failed; the model reads why.
    Error(ToolFailed),
}

/// A call that has not started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ToolPending {
    /// The arguments, once complete.
    #[serde(default)]
    pub input: BTreeMap<String, Value>,
    /// The arguments as the model wrote them.
    #[schemars(extend("x-long" = true))]
    #[serde(default)]
    pub raw: String,
}

/// A call that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolRunning {
    /// The arguments.
    pub input: Value,
    /// One line for people.
    #[schemars(extend("x-long" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the tool reports while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Since when.
    pub time: Span,
}

/// A call that gave a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCompleted {
    /// The arguments.
    pub input: Value,
    /// What the model reads.
    #[schemars(extend("x-long" = true))]
    pub output: String,
    /// One line for people.
    #[schemars(extend("x-long" = true))]
    pub title: String,
    /// More for clients.
    pub metadata: Value,
    /// When it ran.
    pub time: ToolTime,
    /// Images and files for the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// A file that a tool gives to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// The media type.
    pub mime: String,
    /// A `data:` address.
    #[schemars(extend("x-long" = true))]
    pub url: String,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolFailed {
    /// The arguments.
    pub input: Value,
    /// What the model reads.
    #[schemars(extend("x-long" = true))]
    pub error: String,
    /// More for clients; `aborted: true` where the turn was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// When it ran.
    pub time: Span,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::Message;

    #[test]
    fn stored_json_is_read_with_the_tag_in_any_place() {
        let place = r#""id":"prt_01ARZ3NDEKTSV4RRFFQ69G5FAV","sessionID":"ses_01ARZ3NDEKTSV4RRFFQ69G5FAV","messageID":"msg_01ARZ3NDEKTSV4RRFFQ69G5FAV""#;
        let state = r#""callID":"c","tool":"read","state":{"status":"pending"}"#;
        for (tag, rest) in
            [("text", r#""text":"a \"type\":\"tool\" b""#), ("step-start", r#""x":1"#), ("tool", state), ("agent", r#""name":"build""#)]
        {
            let (first, last) = (format!(r#"{{"type":"{tag}",{place},{rest}}}"#), format!(r#"{{{place},{rest},"type":"{tag}"}}"#));
            let expected: Part = serde_json::from_str(&last).unwrap();
            assert_eq!((Part::from_json(&first).unwrap(), Part::from_json(&last).unwrap()), (expected.clone(), expected.clone()));
            assert!(serde_json::to_string(&expected).unwrap().starts_with(&format!(r#"{{"type":"{tag}","#)), "written with the tag first");
        }
        assert!(Part::from_json(&format!(r#"{{"type":"none",{place}}}"#)).is_err());
        let user = json!({ "role": "user", "id": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "time": { "created": 1 }, "agent": "build", "model": { "providerID": "p", "modelID": "m" } });
        let expected: Message = serde_json::from_value(user.clone()).unwrap();
        assert_eq!(Message::from_json(&user.to_string()).unwrap(), expected);
        assert_eq!(Message::from_json(&serde_json::to_string(&expected).unwrap()).unwrap(), expected);
        assert!(Message::from_json(r#"{"role":"assistant"}"#).is_err() && Message::from_json(r#"{"role":"x"}"#).is_err());
    }
}
