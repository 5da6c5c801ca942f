//! What the language servers of an editor say about the texts that it holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::buffer::TextRange;

params! {
    /// Params of `diagnostics.set`.
    DiagnosticsSetParams {
        /// The file, as it was opened with `buffer.open`.
        path: String,
        /// The number of the text that they belong to.
        version: i64,
        /// All diagnostics of that text, in place of those before; at most 1,000.
        items: Vec<Diagnostic>,
    }
}

/// A diagnostic in the form of LSP; further fields are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Where.
    pub range: TextRange,
    /// 1 error, 2 warning, 3 information, 4 hint; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<u8>,
    /// A number or a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Value>,
    /// Who says it, such as `rustc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What is wrong; at most 2,000 characters are kept.
    pub message: String,
}
