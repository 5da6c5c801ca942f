//! What `polytree run --json` says at its end.

use polytree_protocol::id::{MessageId, SessionId};
use serde_json::Value;

/// What the last line of `--json` tells.
#[derive(Default)]
pub(crate) struct Report {
    /// The session, once there is one.
    pub session: Option<SessionId>,
    /// The last answer, else the prompt.
    pub message: Option<MessageId>,
    /// Why it failed.
    pub error: Option<Value>,
}
