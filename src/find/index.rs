//! The index of one worktree as others see it: it is asked for the names as they are now. A task of its own keeps it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    index_task::IndexTask,
    notifier::Notifier,
    snapshot::{Answer, Question, Snapshot, Unreadable},
    watch::table::Allowance,
};
use crate::{git::Checkout, stdx::tasks::Tasks};

/// An index.
pub struct Index {
    /// What it is of; its directory is the top.
    pub checkout: Checkout,
    questions: mpsc::UnboundedSender<Question>,
    snapshot: Arc<Mutex<Snapshot>>,
    tasks: Tasks,
}

impl Index {
    /// Begins to read. `others` are of the same project: what is alike is shared with them.
    #[must_use]
    pub fn start(checkout: Checkout, others: &[Arc<Self>], notifier: Notifier, allowance: Arc<Allowance>, tasks: &Tasks) -> Arc<Self> {
        let (questions, asked) = mpsc::unbounded_channel();
        let snapshot = Arc::<Mutex<Snapshot>>::default();
        let tasks = tasks.child();
        let others = others.iter().map(|other| Arc::downgrade(&other.snapshot)).collect();
        let task = IndexTask::new(checkout.clone(), others, Arc::clone(&snapshot), notifier, allowance);
        drop(tasks.spawn("file index", task.run(asked, tasks.token().clone())));
        Arc::new(Self { checkout, questions, snapshot, tasks })
    }

    /// The names: every change that had ended by a moment is in it.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub async fn fresh(&self, since: Instant) -> Answer {
        let (sender, answer) = oneshot::channel();
        let _ = self.questions.send(Question { since, answer: sender });
        answer.await.unwrap_or_else(|_| Err(Unreadable("the index was closed".into())))
    }

    /// What it holds now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// Somebody who wants to be told of changes: as long as the value lives, the index does.
pub struct Follower(#[expect(dead_code, reason = "it is only held")] pub(super) Arc<Index>);
