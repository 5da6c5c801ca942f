//! All sessions of the daemon, and what is asked of them beside their turns.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use polytree_protocol::{
    id::{MessageId, ProjectId, SessionId},
    message::{MessageWithParts, OutputFormat, PromptOptions, Tokens},
    provider::ModelRef,
    sandbox::Mode,
    session::{PartInput, Session, SessionTime},
    todo::Todo,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Error, Place, SessionQuery, Workspaces, activity::Activity, mailbox::Command, progress::AllProgress, recover, status::Statuses, title,
};
use crate::{
    permission::Broker,
    stdx::{disk, idle::IdlePool, ids, tasks::Tasks, time::now_ms, version::version},
    store::{Created, Messages, Scope, SessionChange, Store},
    tool::{context::Environment, file_times::FileTimes},
};

/// How many sessions know which files they have read.
const MAX_FILE_TIMES: usize = 512;
/// A list of messages is made in memory, and no door lets more through.
const MAX_LISTED_BYTES: u64 = 32 * 1024 * 1024;

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
    async fn all<F: Future<Output = Result<Vec<Session>, Error>>>(&self, read: impl Fn() -> F) -> Result<Vec<Session>, Error> {
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

/// All sessions of the daemon.
#[derive(Clone)]
pub struct Sessions {
    pub(super) shared: Arc<Shared>,
}

/// What a new session is to be.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The id that the client chose.
    pub id: Option<SessionId>,
    /// The project.
    pub project_id: ProjectId,
    /// Its directory, a real path.
    pub directory: String,
    /// The same, so that it survives a move.
    pub place: Place,
    /// The session it belongs to.
    pub parent_id: Option<SessionId>,
    /// Its title; default: one that the first prompt replaces.
    pub title: Option<String>,
    /// Its agent.
    pub agent: Option<String>,
    /// Its model.
    pub model: Option<ModelRef>,
    /// What is done in it without a question.
    pub mode: Option<Mode>,
    /// A digest of what the client asked for, to recognise the same call again.
    pub digest: String,
}

/// A prompt as it arrives.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The id that the client chose.
    pub message_id: Option<MessageId>,
    /// What is asked.
    pub parts: Vec<PartInput>,
    /// The model.
    pub model: Option<ModelRef>,
    /// The agent.
    pub agent: Option<String>,
    /// Replaces the agent's prompt.
    pub system: Option<String>,
    /// Tool switches.
    pub tools: Option<std::collections::BTreeMap<String, bool>>,
    /// The variant of the model.
    pub variant: Option<String>,
    /// Sampling and the longest answer.
    pub options: Option<PromptOptions>,
    /// The form of the answer.
    pub format: Option<OutputFormat>,
    /// What is done in its turn without a question.
    pub mode: Option<Mode>,
    /// The client's variables.
    pub environment: Environment,
    /// A digest of what the client asked for, to recognise the same call again.
    pub digest: String,
}

/// How a prompt's turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnEnd {
    /// With this message as its last.
    Message(MessageId),
    /// The session was deleted.
    Deleted,
    /// Its end, or its beginning, could not be stored, for this reason.
    Unstored(String),
}

/// A stored prompt.
pub struct Submitted {
    /// The session.
    pub session_id: SessionId,
    /// The stored user message.
    pub message_id: MessageId,
    /// It waits for a running turn to end.
    pub queued: bool,
    /// Tells how its turn ended.
    pub end: oneshot::Receiver<TurnEnd>,
}

impl Sessions {
    /// The sessions of a store. Marks what a daemon that died has left unfinished.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn open(store: Arc<Store>, broker: Arc<Broker>, workspaces: Arc<dyn Workspaces>, tasks: Tasks) -> Result<Self, Error> {
        let statuses = Statuses::default();
        let shared = Shared {
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
        };
        let unsettled = recover::recover(&shared).await?;
        let sessions = Self { shared: Arc::new(shared) };
        for id in unsettled {
            sessions.shared.leave_for_later(&id);
            let _ = sessions.send(&id, Command::Settle);
        }
        Ok(sessions)
    }

    /// Creates a session; the same id with the same digest gives the one that is there.
    ///
    /// # Errors
    /// [`Error::Conflict`] for an id in other use, [`Error::UnknownSession`] for a parent that is not there.
    pub async fn create(&self, new: NewSession) -> Result<Session, Error> {
        if new.mode.is_some() && new.parent_id.is_some() {
            return Err(Error::Params { field: "mode", message: "a child has the mode of its root; leave it out".to_owned() });
        }
        let chosen = new.id.is_some();
        let now = now_ms();
        let session = Session {
            id: new.id.unwrap_or_else(|| SessionId::from_ulid(ids::next())),
            project_id: new.project_id,
            directory: new.directory,
            missing: false,
            title: (new.title.map(|title| title::given(&title)).filter(|title| !title.is_empty()))
                .unwrap_or_else(|| title::default_title(new.parent_id.is_some(), now)),
            parent_id: new.parent_id,
            version: version().to_owned(),
            agent: new.agent,
            model: new.model,
            mode: new.mode,
            share: None,
            revert: None,
            cost: 0.0,
            tokens: Tokens::default(),
            time: SessionTime { created: now, updated: now, archived: None },
        };
        let (id, parent) = (session.id.clone(), session.parent_id.clone());
        let created = self.shared.store.create_session(session, new.place, new.digest, chosen).await?;
        self.created(created, id, parent).await
    }

    /// The session that a call has created, now or before.
    pub(super) async fn created(&self, created: Created, id: SessionId, parent: Option<SessionId>) -> Result<Session, Error> {
        match created {
            // One that the same call has created before may have lost its directory since.
            Created::Session(session) => self.get(&session.id).await,
            Created::Taken => Err(Error::Conflict(format!("the session {id} already exists and was created with other params"))),
            Created::Deleted => Err(Error::Conflict(format!("the session {id} was deleted; its id stays taken"))),
            Created::NoParent => Err(Error::UnknownSession(parent.unwrap_or(id))),
        }
    }

    /// Reads a session.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    pub async fn get(&self, id: &SessionId) -> Result<Session, Error> {
        self.shared.session(id).await
    }

    /// Lists sessions, the most recently updated first.
    ///
    /// # Errors
    /// [`Error::UnknownSession`] for a `before` that is not there.
    pub async fn list(&self, query: SessionQuery) -> Result<Vec<Session>, Error> {
        let read = || async {
            let sessions = self.shared.store.sessions(query.clone()).await?;
            sessions.ok_or_else(|| Error::UnknownSession(query.before.clone().unwrap_or_default()))
        };
        self.shared.all(read).await
    }

    /// The direct children of a session, oldest first.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    pub async fn children(&self, id: &SessionId) -> Result<Vec<Session>, Error> {
        self.shared.stored(id).await?;
        self.shared.all(|| async { Ok(self.shared.store.children(id.clone()).await?) }).await
    }

    /// Changes a session's title or mode, or archives it.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::Params`] for the mode of a child.
    pub async fn update(
        &self,
        id: &SessionId,
        title: Option<String>,
        archived: Option<bool>,
        mode: Option<Mode>,
    ) -> Result<Session, Error> {
        let session = self.get(id).await?;
        if mode.is_some() && session.parent_id.is_some() {
            return Err(Error::Params { field: "mode", message: "a child has the mode of its root; change it there".to_owned() });
        }
        let change = SessionChange {
            title: title.map(|title| title::given(&title)),
            archived,
            mode,
            missing: session.missing,
            ..SessionChange::default()
        };
        let changed = self.shared.store.change_session(Scope::of(&session), change).await?;
        changed.ok_or_else(|| Error::UnknownSession(id.clone()))
    }

    /// The last `limit` messages before `before`, oldest first.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::UnknownMessage`] for a `before` that is not there.
    pub async fn messages(&self, id: &SessionId, limit: Option<u32>, before: Option<MessageId>) -> Result<Vec<MessageWithParts>, Error> {
        match self.shared.store.messages(id.clone(), limit, before.clone(), MAX_LISTED_BYTES).await? {
            Messages::Found(messages) => Ok(messages),
            Messages::NoSession => Err(Error::UnknownSession(id.clone())),
            Messages::NoMessage => Err(Error::UnknownMessage(before.unwrap_or_default())),
            Messages::TooLarge => Err(Error::TooLarge {
                what: "these messages are too long for one answer; ask for fewer of them with `limit` and `before`".into(),
                limit: MAX_LISTED_BYTES,
            }),
        }
    }

    /// The task list of a session.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn todos(&self, id: &SessionId) -> Result<Vec<Todo>, Error> {
        Ok(self.shared.store.todos(id.clone()).await?)
    }

    /// One message.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::UnknownMessage`].
    pub async fn message(&self, id: &SessionId, message: &MessageId) -> Result<MessageWithParts, Error> {
        if let Some(found) = self.shared.store.message(id.clone(), message.clone()).await? {
            return Ok(found);
        }
        self.shared.stored(id).await?;
        Err(Error::UnknownMessage(message.clone()))
    }
}
