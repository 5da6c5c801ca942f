//! Symbols: what the files of a project define.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;

params! {
    /// Params of `symbol.find`.
    SymbolFindParams {
        /// The name, or some of its letters in their order; a capital letter means that the case of letters counts. Several
        /// words must all be in it. What is before `::`, `.`, `#` or `->` is searched in the name of what contains the
        /// symbol. Empty: what is at the top of each file, in the order of the files.
        query: String,
        /// The maximum number of symbols, 1 to 1000; default 50.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// Only these kinds, as numbers of the language server protocol's `SymbolKind` (1 to 26); default: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kinds: Option<Vec<u8>>,
        /// Only in this file or below this directory, relative to the directory or absolute; it must be inside of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// The session whose directory is meant.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

/// A definition in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Its kind, a number of the language server protocol's `SymbolKind`; another name for a type is 26.
    pub kind: u8,
    /// The name of what contains it: a type, a module, a package, a function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// The file, relative to the directory.
    pub path: String,
    /// Where the whole definition is.
    pub location: SymbolLocation,
    /// Where the name is.
    pub selection_range: SymbolRange,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SymbolLocation {
    /// The file as a `file://` address, percent-encoded.
    pub uri: String,
    /// The part of it.
    pub range: SymbolRange,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SymbolRange {
    /// Where it begins.
    pub start: SymbolPosition,
    /// Its end, exclusive.
    pub end: SymbolPosition,
}

/// A position in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SymbolPosition {
    /// The line, from 0.
    pub line: u32,
    /// The column, from 0, in UTF-16 units.
    pub character: u32,
}
