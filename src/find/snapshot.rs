//! The messages between an index and its callers.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::tree::Tree;

/// The root cannot be read; with the message of the operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// The answer of an index.
pub type TreeResult = Result<Arc<Tree>, Unreadable>;

/// A request for the current tree.
pub struct TreeRequest {
    /// The answer must include every change that was completed before this time.
    pub since: Instant,
    pub answer: oneshot::Sender<TreeResult>,
}

/// The content of an index at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub tree: Arc<Tree>,
    /// The number of watched directories.
    pub watched: usize,
}
