//! What a session's task is asked, and what it answers.

use std::sync::Arc;

use polytree_protocol::{id::MessageId, message::UserMessage, part::Part};
use tokio::sync::oneshot;

use super::{Error, Workspace};
use crate::tool::context::Environment;

/// How a prompt's turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnEnd {
    /// With this message as its last.
    Message(MessageId),
    /// The session was deleted.
    Deleted,
    /// Its end, or its beginning, could not be stored, for this reason.
    Unstored(String),
}

/// What the caller of a prompt learns: whether it waits for another turn, and where the end of its own arrives.
pub(super) type Accepted = Result<(bool, oneshot::Receiver<TurnEnd>), Error>;

/// A prompt that is ready to be stored.
pub(super) struct Prepared {
    pub message: UserMessage,
    /// The client chose the message's id, so it may be known.
    pub chosen: bool,
    pub parts: Vec<Part>,
    pub digest: String,
    pub environment: Environment,
    pub workspace: Arc<Workspace>,
}

/// What a session's task is asked.
pub(super) enum Command {
    /// Store a prompt and start or queue its turn.
    Prompt { prompt: Box<Prepared>, reply: oneshot::Sender<Accepted> },
    /// Wait for the turn of a prompt that is stored.
    Join { message_id: MessageId, environment: Environment, reply: oneshot::Sender<Accepted> },
    /// End the turn, cancel the queue.
    Abort { reply: oneshot::Sender<Result<bool, Error>> },
    /// A question was answered.
    Resume { environment: Environment },
    /// What the daemon before this one left could not be closed at the start.
    Settle,
    /// End the turn and delete the session; false when it has children by now.
    Delete { reply: oneshot::Sender<Result<bool, Error>> },
}
