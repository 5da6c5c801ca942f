//! Searching the contents of files.
//!
//! `text.find` answers with all items at once, ordered by path and line; `text.subscribe` sends the same ones as they
//! are found, and ends by itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::SessionId;

/// The default of `limit`.
pub const DEFAULT_LIMIT: u32 = 1000;

/// How many matches a search may be asked for.
pub const MOST_MATCHES: u32 = 100_000;

/// How many lines of context there may be on each side of a match.
pub const MOST_CONTEXT: u32 = 100;

params! {
    /// Params of `text.find` and `text.subscribe`. What ignore files name is not searched, hidden files are, and what
    /// editors hold unsaved is searched in place of what the disk holds.
    TextFindParams {
        /// The regular expression, in the syntax of Rust's `regex` crate; with `fixed` the text itself. Without
        /// `multiline` it matches within lines.
        pattern: String,
        /// Search in this session's directory.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        /// The pattern is the text to find and no regular expression.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fixed: bool,
        /// Whether case matters; default `smart`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        letter_case: Option<TextCase>,
        /// Only whole words: no word character on either side.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        word: bool,
        /// Matches may go over several lines. Files over 64 MiB are left out then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        multiline: bool,
        /// Only files that one of these patterns fits, or a directory that they are in. Patterns are written as in an
        /// ignore file, relative to the directory: `*.rs`, `src/**/*.ts`, `docs`. They bring back nothing ignored.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        include: Vec<String>,
        /// Neither files nor directories that one of these patterns fits; written like those of `include`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        exclude: Vec<String>,
        /// Only files of these types, by ripgrep's names: `rust`, `py`, `ts`; `all` is every file whose type is known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        types: Vec<String>,
        /// How many lines before and after each match are given too, as items `context`; at most 100.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<u32>,
        /// The file or directory to search, below the directory; relative to it or absolute. A file is searched also
        /// where it is ignored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// The maximum number of matches, 1 to 100000; default 1000. `text.find` returns the first ones by path and line,
        /// and never more than 28 MiB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// How many matches at most in one file; all if not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit_per_file: Option<u32>,
    }
}

params! {
    /// Params of `text.unsubscribe`.
    TextUnsubscribeParams {
        /// The subscription's id.
        subscription: u64,
    }
}

/// How capital and small letters compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextCase {
    /// Letters are equal whatever their case, unless the pattern holds a capital one.
    #[default]
    Smart,
    /// They differ.
    Sensitive,
    /// They are equal.
    Insensitive,
}

/// What a search gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TextItem {
    /// Lines with matches.
    Match(TextMatch),
    /// A line beside them.
    Context(TextContext),
    /// There is more than the limit allows.
    Truncated(TextTruncated),
    /// The search is over; only on subscriptions, where nothing follows it.
    End(TextEnd),
}

/// A line with matches; with `multiline` the lines that the matches go over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextMatch {
    /// The file, relative to the directory, with `/` between names.
    pub path: String,
    /// The number of the line, or of the first one, from 1.
    pub line: u64,
    /// Where in it the first match begins, from 1, in UTF-16 code units of the whole line: an LSP position's
    /// `character` is one less.
    pub column: u64,
    /// The text without its last line ending, at most 4 KiB: of a longer one, the part around the first match.
    /// What is no UTF-8 is replaced by U+FFFD.
    pub text: String,
    /// The matches in `text`. Those beyond its end are left out.
    pub submatches: Vec<TextSubmatch>,
    /// How many bytes of the line stand before `text`, where some were cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many bytes stand after `text`, where some were cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// True where bytes were replaced, so that `text` is not what the file holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lossy: Option<bool>,
}

/// The position of a match in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextSubmatch {
    /// Where it begins, in bytes of the text's UTF-8, from 0.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The same in UTF-16 code units; absent where the numbers are the same because the text is ASCII.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utf16: Option<Utf16Range>,
}

/// A part of a text, in UTF-16 code units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Utf16Range {
    /// Where it begins, from 0.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// A line without a match beside one with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextContext {
    /// The file, relative to the directory, with `/` between names.
    pub path: String,
    /// The number of the line, from 1.
    pub line: u64,
    /// The line without its ending, at most 4 KiB.
    pub text: String,
    /// How many bytes stand after `text`, where some were cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// True where bytes were replaced, so that `text` is not what the file holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lossy: Option<bool>,
}

/// There are more matches than were asked for, or than fit into one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TextTruncated {
    /// How many matches were given.
    pub limit: u64,
}

/// How a search went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TextEnd {
    /// The number of searched files, including binary ones.
    pub files: u64,
    /// How many items `match` were given.
    pub matches: u64,
    /// Whether there are more.
    pub truncated: bool,
    /// How many files could not be read.
    pub unreadable: u64,
    /// How long it took, in milliseconds.
    pub elapsed: u64,
}

/// Items as they stand on the wire: each is written once, where it is found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TextItems(Box<RawValue>);

impl TextItems {
    /// Takes the JSON of an array of [`TextItem`].
    #[must_use]
    pub fn new(json: Box<RawValue>) -> Self {
        Self(json)
    }

    /// The items.
    ///
    /// # Errors
    /// When the JSON is none of items.
    pub fn parse(&self) -> serde_json::Result<Vec<TextItem>> {
        serde_json::from_str(self.0.get())
    }
}

impl JsonSchema for TextItems {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        <Vec<TextItem>>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Vec<TextItem>>::json_schema(generator)
    }
}
