//! THE TABLE of errors: number, word, HTTP status, meaning.
//!
//! Numbers below zero are JSON-RPC's own (and LSP's for `cancelled`); ours are positive, outside every
//! reserved range.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::revert::RevertedFile;

macro_rules! errors {
    ($($(#[doc = $doc:literal])* $variant:ident $word:literal $code:literal $http:literal;)*) => {
        /// The stable word of an error: `data.kind` on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorKind {
            $($(#[doc = $doc])* $variant,)*
        }

        impl ErrorKind {
            /// All rows of the table.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$variant),*];

            /// The JSON-RPC error code.
            #[must_use]
            pub fn code(self) -> i32 {
                match self { $(ErrorKind::$variant => $code),* }
            }

            /// The word on the wire.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(ErrorKind::$variant => $word),* }
            }

            /// The HTTP status for REST-like doors.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(ErrorKind::$variant => $http),* }
            }

            /// When it happens.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(ErrorKind::$variant => concat!($($doc),*).trim_ascii()),* }
            }
        }
    };
}

errors! {
    /// The message is not JSON.
    ParseError "parse_error" -32700 400;
    /// The message is not a JSON-RPC 2.0 request.
    InvalidRequest "invalid_request" -32600 400;
    /// There is no such method.
    MethodNotFound "method_not_found" -32601 404;
    /// The params do not fit the method; the message names the field.
    InvalidParams "invalid_params" -32602 400;
    /// A defect of the daemon; its log has the details.
    Internal "internal" -32603 500;
    /// No such project, session, message, file, permission or directory.
    NotFound "not_found" 1001 404;
    /// The session is in a turn and the call needs it idle.
    Busy "busy" 1002 409;
    /// Changed since it was read, an id that is already used, or a question already answered.
    Conflict "conflict" 1003 409;
    /// Outside the worktree, refused by a rule, or a wrong origin.
    Denied "denied" 1004 403;
    /// Not possible in the present state, for example nothing to undo.
    InvalidState "invalid_state" 1005 409;
    /// A provider key is missing or was refused.
    Credentials "credentials" 1006 401;
    /// The model service failed after all retries.
    Provider "provider" 1007 502;
    /// Over a limit; `data.limit` is the limit.
    TooLarge "too_large" 1008 413;
    /// Shutting down, store not writable, disk full, or owned by another; `data.retryAfter` in ms.
    Unavailable "unavailable" 1009 503;
    /// The method needs a directory and neither the request nor the connection names one.
    DirectoryRequired "directory_required" 1010 400;
    /// The cursor is older than the oldest kept event, which is `data.oldest`.
    CursorExpired "cursor_expired" 1011 410;
    /// The client's protocol version is not supported; `data.supported` lists those that are.
    UnsupportedVersion "unsupported_version" 1012 400;
    /// A settings file does not parse or validate.
    Config "config" 1013 400;
    /// Too many requests at once, or a memory budget is used up; `data.retryAfter` in ms.
    Overloaded "overloaded" 1014 503;
    /// Cancelled by `$/cancelRequest`, or the session was deleted.
    Cancelled "cancelled" -32800 499;
}

/// The `data` of an error object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorData {
    /// The stable word that clients test.
    pub kind: ErrorKind,
    /// What to do next, where there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The limit that was passed, in bytes or items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The oldest kept cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u64>,
    /// The cursor that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// The announced number of the text that was to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The directory that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The protocol versions that are supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported: Option<Vec<u32>>,
    /// The settings file at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The files in conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<RevertedFile>>,
    /// The process that owns the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

impl ErrorData {
    /// Data with nothing but the word.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            hint: None,
            retry_after: None,
            limit: None,
            oldest: None,
            cursor: None,
            version: None,
            directory: None,
            supported: None,
            file: None,
            line: None,
            column: None,
            files: None,
            pid: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorKind;

    #[test]
    fn words_are_what_serde_writes_and_codes_are_unique() {
        let mut codes = std::collections::HashSet::new();
        for kind in ErrorKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
            assert!(codes.insert(kind.code()), "{kind:?} reuses a code");
            assert!(!kind.meaning().is_empty());
        }
    }
}
