//! Unsaved text: what a client holds open and everything in the daemon reads before the disk.
//!
//! A client announces the text of a file with `buffer.open`, each change of it with `buffer.change`, and its end with
//! `buffer.close`; what it has announced ends with its connection. `buffer.*` messages of one connection take effect in the
//! order in which they were sent, before any request that was sent after them, so none has to be waited for. A change is
//! always relative to the text that the same client has announced last.
//!
//! What a tool changes of an announced file is shown to its client by the event `buffer.edit`, once, on its connection
//! alone and on no subscription: the notification `event` whose params hold a `result` and no `subscription`. The client
//! applies the edits to its text if that is still at the edit's `version`, announces the change as any other
//! (`buffer.change`, before or after the answer), and answers with `buffer.reply`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{EditId, SessionId};

/// A place between two characters of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextPosition {
    /// The line, from 0. Lines end with `\n`, `\r\n` or `\r` and with nothing else.
    pub line: u32,
    /// How many UTF-16 code units of the line stand before the place. Beyond the line's end it means the end, before the
    /// line break.
    pub character: u32,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextRange {
    /// Where it begins.
    pub start: TextPosition,
    /// Where it ends; not before its start.
    pub end: TextPosition,
}

/// One change of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextChange {
    /// What is replaced; absent: the whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<TextRange>,
    /// The new text.
    pub text: String,
}

params! {
    /// Params of `buffer.open`.
    BufferOpenParams {
        /// The file that the text will be saved to, absolute or relative to the directory. It need not exist. Every file
        /// may be announced: whether a tool may read it is asked when it does.
        path: String,
        /// The client's number for this state of the text; it grows with each change.
        version: i64,
        /// The whole text, at most 32 MiB; all texts of a connection together at most 256 MiB. Absent: the client holds
        /// the file open and cannot tell its text yet; who wants to read the file waits for the text a moment and is
        /// then refused, because the text on the disk is older.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    }
}

params! {
    /// Params of `buffer.change`.
    BufferChangeParams {
        /// The file, as it was opened.
        path: String,
        /// The number of the text with all edits made: greater than the one before. Another one is refused as `conflict`
        /// with the announced one in `data.version`, and changes nothing.
        version: i64,
        /// The changes, applied in order: each to what those before it have left. When they do not fit the announced text
        /// they are refused, and the text is not known until it is announced as a whole again: by `buffer.open`, or by a
        /// change without a range.
        edits: Vec<TextChange>,
    }
}

params! {
    /// Params of `buffer.close`.
    BufferCloseParams {
        /// The file, as it was opened.
        path: String,
    }
}

params! {
    /// Params of `buffer.reply`.
    BufferReplyParams {
        /// The edit.
        #[serde(rename = "editID")]
        edit_id: EditId,
        /// Whether the client has made it. It must not when its text was not at the edit's version any more.
        applied: bool,
        /// The number of the text with the edit made; needed when it was. The daemon reads the edited text from then on
        /// and expects the client's own `buffer.change` to this or a later number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<i64>,
        /// Whether the client has written the edited text to the disk as well; default false. When not, the model is told
        /// that commands see the older file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        saved: Option<bool>,
        /// Why it was not made; the model reads this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    }
}

/// An announced file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Buffer {
    /// Its absolute real path.
    pub path: String,
    /// The announced version of its text.
    pub version: i64,
}

/// An edit of an announced text that its client is asked to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BufferEditInfo {
    /// Names the edit in `buffer.reply`.
    #[serde(rename = "editID")]
    pub edit_id: EditId,
    /// The file's absolute real path.
    pub path: String,
    /// The number of the text that the edits are meant for.
    pub version: i64,
    /// The edits, whole lines where they can be, from the last place in the text to the first: applied in order or all at
    /// once, the result is the same. Each has a range.
    pub edits: Vec<TextChange>,
    /// For how many milliseconds an answer is waited for. Who is later must not make the edit.
    pub timeout: u64,
    /// The session whose tool edits.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
}

/// Files whose announced texts are not known any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BufferResetInfo {
    /// The paths, as the client has given them. Each is to be announced again with `buffer.open`, or closed.
    pub paths: Vec<String>,
}
