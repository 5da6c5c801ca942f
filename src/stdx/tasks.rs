//! Named tasks in a tree: cancelled with their node, and awaited at the end.

use std::{future::Future, io};

use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// A node of the task tree: its token is cancelled with its parent's, and its tasks are awaited at the end.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// The root of a tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A child node: cancelled with this one or alone; its tasks count as tasks of this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), tracker: self.tracker.clone() }
    }

    /// The node's token.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Starts a task. It must watch the token: tasks are never aborted.
    #[expect(clippy::disallowed_methods, reason = "the only place that starts tasks")]
    pub fn spawn<T: Send + 'static>(&self, name: &'static str, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        tokio::spawn(self.tracker.track_future(task.instrument(tracing::debug_span!("task", name))))
    }

    /// Runs blocking work on the pool of blocking threads.
    #[expect(clippy::disallowed_methods, reason = "the only place that starts blocking work")]
    pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        tokio::task::spawn_blocking(work)
    }

    /// Runs work that may block for long on a separate thread, because the pool is small. The result is lost if the work
    /// panics.
    ///
    /// # Errors
    /// If the operating system cannot start a thread.
    pub fn spawn_thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<oneshot::Receiver<T>> {
        let (sender, receiver) = oneshot::channel();
        // The receiver may have been dropped.
        std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(sender.send(work())))?;
        Ok(receiver)
    }

    /// Cancels everything below this node.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Waits until all tasks of the tree have ended.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
