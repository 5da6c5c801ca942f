//! What a text of a prompt has come from: a command, or a shell line of the user. It stands in the metadata of the text.

use polytree_protocol::part::{Part, TextPart};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The field of the metadata of a command's text.
const COMMAND: &str = "command";
/// The field of the metadata of the text that stands for a shell line of the user.
const SHELL: &str = "shell";
/// Why the answer with the shell lines of a command has ended. No model reads it: the outputs stand in the prompt.
pub const FINISH: &str = "command";

/// The command that a text has come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    pub name: String,
    pub arguments: String,
    /// The shell lines that stand in the text, in order; none once their outputs have replaced them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<CalledShell>,
}

/// A shell line in a text, from and to these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledShell {
    pub start: usize,
    pub end: usize,
    pub line: String,
}

impl Called {
    /// The command of a text, if it comes from one.
    pub fn of(part: &TextPart) -> Option<Self> {
        serde_json::from_value(part.metadata.as_ref()?.get(COMMAND)?.clone()).ok()
    }

    /// The metadata of its text.
    pub fn metadata(&self) -> Value {
        json!({ COMMAND: self })
    }
}

/// The metadata of the text that stands for a shell line of the user.
pub fn shell_metadata(line: &str) -> Value {
    json!({ SHELL: line })
}

/// The shell line of the user that a prompt stands for, if it does.
pub fn shell_of(parts: &[Part]) -> Option<String> {
    let line = |part: &Part| match part {
        Part::Text(part) if part.synthetic => Some(part.metadata.as_ref()?.get(SHELL)?.as_str()?.to_owned()),
        _ => None,
    };
    parts.iter().find_map(line)
}
