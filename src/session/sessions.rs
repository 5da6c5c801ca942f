//! All sessions of the daemon: creating, reading, deleting, and the way to the task of one that works.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use polytree_protocol::{
    events::{EventPayload, SessionInfo},
    id::{MessageId, ProjectId, SessionId},
    message::{MessageWithParts, Tokens},
    permission::PermissionOutcome,
    provider::ModelRef,
    session::{PartInput, Session, SessionStatus, SessionTime},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Error, Place, SessionQuery, Workspaces,
    activity::Activity,
    announce::Voice,
    input,
    progress::AllProgress,
    recover,
    status::Statuses,
    store,
    task::{Command, SessionTask},
};
use crate::{
    event::Events,
    permission::Broker,
    stdx::{ids, paths::AbsPath, tasks::Tasks, time::now_ms, version::version},
    storage::Database,
    tool::{context::Environment, file_times::FileTimes},
};

/// What the tasks of all sessions share.
pub(super) struct Shared {
    pub database: Arc<Database>,
    pub events: Arc<Events>,
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
    pub file_times: Mutex<HashMap<SessionId, Arc<FileTimes>>>,
}

impl Shared {
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// When the session last read each file.
    pub fn file_times(&self, id: &SessionId) -> Arc<FileTimes> {
        Arc::clone(self.file_times.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default())
    }

    pub async fn session(&self, id: &SessionId) -> Result<Session, Error> {
        let wanted = id.clone();
        self.database.read(move |c| store::get_session(c, &wanted)).await?.ok_or_else(|| Error::UnknownSession(id.clone()))
    }
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
    /// A digest of what the client asked for, to recognise the same call again.
    pub digest: String,
}

/// A prompt as it arrives.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The session.
    pub session_id: SessionId,
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
    pub async fn open(
        database: Arc<Database>,
        events: Arc<Events>,
        broker: Arc<Broker>,
        workspaces: Arc<dyn Workspaces>,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        let statuses = Statuses::default();
        let shared = Shared {
            database,
            events,
            broker,
            workspaces,
            tasks,
            progress: AllProgress::default(),
            activity: Activity::new(statuses.changed().clone()),
            statuses,
            leaving: AtomicBool::new(false),
            live: Mutex::default(),
            file_times: Mutex::default(),
        };
        recover::recover(&shared).await?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Creates a session; the same id with the same digest gives the one that is there.
    ///
    /// # Errors
    /// [`Error::Conflict`] for an id in other use, [`Error::UnknownSession`] for a parent that is not there.
    pub async fn create(&self, new: NewSession) -> Result<Session, Error> {
        let events = Arc::clone(&self.shared.events);
        self.shared
            .database
            .write(move |write| {
                if let Some(id) = &new.id
                    && let Some(made_with) = store::created_with(write, id)?
                {
                    return match store::get_session(write, id)? {
                        Some(session) if made_with.as_deref() == Some(&new.digest) => Ok(session),
                        Some(_) => Err(Error::Conflict(format!("the session {id} already exists and was created with other params"))),
                        None => Err(Error::Conflict(format!("the session {id} was deleted; its id stays taken"))),
                    };
                }
                if let Some(parent) = &new.parent_id
                    && store::get_session(write, parent)?.is_none()
                {
                    return Err(Error::UnknownSession(parent.clone()));
                }
                let now = now_ms();
                let session = Session {
                    id: new.id.unwrap_or_else(|| SessionId::from_ulid(ids::next())),
                    project_id: new.project_id,
                    directory: new.directory,
                    missing: false,
                    title: new.title.unwrap_or_else(|| super::title::default_title(new.parent_id.is_some(), now)),
                    parent_id: new.parent_id,
                    version: version().to_owned(),
                    agent: new.agent,
                    model: new.model,
                    share: None,
                    revert: None,
                    cost: 0.0,
                    tokens: Tokens::default(),
                    time: SessionTime { created: now, updated: now, archived: None },
                };
                store::insert_session(write, &session, &new.place, &new.digest)?;
                Voice::new(&events, &session).tell(write, &EventPayload::SessionCreated(SessionInfo { info: session.clone() }))?;
                Ok(session)
            })
            .await
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
        self.shared
            .database
            .read(move |connection| {
                if let Some(before) = &query.before
                    && store::get_session(connection, before)?.is_none()
                {
                    return Err(Error::UnknownSession(before.clone()));
                }
                Ok(store::list_sessions(connection, &query)?)
            })
            .await
    }

    /// The direct children of a session, oldest first.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    pub async fn children(&self, id: &SessionId) -> Result<Vec<Session>, Error> {
        self.get(id).await?;
        let id = id.clone();
        Ok(self.shared.database.read(move |c| store::children(c, &id)).await?)
    }

    /// Changes a session's title or archives it.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    pub async fn update(&self, id: &SessionId, title: Option<String>, archived: Option<bool>) -> Result<Session, Error> {
        let session = self.get(id).await?;
        let voice = Voice::new(&self.shared.events, &session);
        let changed = self
            .shared
            .database
            .write(move |write| {
                voice.session(write, |session| {
                    if let Some(title) = title {
                        session.title = title;
                    }
                    match archived {
                        Some(true) => session.time.archived = session.time.archived.or(Some(now_ms())),
                        Some(false) => session.time.archived = None,
                        None => {}
                    }
                })
            })
            .await?;
        changed.ok_or_else(|| Error::UnknownSession(id.clone()))
    }

    /// The last `limit` messages before `before`, oldest first.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::UnknownMessage`] for a `before` that is not there.
    pub async fn messages(&self, id: &SessionId, limit: Option<u32>, before: Option<MessageId>) -> Result<Vec<MessageWithParts>, Error> {
        let id = id.clone();
        self.shared
            .database
            .read(move |connection| {
                if store::get_session(connection, &id)?.is_none() {
                    return Err(Error::UnknownSession(id));
                }
                if let Some(before) = &before
                    && store::message_origin(connection, before)?.is_none_or(|(session, _)| session != id.as_str())
                {
                    return Err(Error::UnknownMessage(before.clone()));
                }
                Ok(store::list_messages(connection, &id, limit, before.as_ref())?)
            })
            .await
    }

    /// One message.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::UnknownMessage`].
    pub async fn message(&self, id: &SessionId, message: &MessageId) -> Result<MessageWithParts, Error> {
        let (id, message) = (id.clone(), message.clone());
        self.shared
            .database
            .read(move |connection| {
                if store::get_session(connection, &id)?.is_none() {
                    return Err(Error::UnknownSession(id));
                }
                store::get_message(connection, &id, &message)?.ok_or(Error::UnknownMessage(message))
            })
            .await
    }

    /// Every session that is not idle.
    #[must_use]
    pub fn statuses(&self) -> Vec<(SessionId, SessionStatus)> {
        self.shared.statuses.all()
    }

    /// The session whose prompt has this message id and digest, if there is one.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the id belongs to something else.
    pub async fn find_prompt(&self, message: &MessageId, digest: &str) -> Result<Option<SessionId>, Error> {
        let (wanted, digest) = (message.clone(), digest.to_owned());
        let origin = self.shared.database.read(move |c| store::message_origin(c, &wanted)).await?;
        match origin {
            None => Ok(None),
            Some((session, Some(params))) if params == digest => Ok(SessionId::parse(&session).ok()),
            Some(_) => Err(Error::Conflict(format!("the message {message} already exists and was sent with other params"))),
        }
    }

    /// Stores a prompt; its turn starts now or after those before it. The same message id with the same digest joins
    /// the turn that is there. Nothing is stored when it fails.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::DirectoryGone`], [`Error::UnknownAgent`], [`Error::UnknownModel`], or what the
    /// settings or the attached files are at fault of.
    pub async fn submit(&self, prompt: Prompt) -> Result<Submitted, Error> {
        // A turn that is to be started; whether it may, its caller has asked by `enter`.
        let _busy = self.shared.activity.begin();
        let session = self.get(&prompt.session_id).await?;
        if let Some(id) = &prompt.message_id
            && let Some(found) = self.find_prompt(id, &prompt.digest).await?
        {
            if found != session.id {
                return Err(Error::Conflict(format!("the message {id} already exists in another session")));
            }
            return self.join(&session.id, id, prompt.environment).await;
        }
        let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
            return Err(Error::DirectoryGone(session.directory));
        };
        let workspace = self.shared.workspaces.open(&directory, &prompt.environment).await?;
        let agent = workspace.agent(prompt.agent.as_deref().or(session.agent.as_deref()))?;
        let model = workspace.models.choose(prompt.model.as_ref(), agent.model.as_ref(), session.model.as_ref())?;
        workspace.models.resolve(&model)?;
        let message_id = prompt.message_id.unwrap_or_else(|| MessageId::from_ulid(ids::next()));
        let parts = input::expand(&self.shared, &workspace, &session.id, &message_id, prompt.parts).await?;
        let message = polytree_protocol::message::UserMessage {
            id: message_id.clone(),
            session_id: session.id.clone(),
            time: polytree_protocol::part::Created { created: now_ms() },
            agent: agent.name.clone(),
            model,
            system: prompt.system,
            tools: prompt.tools,
        };
        let (reply, answer) = oneshot::channel();
        self.send(
            &session.id,
            Command::Prompt { message: Box::new(message), parts, digest: prompt.digest, environment: prompt.environment, workspace, reply },
        )?;
        let (queued, end) = answer.await.map_err(|_| Error::Deleted)??;
        Ok(Submitted { session_id: session.id, message_id, queued, end })
    }

    async fn join(&self, session: &SessionId, message: &MessageId, environment: Environment) -> Result<Submitted, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(session, Command::Join { message_id: message.clone(), environment, reply })?;
        let (queued, end) = answer.await.map_err(|_| Error::Deleted)??;
        Ok(Submitted { session_id: session.clone(), message_id: message.clone(), queued, end })
    }

    /// Ends the running turn and cancels the queue. Tells whether anything was running.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    pub async fn abort(&self, id: &SessionId) -> Result<bool, Error> {
        self.get(id).await?;
        let mut any = self.abort_one(id).await?;
        // A parent's abort is its running children's too.
        for child in self.children(id).await? {
            any |= Box::pin(self.abort(&child.id)).await?;
        }
        Ok(any)
    }

    async fn abort_one(&self, id: &SessionId) -> Result<bool, Error> {
        let live = self.shared.live.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id);
        if !live && !self.shared.statuses.all().iter().any(|(busy, _)| busy == id) {
            return Ok(false);
        }
        let (reply, answer) = oneshot::channel();
        self.send(id, Command::Abort { reply })?;
        Ok(answer.await.unwrap_or(false))
    }

    /// Takes up a turn whose question was answered while nobody in this process waited for it.
    pub fn resume(&self, id: &SessionId, environment: Environment) {
        let _ = self.send(id, Command::Resume { environment });
    }

    /// Deletes a session and its descendants, children first; their turns end before.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    pub async fn delete(&self, id: &SessionId) -> Result<(), Error> {
        let session = self.get(id).await?;
        for child in self.children(id).await? {
            Box::pin(self.delete(&child.id)).await?;
        }
        let live = self.shared.live.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id);
        if live {
            let (reply, answer) = oneshot::channel();
            self.send(id, Command::End { reply })?;
            let _ = answer.await;
        }
        let voice = Voice::new(&self.shared.events, &session);
        let broker = Arc::clone(&self.shared.broker);
        let statuses = self.shared.statuses.clone();
        let gone = id.clone();
        self.shared
            .database
            .write::<_, Error>(move |write| {
                broker.withdraw(write, &gone, PermissionOutcome::Expired)?;
                let Some(session) = store::get_session(write, &gone)? else { return Err(Error::UnknownSession(gone)) };
                store::delete_session(write, &gone)?;
                voice.tell(write, &EventPayload::SessionDeleted(SessionInfo { info: session }))?;
                statuses.clear(&gone);
                Ok(())
            })
            .await?;
        self.shared.file_times.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }

    /// The daemon ends: what waits for a person stays open for the next one, the rest is marked as interrupted.
    pub fn leave(&self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
    }

    /// Sends the session's task a message; starts the task where there is none.
    fn send(&self, id: &SessionId, command: Command) -> Result<(), Error> {
        if self.shared.tasks.token().is_cancelled() {
            return Err(Error::Closing);
        }
        let mut live = self.shared.live.lock().unwrap_or_else(PoisonError::into_inner);
        // A task leaves the map under this lock and only with an empty mailbox, so what is sent here is read.
        let sender = live.entry(id.clone()).or_insert_with(|| SessionTask::start(&self.shared, id.clone()));
        let sent = sender.send(command).map_err(|_| Error::Closing);
        drop(live);
        self.shared.activity.tell();
        sent
    }
}
