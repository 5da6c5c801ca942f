//! A message: who wrote it, with what, and how it ended.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{MessageId, SessionId},
    part::{Created, Part},
    provider::ModelRef,
    sandbox::Mode,
};
pub use crate::{
    message_error::{MessageError, MessageErrorData, MessageErrorName, SpendLimit},
    tokens::{CacheTokens, Tokens},
};

/// A message with its parts, as read in one snapshot of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageWithParts {
    /// The message.
    pub info: Message,
    /// Its parts in the order in which they were stored.
    pub parts: Vec<Part>,
    /// The event cursor of the snapshot: events of this message up to it are already contained.
    pub cursor: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "role", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "most messages are answers, which are the larger ones")]
pub enum Message {
    /// From the user.
    User(UserMessage),
    /// From the model: one message for each model call.
    Assistant(AssistantMessage),
}

impl Message {
    /// Parses the JSON of a message. Where the tag comes first, as it is written, this is faster than `Deserialize`.
    ///
    /// # Errors
    /// When it is no message.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        match text.strip_prefix("{\"role\":\"").and_then(|rest| rest.split_once('"')) {
            Some(("user", _)) => serde_json::from_str(text).map(Self::User),
            Some(("assistant", _)) => serde_json::from_str(text).map(Self::Assistant),
            _ => serde_json::from_str(text),
        }
    }

    /// The message's id.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        match self {
            Message::User(message) => &message.id,
            Message::Assistant(message) => &message.id,
        }
    }

    /// The session that it belongs to.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        match self {
            Message::User(message) => &message.session_id,
            Message::Assistant(message) => &message.session_id,
        }
    }
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserMessage {
    /// The message's id.
    pub id: MessageId,
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// When.
    pub time: Created,
    /// Whether it waits, is being answered, or how it ended. Only old events in the log lack it.
    #[serde(default)]
    pub state: PromptState,
    /// A later prompt that entered the turn in the same step: its answers answer this prompt as well.
    #[serde(default, rename = "answeredWith", skip_serializing_if = "Option::is_none")]
    pub answered_with: Option<MessageId>,
    /// The agent that was asked.
    pub agent: String,
    /// The model that was asked.
    pub model: ModelRef,
    /// Replaces the agent's system prompt for this turn.
    #[schemars(extend("x-long" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Tools switched on or off for this turn, by name or wildcard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeMap<String, bool>>,
    /// The variant of the model that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How the model was to sample, and how long its answers might be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<PromptOptions>,
    /// The form that the answer was to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<OutputFormat>,
    /// What was to be done without a question in its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// The state of a prompt. `message.updated` reports each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptState {
    /// It waits for the turns before it.
    Queued,
    /// Its turn runs, or waits for a person.
    Running,
    /// Its turn has ended: with an answer, an error or an abort, as the last assistant message of this parent says.
    #[default]
    Answered,
    /// It was taken out of the queue and will never be answered.
    Cancelled,
}

/// How a model samples and how long its answers may be, for one turn; what is absent is as the agent has it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromptOptions {
    /// Sampling temperature, from 0 to 2; only for models that take one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, above 0 and up to 1; only for models that take a temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The longest answer in tokens, from 1; beyond the model's own limit that one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputFormat {
    /// Words, as ever.
    Text(TextFormat),
    /// JSON that satisfies a schema: `structured` of the turn's last message.
    JsonSchema(JsonSchemaFormat),
}

/// An answer in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextFormat {}

/// An answer in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonSchemaFormat {
    /// The JSON Schema: at most 64 KiB, references only within it (`#/$defs/…`).
    pub schema: BTreeMap<String, Value>,
    /// What the answer is, in a word; the model reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How often the model may try again after an answer that is not valid: 0 to 10, default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// An answer: one model call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssistantMessage {
    /// The message's id.
    pub id: MessageId,
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// The user message that it answers.
    #[serde(rename = "parentID")]
    pub parent_id: MessageId,
    /// When; `completed` once nothing more can come.
    pub time: MessageTime,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<MessageError>,
    /// The agent.
    pub agent: String,
    /// The agent, under the specification's older name.
    pub mode: String,
    /// The model's provider.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The model.
    #[serde(rename = "modelID")]
    pub model_id: String,
    /// Where it worked.
    pub path: MessagePath,
    /// It is a summary of what came before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub summary: bool,
    /// What it cost, in US dollars.
    pub cost: f64,
    /// What it used.
    pub tokens: Tokens,
    /// Why the model stopped: `stop`, `tool-calls`, `length`, `content-filter` or `other`;
    /// `command` for the shell lines of a command, which no model has asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// The variant of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The answer in the form that the prompt asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
}

/// Times of an assistant message, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageTime {
    /// When it began.
    pub created: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<i64>,
}

/// Where an assistant message worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessagePath {
    /// The session's directory.
    pub cwd: String,
    /// The checkout in use.
    pub root: String,
}
