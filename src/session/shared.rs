//! What the tasks of all sessions share, and how they read a session.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use polytree_protocol::{id::SessionId, session::Session};
use tokio::sync::mpsc;

use super::{Error, Workspaces, activity::Activity, mailbox::Command, progress::AllProgress, status::Statuses};
use crate::{
    permission::Broker,
    stdx::{disk, idle::IdlePool, tasks::Tasks},
    store::Store,
    tool::file_times::FileTimes,
};

/// How many sessions know which files they have read.
const MAX_FILE_TIMES: usize = 512;
/// How long a list waits for a file system; the directories of one that does not answer are missing.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);
/// The same for a single session.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// What the tasks of all sessions share.
pub(super) struct Shared {
    pub store: Arc<Store>,
    pub broker: Arc<Broker>,
    pub workspaces: Arc<dyn Workspaces>,
    pub tasks: Tasks,
    pub statuses: Statuses,
    pub progress: AllProgress,
    pub activity: Arc<Activity>,
    /// The daemon ends: what waits for a person is left as it is, to be taken up again by the next one.
    pub leaving: AtomicBool,
    // Held for a look-up or an insert, never across an await.
    pub live: Mutex<HashMap<SessionId, mpsc::UnboundedSender<Command>>>,
    /// Where a daemon before this one left something that the next command of the user takes up.
    left: Mutex<HashSet<SessionId>>,
    /// Beyond its capacity a model only has to read again.
    file_times: IdlePool<SessionId, FileTimes>,
}

impl Shared {
    pub fn new(store: Arc<Store>, broker: Arc<Broker>, workspaces: Arc<dyn Workspaces>, tasks: Tasks) -> Self {
        let statuses = Statuses::default();
        Self {
            store,
            broker,
            workspaces,
            tasks,
            progress: AllProgress::default(),
            activity: Activity::new(statuses.changed().clone()),
            statuses,
            leaving: AtomicBool::new(false),
            live: Mutex::default(),
            left: Mutex::default(),
            file_times: IdlePool::new(MAX_FILE_TIMES),
        }
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// When the session last read each file.
    pub fn file_times(&self, id: &SessionId) -> Arc<FileTimes> {
        self.file_times.get_or_insert(id, |_| true, |_| Arc::default())
    }

    /// How many sessions know what they have read.
    pub fn readers(&self) -> usize {
        self.file_times.count()
    }

    /// Notes that the session's open answer or queue waits for a command of the user.
    pub fn leave_for_later(&self, id: &SessionId) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
    }

    /// Whether anything was left in the session; from now on it is the caller's.
    pub fn take_left(&self, id: &SessionId) -> bool {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// Whether anything was left in the session.
    pub fn is_left(&self, id: &SessionId) -> bool {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// The session is gone.
    pub fn forget(&self, id: &SessionId) {
        self.statuses.clear(id);
        self.take_left(id);
        self.file_times.remove(id);
    }

    /// A session as it is stored: nobody has looked whether its directory is there.
    pub async fn stored(&self, id: &SessionId) -> Result<Session, Error> {
        self.store.session(id.clone()).await?.0.ok_or_else(|| Error::UnknownSession(id.clone()))
    }

    /// A session, with whether its directory is there.
    pub async fn session(&self, id: &SessionId) -> Result<Session, Error> {
        let (mut session, checkouts) = self.store.session(id.clone()).await?;
        if self.has_moved(checkouts, LOOK_TIMEOUT).await {
            session = self.store.session(id.clone()).await?.0;
        }
        let mut session = session.ok_or_else(|| Error::UnknownSession(id.clone()))?;
        // Waited for longer than in a list: what was asked for is on this file system, and a prompt needs it.
        let directory = PathBuf::from(&session.directory);
        let is_there = disk::run(session.directory.clone(), move || directory.is_dir());
        session.missing = !tokio::time::timeout(LOOK_TIMEOUT, is_there).await.unwrap_or_default();
        Ok(session)
    }

    /// Follows worktrees that git has moved. Where that fails, they are only missing.
    async fn has_moved(&self, checkouts: Vec<i64>, timeout: Duration) -> bool {
        if checkouts.is_empty() {
            return false;
        }
        self.workspaces.follow(checkouts, timeout).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "it could not be looked where worktrees are");
            false
        })
    }

    /// Reads sessions, once more where the directory of one was missing and has been found.
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

/// Looks whether the directories of sessions are there. Gives those of which it is missing.
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
