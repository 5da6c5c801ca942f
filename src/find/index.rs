//! A handle to the index of one worktree, which a task of its own maintains.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    index_task::IndexTask,
    notifier::Notifier,
    snapshot::{Snapshot, TreeRequest, TreeResult, Unreadable},
    touched::{Gathered, Gatherers, Touched},
    tree::Tree,
    watch::table::WatchBudget,
};
use crate::{git::Checkout, stdx::tasks::Tasks};

pub struct Index {
    /// The indexed checkout; its directory is the root.
    pub checkout: Checkout,
    requests: mpsc::UnboundedSender<TreeRequest>,
    snapshot: Arc<Mutex<Snapshot>>,
    gatherers: Arc<Gatherers>,
    tasks: Tasks,
}

impl Index {
    /// Starts reading. `siblings` are indexes of the same project, with which equal directories are shared.
    pub fn start(checkout: Checkout, siblings: &[Arc<Self>], notifier: Notifier, budget: Arc<WatchBudget>, tasks: &Tasks) -> Arc<Self> {
        let (requests, received) = mpsc::unbounded_channel();
        let (snapshot, gatherers) = (Arc::<Mutex<Snapshot>>::default(), Arc::<Gatherers>::default());
        let tasks = tasks.child();
        let siblings = siblings.iter().map(|other| Arc::downgrade(&other.snapshot)).collect();
        let task = IndexTask::new(checkout.clone(), siblings, Arc::clone(&snapshot), notifier, Arc::clone(&gatherers), budget);
        drop(tasks.spawn("file index", task.run(received, tasks.token().clone())));
        Arc::new(Self { checkout, requests, snapshot, gatherers, tasks })
    }

    /// The tree, which includes every change that was completed before `since`.
    pub async fn tree(&self, since: Instant) -> TreeResult {
        let (sender, answer) = oneshot::channel();
        let _ = self.requests.send(TreeRequest { since, answer: sender });
        answer.await.unwrap_or_else(|_| Err(Unreadable("the index was closed".into())))
    }

    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// Keeps an index alive for a client that follows changes.
pub struct Follower(#[expect(dead_code, reason = "it is only held")] pub(super) Arc<Index>);

/// The changes of a checkout since the last call of [`Changes::take`]. Keeps the index alive.
pub struct Changes {
    index: Arc<Index>,
    gathered: Arc<Gathered>,
}

impl Changes {
    /// Begins to gather; at first everything may have changed.
    #[must_use]
    pub(super) fn new(index: Arc<Index>) -> Self {
        let gathered = index.gatherers.gather();
        Self { index, gathered }
    }

    /// The current tree, and what may have changed since the last call. Includes every change that was completed before
    /// this call, except writes through a shared memory mapping, for which inotify has no event.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub async fn take(&self) -> Result<(Arc<Tree>, Touched), Unreadable> {
        let tree = self.index.tree(Instant::now()).await?;
        let touched = self.gathered.take();
        // Without a watch on every directory, writes to files may have been missed.
        let is_known = !touched.everything && tree.cut.is_none() && tree.unwatched() == 0;
        Ok((tree, if is_known { touched } else { Touched::everything() }))
    }
}
