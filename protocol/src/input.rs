//! What a prompt is made of.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{buffer::TextRange, id::PartId, task::SubtaskInput};

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum PartInput {
    /// Text.
    Text(TextInput),
    /// A file, an image or a directory.
    File(FileInput),
    /// A mention of an agent.
    Agent(AgentInput),
    /// A call of a command, which becomes a text and files. At most one; its agent and model count before the prompt's.
    Command(CommandInput),
    /// What the user's editor shows; it becomes a text for the model.
    Context(ContextInput),
    /// Work for a child session: it is done before the model is asked, which then reads the result.
    Subtask(SubtaskInput),
}

/// What the user's editor shows. Long ones are cut: 32 KiB of a text, 200 items with 2,000 characters each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextInput {
    /// The id of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// What it is.
    pub kind: ContextKind,
    /// The file, of a selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The place in the file, of a selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<TextRange>,
    /// The text of a selection, of changes (a patch), or of a terminal, of which the end is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The files, or the diagnostics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ContextItem>,
}

/// What a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContextKind {
    /// A selected text: `path`, `range`, `text`.
    Selection,
    /// Open files, the current one first: `items` with `path`.
    Files,
    /// What language servers say: `items` with `path`, `range`, `severity`, `text`.
    Diagnostics,
    /// Uncommitted changes: `text`.
    Changes,
    /// What a terminal shows: `text`.
    Terminal,
}

impl ContextKind {
    /// Its word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Selection => "selection",
            Self::Files => "files",
            Self::Diagnostics => "diagnostics",
            Self::Changes => "changes",
            Self::Terminal => "terminal",
        }
    }
}

/// A file or a diagnostic of a context.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextItem {
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<TextRange>,
    /// 1 error, 2 warning, 3 information, 4 hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<u8>,
    /// What is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A call of a command in a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandInput {
    /// The id of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// The command's name.
    pub name: String,
    /// What follows the name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arguments: String,
}

/// Text of a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// The text.
    pub text: String,
    /// Not typed by the user.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
}

/// A file of a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// The media type; `text/plain` is read as text, `application/x-directory` is listed.
    pub mime: String,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// `file:///absolute/path`, optionally with `?start=LINE&end=LINE` (from 1), or a `data:` address.
    pub url: String,
    /// Where in the prompt it was mentioned; kept, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
}

/// A mention of an agent in a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentInput {
    /// The part's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PartId>,
    /// The agent's name.
    pub name: String,
    /// Where in the prompt it was mentioned; kept, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
}

pub(crate) fn parts_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PartInput>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Vec<PartInput>;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an array of parts or a string")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![PartInput::Text(TextInput { text: text.to_owned(), ..TextInput::default() })])
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Deserialize::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// The one place where two shapes are accepted: a plain text is the commonest prompt by far.
pub(crate) fn parts_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let parts = generator.subschema_for::<Vec<PartInput>>();
    schemars::json_schema!({ "description": "What is asked: parts, or a plain text.", "oneOf": [{ "type": "string" }, parts] })
}
