//! The index of one worktree as others see it: it is asked for the names as they are now. A task of its own keeps it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    keeper::Keeper,
    tree::{Cut, Tree},
    voice::Voice,
    watch::table::Allowance,
};
use crate::{
    git::Checkout,
    stdx::{tasks::Tasks, time::now_ms},
};

/// The names cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// What an asker gets.
pub type Answer = Result<Arc<Tree>, Unreadable>;

/// Somebody who asks for the names.
pub struct Asker {
    /// All that had happened by then must be in the answer.
    pub since: Instant,
    /// Who waits for it.
    pub answer: oneshot::Sender<Answer>,
}

/// How an index stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The names as they were last.
    pub tree: Arc<Tree>,
    /// How many directories are watched.
    pub watched: usize,
    /// The first reading has ended.
    pub is_ready: bool,
}

/// An index.
pub struct Index {
    /// What it is of; its directory is the top.
    pub checkout: Checkout,
    askers: mpsc::UnboundedSender<Asker>,
    standing: Arc<Mutex<Standing>>,
    used: AtomicI64,
    followers: AtomicUsize,
    tasks: Tasks,
}

impl Index {
    /// Begins to read. `others` are of the same project: what is alike is shared with them.
    #[must_use]
    pub fn start(checkout: Checkout, others: &[Arc<Self>], voice: Voice, allowance: Arc<Allowance>, tasks: &Tasks) -> Arc<Self> {
        let (askers, asked) = mpsc::unbounded_channel();
        let standing = Arc::<Mutex<Standing>>::default();
        let tasks = tasks.child();
        let others = others.iter().map(|other| Arc::downgrade(&other.standing)).collect();
        let keeper = Keeper::new(checkout.clone(), others, Arc::clone(&standing), voice, allowance);
        drop(tasks.spawn("file index", keeper.run(asked, tasks.token().clone())));
        Arc::new(Self { checkout, askers, standing, used: AtomicI64::new(now_ms()), followers: AtomicUsize::new(0), tasks })
    }

    /// The names: every change that had ended by a moment is in it.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub async fn fresh(&self, since: Instant) -> Answer {
        self.touch();
        let (sender, answer) = oneshot::channel();
        let _ = self.askers.send(Asker { since, answer: sender });
        let answer = answer.await.unwrap_or_else(|_| Err(Unreadable("the index was closed".into())));
        self.touch();
        answer
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When it was last asked, in milliseconds since 1970; now while somebody follows its changes.
    #[must_use]
    pub fn used(&self) -> i64 {
        if self.followers.load(Ordering::Relaxed) > 0 { now_ms() } else { self.used.load(Ordering::Relaxed) }
    }

    fn touch(&self) {
        self.used.store(now_ms(), Ordering::Relaxed);
    }

    /// Why it does not hold everything.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.standing().tree.cut
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// Somebody who wants to be told of changes: as long as the value lives, the index does.
pub struct Follower(Arc<Index>);

impl Follower {
    /// Follows an index.
    #[must_use]
    pub fn new(index: Arc<Index>) -> Self {
        index.followers.fetch_add(1, Ordering::Relaxed);
        Self(index)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.touch();
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
