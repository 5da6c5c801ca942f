//! The daemon: owns everything that outlives a project. Built once, from the bottom up; ended from the top down.

pub mod clients;
pub mod listeners;

use std::{sync::Arc, time::Duration};

use self::{clients::Clients, listeners::Listeners};
use crate::{
    config::{Loader, Places},
    event::{self, Events},
    permission::Broker,
    project::Projects,
    session::{self, Sessions},
    stdx::{paths::AbsPath, tasks::Tasks, time::now_ms},
    storage::{self, Database, Durability, Owner, Ownership},
    tool::{context::Environment, output},
};

/// How often idle directories are closed and old events removed.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// A directory that nobody has used for this long is closed.
const IDLE_DIRECTORY_MS: i64 = 10 * 60 * 1000;
/// An end of the daemon takes at most this long.
const ENDING: Duration = Duration::from_millis(1500);

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the data directory.
    #[error("the data directory {data} is owned by {}", owner.as_ref().map_or_else(|| "another process".to_owned(), |owner| format!("process {}", owner.pid)))]
    Owned {
        /// The data directory.
        data: AbsPath,
        /// Who owns it, where that is known.
        owner: Option<Owner>,
    },
    /// The places for settings, data and sockets cannot be used.
    #[error(transparent)]
    Places(#[from] crate::config::places::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The event log cannot be used.
    #[error(transparent)]
    Event(#[from] event::Error),
    /// The sessions cannot be read.
    #[error(transparent)]
    Session(#[from] session::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Owned { owner, .. } => {
                let end = owner.as_ref().map_or_else(String::new, |owner| format!("; `kill {}` ends that one", owner.pid));
                Some(format!("one daemon serves a data directory: `polytree run` and the other commands reach it by themselves{end}"))
            }
            _ => None,
        }
    }
}

/// How a daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As if every session were aborted.
    Abort,
    /// Turns are marked as interrupted; what waits for a person stays open for the next daemon.
    Leave,
}

/// The one daemon of a data directory.
pub struct Daemon {
    /// Where settings, data and sockets are.
    pub places: Places,
    /// The event log.
    pub events: Arc<Events>,
    /// The permission questions.
    pub broker: Arc<Broker>,
    /// The sessions.
    pub sessions: Sessions,
    /// The projects and open directories.
    pub projects: Arc<Projects>,
    /// When it started, in milliseconds since 1970.
    pub started: i64,
    /// Where it listens.
    pub socket: Option<AbsPath>,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// Where it listens on the network.
    pub listeners: Arc<Listeners>,
    /// The root of the tree of work.
    pub tasks: Tasks,
    database: Arc<Database>,
    _ownership: Ownership,
}

impl Daemon {
    /// Takes the data directory and starts. `socket` is where it will listen, for those who find the directory owned.
    ///
    /// # Errors
    /// [`Error::Owned`] when another process has the directory; others when it cannot be used.
    pub async fn start(places: Places, environment: &Environment, socket: Option<AbsPath>) -> Result<Arc<Self>, Error> {
        places.create()?;
        let me = Owner {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            socket: socket.as_ref().map(|socket| socket.as_path().to_owned()).unwrap_or_default(),
        };
        let ownership = Ownership::take(places.data.as_path(), &me)?.map_err(|owner| Error::Owned { data: places.data.clone(), owner })?;
        let keeping = Keeping::read(&places, environment);
        let database = Arc::new(Database::open(places.data.join("polytree.db").as_path(), keeping.durability)?);
        let events = Events::open(Arc::clone(&database)).await?;
        let broker = Arc::new(Broker::new(Arc::clone(&database), Arc::clone(&events)));
        let projects = Arc::new(Projects::new(Arc::clone(&database), Arc::clone(&events), places.clone()));
        let tasks = Tasks::new();
        let sessions =
            Sessions::open(Arc::clone(&database), Arc::clone(&events), Arc::clone(&broker), Arc::clone(&projects) as _, tasks.child())
                .await?;
        let daemon = Arc::new(Self {
            places,
            events,
            broker,
            sessions,
            projects,
            started: now_ms(),
            socket,
            clients: Arc::default(),
            listeners: Arc::default(),
            tasks,
            database,
            _ownership: ownership,
        });
        drop(daemon.tasks.spawn("housekeeping", Arc::clone(&daemon).keep_house(keeping)));
        Ok(daemon)
    }

    async fn keep_house(self: Arc<Self>, keeping: Keeping) {
        loop {
            tokio::select! {
                () = self.tasks.token().cancelled() => return,
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
            self.projects.close_idle(now_ms() - IDLE_DIRECTORY_MS);
            if let Err(error) = self.events.trim(now_ms() - keeping.log_ms, keeping.log_bytes).await {
                tracing::warn!(%error, "old events could not be removed");
            }
            let outputs = self.places.data.join("output");
            let _ = Tasks::spawn_blocking(move || {
                for project in std::fs::read_dir(&outputs).into_iter().flatten().flatten() {
                    if let Some(directory) = AbsPath::new(project.path()) {
                        output::sweep(&directory);
                    }
                }
            })
            .await;
        }
    }

    /// Ends every turn and waits a moment for their ends to be stored. Reading goes on.
    pub async fn interrupt(&self, ending: Ending) {
        if ending == Ending::Leave {
            self.sessions.leave();
        }
        self.tasks.cancel();
        if tokio::time::timeout(ENDING, self.tasks.finished()).await.is_err() {
            tracing::warn!("some tasks had not ended in time");
        }
    }

    /// Commits what waits and closes the store. The last call.
    pub fn close(&self) {
        self.database.close();
    }
}

/// What the user's settings say about keeping; the defaults where they cannot be read, which a prompt will tell.
#[derive(Clone, Copy)]
struct Keeping {
    durability: Durability,
    log_ms: i64,
    log_bytes: u64,
}

impl Keeping {
    fn read(places: &Places, environment: &Environment) -> Self {
        use polytree_protocol::config::Durability as Setting;
        let storage = match Loader::new().load_user(places, environment) {
            Ok(settings) => settings.config.storage,
            Err(error) => {
                tracing::warn!(%error, "the settings could not be read; the defaults are used for the store");
                polytree_protocol::config::StorageConfig::default()
            }
        };
        let durability = match storage.durability {
            Setting::Process => Durability::Process,
            Setting::Power => Durability::Power,
        };
        Self { durability, log_ms: i64::from(storage.log_days) * 24 * 3600 * 1000, log_bytes: storage.log_bytes }
    }
}
