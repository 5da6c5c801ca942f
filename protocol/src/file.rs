//! The project's files: one directory, one file, and what differs from the last commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;

params! {
    /// Params of `file.list`.
    FileListParams {
        /// The directory to list: relative to the directory that the request means, or absolute; empty or `.` is that
        /// directory itself. It must lie in the worktree.
        path: String,
        /// The session whose directory is meant.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

params! {
    /// Params of `file.read`.
    FileReadParams {
        /// The file: relative to the directory that the request means, or absolute. It must lie in the worktree.
        path: String,
        /// The session whose directory is meant.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        /// In which form; default: `auto`.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        form: Option<FileForm>,
        /// At which revision: `HEAD`, or the id of a message of the session `sessionID`, before whose changes the text is
        /// returned. Never a patch. Default: as it is now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
        /// The first line to read, from 1. With `offset` or `limit` the answer is those lines as they are, never a patch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// How many lines to read at most; default: all that follow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    }
}

params! {
    /// Params of `file.status`.
    FileStatusParams {
        /// The session whose directory is meant.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileNode {
    /// Its name.
    pub name: String,
    /// Its path relative to the directory that the request means, with `/` between names and none at the end.
    pub path: String,
    /// Its absolute path.
    pub absolute: String,
    /// What it is; of a symbolic link, what it leads to.
    #[serde(rename = "type")]
    pub kind: FileNodeType,
    /// It is a symbolic link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub symlink: bool,
    /// git ignores it: it matches an ignore rule and is not tracked.
    pub ignored: bool,
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileNodeType {
    /// Anything but a directory, also a link that leads nowhere.
    File,
    /// A directory.
    Directory,
}

/// The form in which a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileForm {
    /// A patch where it differs from the last commit, else its content.
    #[default]
    Auto,
    /// Its content.
    Raw,
}

/// A file as it was read. Where an editor has announced text that it has not saved, that text is what was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileContent {
    /// What `content` is.
    #[serde(rename = "type")]
    pub kind: FileContentType,
    /// The file's text as it is, nothing trimmed and a byte order mark as U+FEFF; its bytes in base64; or a unified patch
    /// with all lines as context.
    pub content: String,
    /// How `content` is encoded; absent for text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<FileEncoding>,
    /// The media type of what is no text, and of SVG images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// How the file stores its characters where that is not UTF-8: the encoding's name in the Encoding Standard, in lower
    /// case, such as `utf-16le` (from a byte order mark) or `gbk` (guessed from the bytes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<String>,
    /// Some bytes are not valid in that encoding, or in UTF-8, and are U+FFFD in `content`: saving it would lose them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lossy: bool,
    /// There are lines after those that were asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// BLAKE3 of the bytes that were read, in hexadecimal: of the whole file or announced text, or of the lines asked for.
    pub version: String,
}

/// What the content of a file is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileContentType {
    /// The file's own content.
    Raw,
    /// A unified patch from the last commit.
    Patch,
}

/// How content that is no text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileEncoding {
    /// Base64 with padding.
    Base64,
}

/// A file that differs from the last commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Its path relative to the directory that the request means. A repository inside this one that is not part of it ends
    /// with `/`.
    pub path: String,
    /// Lines that it has and the last commit has not; 0 where git counts none, as in binary files.
    pub added: u64,
    /// Lines that the last commit has and it has not.
    pub removed: u64,
    /// How it differs.
    pub status: FileStatus,
    /// Where it was in the last commit, when it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// How a file differs from the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    /// It is new, tracked or not.
    Added,
    /// It is gone.
    Deleted,
    /// Its content, mode or kind is another, or it is in conflict.
    Modified,
    /// It was moved, and perhaps changed a little.
    Renamed,
}
