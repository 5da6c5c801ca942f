//! Prompts that wait for a running turn, and prompts that enter it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{MessageId, SessionId},
    part::Part,
    session::{PartInput, parts_or_text, parts_schema},
};

params! {
    /// Params of `session.queue`.
    SessionQueueParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
    }
}

/// A prompt that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueuedPrompt {
    /// The user message.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// Its parts.
    pub parts: Vec<Part>,
    /// Whether it enters the running turn at its next step. Otherwise it becomes a turn of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub steers: bool,
}

params! {
    /// Params of `session.queue.remove`.
    SessionQueueRemoveParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The prompt. It stays a message, with the state `cancelled`.
        #[serde(rename = "messageID")]
        message_id: MessageId,
    }
}

params! {
    /// Params of `session.queue.move`.
    SessionQueueMoveParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The prompt to move.
        #[serde(rename = "messageID")]
        message_id: MessageId,
        /// The prompt that it is to come before; default: it comes last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<MessageId>,
    }
}

params! {
    /// Params of `session.queue.replace`.
    SessionQueueReplaceParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The prompt to change. Its place in the queue, agent and model stay.
        #[serde(rename = "messageID")]
        message_id: MessageId,
        /// What is asked instead: parts, or a plain text.
        #[serde(deserialize_with = "parts_or_text")]
        #[schemars(schema_with = "parts_schema")]
        parts: Vec<PartInput>,
    }
}

params! {
    /// Params of `session.queue.steer`.
    SessionQueueSteerParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The prompt that is to enter the running turn.
        #[serde(rename = "messageID")]
        message_id: MessageId,
    }
}

params! {
    /// Params of `session.steer`.
    SessionSteerParams {
        /// The session.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// What the model is told: parts, or a plain text.
        #[serde(deserialize_with = "parts_or_text")]
        #[schemars(schema_with = "parts_schema")]
        parts: Vec<PartInput>,
        /// The id that the user message shall have: the same id with the same params again changes nothing.
        #[serde(default, rename = "messageID", skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
    }
}

/// Result of `session.steer` and `session.queue.replace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueuedMessage {
    /// The user message.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
}
