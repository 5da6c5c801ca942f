//! All sessions of the daemon, and what is asked of them beside their turns.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use polytree_protocol::{
    diagnose::DiagnosisSession,
    id::{MessageId, ProjectId, SessionId},
    message::{MessageWithParts, Tokens},
    permission::Rule,
    provider::ModelRef,
    sandbox::Mode,
    session::{Session, SessionTime, TaskCall},
    todo::Todo,
    usage::UsageTotal,
};
use tokio::sync::{oneshot, watch};

use super::{
    Error, Place, SessionQuery, Workspaces,
    activity::{Busy, Load},
    mailbox::{Command, TurnEnd},
    patch,
    progress::Census,
    recover, revert,
    shared::{ChildPrompt, Launch, Shared},
    task, title,
};
use crate::{
    permission::{Broker, rules},
    snapshot::Snapshots,
    stdx::{ids, tasks::Tasks, time::now_ms, version::version},
    store::{Created, Messages, Store, UsageQuery},
};

/// A list of messages is made in memory, and no door lets more through.
const MAX_LISTED_BYTES: u64 = 32 * 1024 * 1024;

#[derive(Clone)]
pub struct Sessions {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug, Clone)]
pub struct NewSession {
    pub id: Option<SessionId>,
    pub project_id: ProjectId,
    pub directory: String,
    /// The directory as it survives a move.
    pub place: Place,
    pub parent_id: Option<SessionId>,
    /// The call for which it works.
    pub task: Option<TaskCall>,
    /// By default one that the first prompt replaces.
    pub title: Option<String>,
    pub agent: Option<String>,
    pub model: Option<ModelRef>,
    pub mode: Option<Mode>,
    pub permission: Vec<Rule>,
    /// The branch of its checkout.
    pub branch: Option<String>,
    pub hidden: bool,
    /// Recognises a repeated call.
    pub digest: String,
}

impl Sessions {
    /// The sessions of a store. Closes or defers what an earlier daemon left unfinished.
    pub async fn open(
        store: Arc<Store>,
        broker: Arc<Broker>,
        workspaces: Arc<dyn Workspaces>,
        snapshots: Arc<Snapshots>,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        let shared = Shared::new(store, broker, workspaces, snapshots, tasks);
        patch::recover(&shared).await;
        revert::recover(&shared).await;
        let unsettled = recover::recover(&shared).await?;
        let sessions = Self { shared: Arc::new(shared) };
        sessions.shared.launch_by(Box::new(Children(Arc::downgrade(&sessions.shared))));
        for id in unsettled {
            sessions.shared.defer(&id);
            let _ = task::send(&sessions.shared, &id, Command::Settle);
        }
        Ok(sessions)
    }

    /// Creates a session; the same id with the same digest gives the one that is there.
    pub async fn create(&self, new: NewSession) -> Result<Session, Error> {
        if new.mode.is_some() && new.parent_id.is_some() {
            return Err(Error::Params { field: "mode", message: "a child has the mode of its root; leave it out".to_owned() });
        }
        rules::check(&new.permission).map_err(|message| Error::Params { field: "permission", message })?;
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
            task: new.task,
            version: version().to_owned(),
            agent: new.agent,
            model: new.model,
            choice: None,
            branch: new.branch,
            hidden: new.hidden,
            mode: new.mode,
            permission: new.permission,
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

    pub async fn get(&self, id: &SessionId) -> Result<Session, Error> {
        self.shared.session(id).await
    }

    /// Lists sessions, the most recently updated first.
    pub async fn list(&self, query: SessionQuery) -> Result<Vec<Session>, Error> {
        let read = || async {
            let sessions = self.shared.store.sessions(query.clone()).await?;
            sessions.ok_or_else(|| Error::UnknownSession(query.before.clone().unwrap_or_default()))
        };
        self.shared.all(read).await
    }

    /// The direct children of a session, oldest first.
    pub async fn children(&self, id: &SessionId) -> Result<Vec<Session>, Error> {
        self.shared.stored(id).await?;
        self.shared.all(|| async { Ok(self.shared.store.children(id.clone()).await?) }).await
    }

    /// Deletes an archived session that has no children and that nothing needs; returns whether it did.
    pub async fn remove_archived(&self, id: &SessionId) -> Result<bool, Error> {
        if self.shared.live().contains_key(id) {
            return Ok(false);
        }
        let removed = self.shared.store.remove_archived(id.clone()).await?;
        if removed {
            self.shared.forget(id);
        }
        Ok(removed)
    }

    /// The last `limit` messages before `before`, oldest first.
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

    /// What models have cost.
    pub async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageTotal>, Error> {
        Ok(self.shared.store.usage(query).await?)
    }

    pub async fn todos(&self, id: &SessionId) -> Result<Vec<Todo>, Error> {
        Ok(self.shared.store.todos(id.clone()).await?)
    }

    pub async fn message(&self, id: &SessionId, message: &MessageId) -> Result<MessageWithParts, Error> {
        if let Some(found) = self.shared.store.message(id.clone(), message.clone()).await? {
            return Ok(found);
        }
        self.shared.stored(id).await?;
        Err(Error::UnknownMessage(message.clone()))
    }

    /// Stops following changes in directories in which nothing has run since then (milliseconds since 1970).
    pub fn close_idle(&self, since: i64) {
        self.shared.close_idle(since);
    }

    /// What is under way in all sessions.
    pub fn load(&self) -> Load {
        self.shared.activity.load(|| self.running())
    }

    /// Changes whenever [`Self::load`] may have changed.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.shared.activity.changed()
    }

    /// Takes no more prompts. Turns that run go on; the queues stay in the store.
    pub fn close(&self) {
        self.shared.activity.close();
    }

    /// The same if nothing is under way. Returns whether no more prompts are taken.
    pub fn close_if_idle(&self) -> bool {
        self.shared.activity.close_if_idle(|| self.running())
    }

    /// A prompt arrives: while the value is held, the daemon does not shut down.
    pub fn enter(&self) -> Result<Busy, Error> {
        self.shared.activity.enter().ok_or(Error::Closing)
    }

    /// The same for an answer to a question, which is also taken later where a turn of this daemon waits for it.
    pub fn enter_answer(&self, id: &SessionId) -> Result<Busy, Error> {
        let is_live = self.shared.live().get(id).is_some_and(|task| !task.is_closed());
        if is_live { Ok(self.shared.activity.begin()) } else { self.enter() }
    }

    /// How many turns run, without those that only wait for a person.
    fn running(&self) -> usize {
        let live = self.shared.live();
        // A task that panicked is still in the map and does nothing.
        live.iter().filter(|(id, task)| !task.is_closed() && !self.shared.statuses.waits(id)).count()
    }

    /// Every session that is not idle, with what it is doing, by id. Does not block.
    pub fn working(&self) -> Vec<DiagnosisSession> {
        self.shared.progress.working(&self.shared.statuses, &self.shared.activity.queues())
    }

    pub fn census(&self) -> Census {
        let live = self.shared.live().len();
        Census { live, readers: self.shared.readers() }
    }
}

/// Child sessions for turns. Held by what it starts them in, so it does not keep that alive.
struct Children(Weak<Shared>);

impl Children {
    fn sessions(&self) -> Result<Sessions, Error> {
        self.0.upgrade().map(|shared| Sessions { shared }).ok_or(Error::Closing)
    }
}

#[async_trait]
impl Launch for Children {
    async fn create(&self, parent: &Session, title: String, task: TaskCall) -> Result<Session, Error> {
        let sessions = self.sessions()?;
        let place = sessions.shared.store.place(parent.id.clone()).await?;
        let new = NewSession {
            id: None,
            project_id: parent.project_id.clone(),
            directory: parent.directory.clone(),
            place: place.ok_or_else(|| Error::UnknownSession(parent.id.clone()))?,
            parent_id: Some(parent.id.clone()),
            task: Some(task),
            title: Some(title),
            agent: None,
            model: None,
            mode: None,
            permission: Vec::new(),
            branch: parent.branch.clone(),
            hidden: parent.hidden,
            digest: String::new(),
        };
        sessions.create(new).await
    }

    async fn prompt(&self, child: &SessionId, prompt: ChildPrompt) -> Result<(MessageId, oneshot::Receiver<TurnEnd>), Error> {
        self.sessions()?.prompt_child(child, prompt).await
    }

    async fn abort(&self, child: &SessionId) -> Result<bool, Error> {
        self.sessions()?.abort(child).await
    }

    async fn delete(&self, child: &SessionId) -> Result<(), Error> {
        self.sessions()?.delete(child).await
    }
}
