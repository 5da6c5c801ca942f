//! Tasks with a name and a place in the tree of cancellation, and a way to wait for their end.

use std::{future::Future, io};

use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// A node in the tree of work: its token is cancelled with its parent's, its tasks are waited for at the end.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// The root of a tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A child node: cancelled with this one or alone; its tasks count as this one's too.
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), tracker: self.tracker.clone() }
    }

    /// The node's token.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Starts a task that is waited for at the end. It must watch the token: tasks are never aborted.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    pub fn spawn<T: Send + 'static>(&self, name: &'static str, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        tokio::spawn(self.tracker.track_future(task.instrument(tracing::debug_span!("task", name))))
    }

    /// Runs blocking work on the pool for it.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts blocking work")]
    pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        tokio::task::spawn_blocking(work)
    }

    /// Runs work that may wait for others for long on a thread of its own: the pool for blocking work is small. Nothing
    /// comes back when the work panics.
    ///
    /// # Errors
    /// When the system allows no more threads.
    pub fn spawn_thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<oneshot::Receiver<T>> {
        let (sender, receiver) = oneshot::channel();
        // Who waits for it no longer does not miss the result.
        std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(sender.send(work())))?;
        Ok(receiver)
    }

    /// Cancels everything below this node.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Waits until every task of the whole tree has ended.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
