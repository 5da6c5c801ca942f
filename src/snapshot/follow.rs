//! Tracks a checkout, so that the changes that a command makes are known when it ends.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use polytree_protocol::id::SessionId;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::{
    change::{ChangeSet, Uncovered},
    ledger::{Ledger, Limits},
    objects::Objects,
};
use crate::{
    find::{Changes, Finder, Touched, Tree, Unreadable},
    git::{Checkout, objects::Id},
    overlay::Overlay,
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// How long a command waits for the first scan of the checkout.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// A tracked checkout.
pub struct Following {
    root: AbsPath,
    changes: Changes,
    ledger: Arc<Mutex<Ledger>>,
    /// Held while changes are taken from the index and applied to the ledger.
    gate: Arc<AsyncMutex<()>>,
    /// The number of running commands. Separate from the ledger, whose lock may be held for long.
    running: AtomicUsize,
    /// Whether the first scan is complete.
    looked: watch::Sender<bool>,
}

impl Following {
    /// Starts tracking. The first scan runs in the background.
    pub(super) fn start(
        checkout: &Checkout,
        finder: &Finder,
        objects: Arc<Objects>,
        overlay: Arc<Overlay>,
        limits: Limits,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let top = checkout.top();
        let ledger = Ledger::new(top.worktree.clone(), top.git.clone(), limits, objects, overlay);
        let following = Arc::new(Self {
            root: top.worktree.clone(),
            changes: finder.changes(&top),
            ledger: Arc::new(Mutex::new(ledger)),
            gate: Arc::default(),
            running: AtomicUsize::new(0),
            looked: watch::Sender::new(false),
        });
        let first = Arc::clone(&following);
        drop(tasks.spawn("first scan", async move {
            if let Err(Unreadable(error)) = first.refresh().await {
                tracing::info!(root = %first.root, error, "the first scan failed");
            }
            first.looked.send_replace(true);
        }));
        following
    }

    /// The top of the checkout.
    #[must_use]
    pub fn root(&self) -> &AbsPath {
        &self.root
    }

    /// The ids of all contents that it knows. Waits for a scan.
    pub(super) fn ids(&self) -> Vec<Id> {
        lock(&self.ledger).ids().collect()
    }

    /// Waits until the first scan is complete.
    pub async fn looked(&self) {
        // The sender is this value's own.
        let _ = self.looked.subscribe().wait_for(|looked| *looked).await;
    }

    /// Call this before a command starts.
    pub async fn begin(self: &Arc<Self>, session: SessionId) -> Running {
        if tokio::time::timeout(FIRST_LOOK, self.looked()).await.is_err() {
            return Running::unseen(self.root.clone(), "the first scan of the directory was not complete");
        }
        let this = Arc::clone(self);
        // Created in the closure, so that it is dropped if the caller is cancelled.
        let began = self.with_tree(move |ledger, tree| {
            let number = ledger.begin(session, tree);
            this.running.fetch_add(1, Ordering::SeqCst);
            Running(Inner::Seen { following: this, number })
        });
        began.await.unwrap_or_else(|Unreadable(error)| Running::unseen(self.root.clone(), &error))
    }

    /// A command has ended.
    async fn end(&self, number: u64) -> ChangeSet {
        let mut set = ChangeSet::new(self.root.clone());
        match self.with_tree(move |ledger, _| ledger.end(number)).await {
            Ok(changes) => set.changes = changes,
            Err(Unreadable(reason)) => set.uncovered.push(Uncovered { path: self.root.clone(), reason }),
        }
        set.changes.sort_by(|one, other| one.path.cmp(&other.path));
        set
    }

    /// Removes a command.
    fn give_up(&self, number: u64) {
        self.running.fetch_sub(1, Ordering::SeqCst);
        if let Ok(mut ledger) = self.ledger.try_lock() {
            ledger.give_up(number);
        } else if tokio::runtime::Handle::try_current().is_ok() {
            // A scan holds the lock.
            let ledger = Arc::clone(&self.ledger);
            drop(Tasks::spawn_blocking(move || lock(&ledger).give_up(number)));
        }
    }

    /// Call this before something other than a command changes these files. Does nothing without running commands.
    pub(super) async fn before(&self, paths: Vec<AbsPath>) {
        if self.running.load(Ordering::SeqCst) > 0 {
            // If the checkout cannot be read, the end of the command reports that.
            let _ = self.with_tree(move |ledger, _| ledger.close(&paths)).await;
        }
    }

    /// Call this after something other than a command has changed these files.
    pub(super) async fn after(&self, paths: Vec<AbsPath>) {
        if self.running.load(Ordering::SeqCst) == 0 {
            return;
        }
        let gate = Arc::clone(&self.gate).lock_owned().await;
        let Ok((tree, touched)) = self.changes.take().await else { return };
        let ledger = Arc::clone(&self.ledger);
        let work = Tasks::spawn_blocking(move || {
            let mut ledger = lock(&ledger);
            ledger.absorb(&tree, &paths);
            ledger.refresh(&tree, &touched);
            drop(gate);
        });
        let _ = work.await;
    }

    async fn refresh(&self) -> Result<(), Unreadable> {
        self.with_tree(|_, _| ()).await
    }

    /// Updates the ledger, then calls `work`.
    async fn with_tree<T: Send + 'static>(&self, work: impl FnOnce(&mut Ledger, Arc<Tree>) -> T + Send + 'static) -> Result<T, Unreadable> {
        let gate = Arc::clone(&self.gate).lock_owned().await;
        let (tree, touched): (Arc<Tree>, Touched) = self.changes.take().await?;
        let ledger = Arc::clone(&self.ledger);
        // Must complete even if the caller is cancelled, since the changes were taken.
        let done = Tasks::spawn_blocking(move || {
            let mut ledger = lock(&ledger);
            ledger.refresh(&tree, &touched);
            let done = work(&mut ledger, tree);
            drop(gate);
            done
        });
        done.await.map_err(|error| Unreadable(error.to_string()))
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    // After a panic it may lack a change, which the next scan finds.
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running command.
pub struct Running(Inner);

enum Inner {
    Seen {
        following: Arc<Following>,
        number: u64,
    },
    /// The state before the command is not known.
    Unseen {
        root: AbsPath,
        reason: String,
    },
}

impl Running {
    fn unseen(root: AbsPath, reason: &str) -> Self {
        Self(Inner::Unseen { root, reason: format!("what a command has changed is not known: {reason}") })
    }

    /// The changes that the command has made. Call this when it has ended or was given up.
    pub async fn end(self) -> ChangeSet {
        match &self.0 {
            Inner::Seen { following, number } => following.end(*number).await,
            Inner::Unseen { root, reason } => {
                let uncovered = vec![Uncovered { path: root.clone(), reason: reason.clone() }];
                ChangeSet { uncovered, ..ChangeSet::new(root.clone()) }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Inner::Seen { following, number } = &self.0 {
            following.give_up(*number);
        }
    }
}
