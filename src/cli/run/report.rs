//! The last line of `polytree run --json`.

use polytree_protocol::id::{MessageId, SessionId};
use serde_json::Value;

/// The last line of `--json`.
#[derive(Default)]
pub(crate) struct Report {
    /// The session, if there is one.
    pub session: Option<SessionId>,
    /// The last answer, else the prompt.
    pub message: Option<MessageId>,
    /// Why it failed.
    pub error: Option<Value>,
}
