//! The commands of a session's task, and their replies.

use std::sync::Arc;

use polytree_protocol::{
    hunk::{Hunk, HunkState},
    id::{HunkId, MessageId, PartId},
    session::Session,
};
use tokio::sync::oneshot;

use super::{Error, Workspace};
use crate::{
    store::{NewPrompt, QueueChange, QueueChanged},
    tool::context::Environment,
};

/// How a prompt's turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnEnd {
    /// Its last message.
    Message(MessageId),
    Deleted,
    /// Why its beginning or its end could not be stored.
    Unstored(String),
}

/// Whether a prompt waits for another turn, and where the end of its own turn arrives.
pub(super) type Accepted = Result<(bool, oneshot::Receiver<TurnEnd>), Error>;

pub(super) struct Prepared {
    pub prompt: NewPrompt,
    /// It is for the running turn, if there is one.
    pub steers: bool,
    pub environment: Environment,
    pub workspace: Arc<Workspace>,
}

/// A revert, or what takes one back.
pub(super) struct Undo {
    /// The first message, and part of it, to undo; `None` takes back the last revert.
    pub to: Option<(MessageId, Option<PartId>)>,
    pub preview: bool,
    pub partial: bool,
    pub workspace: Arc<Workspace>,
}

/// Hunks that are kept or undone: one of them, all open ones of a file, or all of the session.
pub(super) struct Decision {
    pub state: HunkState,
    pub hunk: Option<HunkId>,
    pub path: Option<String>,
    /// Leaves those alone that cannot be undone.
    pub partial: bool,
    pub workspace: Arc<Workspace>,
}

pub(super) enum Command {
    /// Store a prompt and start or queue its turn.
    Prompt {
        prompt: Box<Prepared>,
        reply: oneshot::Sender<Accepted>,
    },
    /// Wait for the turn of a prompt that is stored.
    Join {
        message_id: MessageId,
        environment: Environment,
        reply: oneshot::Sender<Accepted>,
    },
    /// Change a prompt that waits.
    ChangeQueue {
        message_id: MessageId,
        change: QueueChange,
        reply: oneshot::Sender<Result<QueueChanged, Error>>,
    },
    /// List the prompts that are to enter the running turn.
    Steering {
        reply: oneshot::Sender<Vec<MessageId>>,
    },
    /// Store a prompt that asks for a summary and start its turn, unless the session has something to do.
    Compact {
        prompt: Box<Prepared>,
        reply: oneshot::Sender<Accepted>,
    },
    Undo {
        undo: Box<Undo>,
        reply: oneshot::Sender<Result<Session, Error>>,
    },
    /// Keep or undo hunks.
    Decide {
        decision: Box<Decision>,
        reply: oneshot::Sender<Result<Vec<Hunk>, Error>>,
    },
    Abort {
        reply: oneshot::Sender<Result<bool, Error>>,
    },
    /// A question was answered: resume its turn.
    Resume {
        environment: Environment,
    },
    /// What an earlier daemon left unfinished could not be closed at the start: retry.
    Settle,
    /// End the turn and delete the session. The reply is false when the session has children.
    Delete {
        reply: oneshot::Sender<Result<bool, Error>>,
    },
}
