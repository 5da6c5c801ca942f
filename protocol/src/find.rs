//! Finding files by name, and events about changed files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;

macro_rules! find_params {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        $(params! {
            $(#[doc = $doc])*
            $name {
                /// The session whose directory is meant, in place of `directory`.
                #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
                session_id: Option<SessionId>,
                /// The query, in the syntax of fzf: all words must match, as fuzzy sequences; `'word` exactly, `^word`
                /// at the beginning, `word$` at the end, `!word` not at all, `one | other` either. Without capitals both cases match.
                /// Empty: the files that were used last, then what lies highest.
                query: String,
                /// The maximum number of paths, 1 to 1,000; default 50.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                limit: Option<u32>,
                /// Only files or only directories; both if not said.
                #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
                kind: Option<FindType>,
            }
        })*
    };
}

find_params! {
    /// Params of `file.find`.
    FileFindParams;
    /// Params of `file.match`.
    FileMatchParams;
}

/// A path that matches, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileMatch {
    /// The path relative to the directory; directories end with `/`.
    pub path: String,
    /// The places of the matched characters in `path`, ascending, in UTF-16 code units from 0; of a character of two units
    /// the first. Empty where the query names no characters.
    pub positions: Vec<u32>,
}

/// What is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FindType {
    /// Files, and symbolic links whatever they lead to.
    File,
    /// Directories.
    Directory,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileEvent {
    /// It is new, or no longer ignored.
    Add,
    /// Its content changed. For a directory: so many files changed in it that they are not reported one by one.
    Change,
    /// It is gone, or ignored now.
    Unlink,
}
