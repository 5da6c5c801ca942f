//! How a tool call ends: with a result, or with an error that the model reads.

use polytree_protocol::part::Attachment;
use serde_json::Value;

/// What a call gives back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOutput {
    /// One line for people; paths relative to the worktree.
    pub title: String,
    /// What the model reads.
    pub output: String,
    /// More for clients.
    pub metadata: Value,
    /// Images and files for the model.
    pub attachments: Vec<Attachment>,
}

impl ToolOutput {
    /// A result without attachments.
    pub fn new(title: impl Into<String>, output: impl Into<String>, metadata: Value) -> Self {
        Self { title: title.into(), output: output.into(), metadata, attachments: Vec::new() }
    }
}

/// How a call fails. Every kind becomes a result that the model reads; only `Rejected` without a message ends the turn.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum ToolError {
    /// It could not be done; the text tells the model why and what to try.
    #[error("{0}")]
    Failed(String),
    /// A rule forbids it.
    #[error("{0}")]
    Denied(String),
    /// The user said no.
    #[error("the user rejected this tool call{}", message.as_ref().map(|m| format!(" and said: {m}")).unwrap_or_default())]
    Rejected {
        /// What the user wants instead.
        message: Option<String>,
    },
    /// The turn was aborted.
    #[error("the tool call was aborted")]
    Aborted,
}

impl ToolError {
    /// A failure with the given text.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}
