//! What the tasks of all sessions share, and how they read a session.

mod at_work;
mod breaker;
mod launch;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use polytree_protocol::{id::SessionId, session::Session};
use tokio::sync::mpsc;

pub(super) use self::{
    at_work::{AtWork, ChildAtWork},
    breaker::Breaker,
    launch::{ChildPrompt, Launch},
};
use super::{Error, Workspaces, activity::Activity, mailbox::Command, progress::AllProgress, status::Statuses};
use crate::{
    git::Checkout,
    permission::Broker,
    snapshot::{Following, Snapshots},
    stdx::{disk, idle::IdlePool, paths::AbsPath, tasks::Tasks},
    store::Store,
    tool::file_times::FileTimes,
};

/// For so many sessions it is known which files they have read.
const MAX_FILE_TIMES: usize = 512;
/// For so many sessions it is known how their summaries went.
const MAX_BREAKERS: usize = 512;
/// In so many checkouts changes by commands are followed. One that is evicted is only scanned again.
const MAX_FOLLOWING: usize = 64;
/// How long a list of sessions waits for a file system. Directories on one that does not answer count as missing.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);
/// The same for one session.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Shared {
    pub store: Arc<Store>,
    pub broker: Arc<Broker>,
    pub workspaces: Arc<dyn Workspaces>,
    /// What sessions changed in files, to undo it.
    pub snapshots: Arc<Snapshots>,
    pub tasks: Tasks,
    pub statuses: Statuses,
    pub progress: AllProgress,
    pub activity: Arc<Activity>,
    pub at_work: AtWork,
    /// Set when everything else is there.
    launch: OnceLock<Box<dyn Launch>>,
    /// Turns that wait for a person are suspended now, and resumed by the next daemon.
    pub shutting_down: AtomicBool,
    // Held for a look-up or an insert, never across an await.
    live: Mutex<HashMap<SessionId, mpsc::UnboundedSender<Command>>>,
    /// Sessions whose open answer or queue waits for the user's next command.
    deferred: Mutex<HashSet<SessionId>>,
    /// A session that is evicted only has to read its files again.
    file_times: IdlePool<SessionId, FileTimes>,
    /// How summaries of sessions went. One that is evicted starts anew.
    breakers: IdlePool<SessionId, Mutex<Breaker>>,
    /// The checkouts in which commands may run.
    following: IdlePool<AbsPath, Following>,
}

impl Shared {
    pub fn new(store: Arc<Store>, broker: Arc<Broker>, workspaces: Arc<dyn Workspaces>, snapshots: Arc<Snapshots>, tasks: Tasks) -> Self {
        let statuses = Statuses::default();
        Self {
            store,
            broker,
            workspaces,
            snapshots,
            tasks,
            progress: AllProgress::default(),
            activity: Activity::new(statuses.changed().clone()),
            statuses,
            at_work: AtWork::default(),
            launch: OnceLock::new(),
            shutting_down: AtomicBool::new(false),
            live: Mutex::default(),
            deferred: Mutex::default(),
            file_times: IdlePool::new(MAX_FILE_TIMES),
            breakers: IdlePool::new(MAX_BREAKERS),
            following: IdlePool::new(MAX_FOLLOWING),
        }
    }

    /// The mailboxes of the sessions that have a task.
    pub fn live(&self) -> MutexGuard<'_, HashMap<SessionId, mpsc::UnboundedSender<Command>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what starts child sessions. Called once.
    pub fn launch_by(&self, launch: Box<dyn Launch>) {
        let _ = self.launch.set(launch);
    }

    pub fn launch(&self) -> Result<&dyn Launch, Error> {
        self.launch.get().map(AsRef::as_ref).ok_or(Error::Closing)
    }

    fn deferred(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Relaxed)
    }

    /// When the session last read each file.
    pub fn file_times(&self, id: &SessionId) -> Arc<FileTimes> {
        self.file_times.get_or_insert(id, |_| true, |_| Arc::default())
    }

    /// Asks or changes what is known of the session's summaries.
    pub fn breaker<T>(&self, id: &SessionId, look: impl FnOnce(&mut Breaker) -> T) -> T {
        let breaker = self.breakers.get_or_insert(id, |_| true, |_| Arc::default());
        look(&mut breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For how many sessions it is known which files they have read.
    pub fn readers(&self) -> usize {
        self.file_times.count()
    }

    /// Follows the changes in a checkout; the first scan runs in the background.
    pub fn follow(&self, checkout: &Checkout) -> Arc<Following> {
        self.following.get_or_insert(&checkout.worktree, |_| true, |_| self.snapshots.follow(checkout))
    }

    /// Stops following checkouts in which no turn has run since then (milliseconds since 1970).
    pub fn close_idle(&self, since: i64) {
        self.following.drop_idle(since);
    }

    /// The session's open answer or queue waits for the user's next command.
    pub fn defer(&self, id: &SessionId) {
        self.deferred().insert(id.clone());
    }

    /// Whether anything was deferred; the caller takes care of it now.
    pub fn take_deferred(&self, id: &SessionId) -> bool {
        self.deferred().remove(id)
    }

    pub fn is_deferred(&self, id: &SessionId) -> bool {
        self.deferred().contains(id)
    }

    pub fn forget(&self, id: &SessionId) {
        self.statuses.clear(id);
        self.take_deferred(id);
        self.file_times.remove(id);
        self.breakers.remove(id);
    }

    /// A session as it is stored. Whether its directory is missing has not been checked.
    pub async fn stored(&self, id: &SessionId) -> Result<Session, Error> {
        self.store.session(id.clone()).await?.0.ok_or_else(|| Error::UnknownSession(id.clone()))
    }

    /// The top of a session's checkout, also if it is gone.
    pub async fn root(&self, session: &Session) -> Result<AbsPath, Error> {
        let gone = || Error::DirectoryGone(session.directory.clone());
        let place = self.store.place(session.id.clone()).await?.ok_or_else(|| Error::UnknownSession(session.id.clone()))?;
        let mut root = AbsPath::new(&session.directory).ok_or_else(gone)?;
        for _ in place.path.split('/').filter(|name| !name.is_empty()) {
            root = root.parent().ok_or_else(gone)?;
        }
        Ok(root)
    }

    /// A session; whether its directory is missing has been checked.
    pub async fn session(&self, id: &SessionId) -> Result<Session, Error> {
        let (mut session, checkouts) = self.store.session(id.clone()).await?;
        if self.has_moved(checkouts, LOOK_TIMEOUT).await {
            session = self.store.session(id.clone()).await?.0;
        }
        let mut session = session.ok_or_else(|| Error::UnknownSession(id.clone()))?;
        let directory = PathBuf::from(&session.directory);
        let is_there = disk::run(session.directory.clone(), move || directory.is_dir());
        session.missing = !tokio::time::timeout(LOOK_TIMEOUT, is_there).await.unwrap_or_default();
        Ok(session)
    }

    /// Finds worktrees that git has moved; returns whether any has. On failure they stay missing.
    async fn has_moved(&self, checkouts: Vec<i64>, timeout: Duration) -> bool {
        if checkouts.is_empty() {
            return false;
        }
        self.workspaces.follow(checkouts, timeout).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "moved worktrees could not be located");
            false
        })
    }

    /// Reads sessions, and again if a missing directory was found elsewhere.
    pub async fn all<F: Future<Output = Result<Vec<Session>, Error>>>(&self, read: impl Fn() -> F) -> Result<Vec<Session>, Error> {
        let mut sessions = read().await?;
        let missing = look(&mut sessions).await;
        if missing.is_empty() {
            return Ok(sessions);
        }
        let checkouts = self.store.linked_checkouts(missing).await?;
        if self.has_moved(checkouts, LIST_TIMEOUT).await {
            sessions = read().await?;
            look(&mut sessions).await;
        }
        Ok(sessions)
    }
}

/// Checks the directories of sessions. Returns the sessions whose directory is missing.
async fn look(sessions: &mut [Session]) -> Vec<SessionId> {
    let directories = sessions.iter().map(|session| session.directory.clone().into()).collect();
    let found = disk::are_directories(directories, LIST_TIMEOUT).await;
    let mut missing = Vec::new();
    for (session, is_there) in sessions.iter_mut().zip(found) {
        session.missing = !is_there;
        if session.missing {
            missing.push(session.id.clone());
        }
    }
    missing
}
