//! What passes between an index and those who ask it.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::tree::Tree;

/// The names cannot be read; with the system's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// The answer of an index: the names.
pub type Answer = Result<Arc<Tree>, Unreadable>;

/// A question for the names.
pub struct Question {
    /// Every change that had ended by then must be in the answer.
    pub since: Instant,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// What an index holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The names.
    pub tree: Arc<Tree>,
    /// How many directories are watched.
    pub watched: usize,
}
