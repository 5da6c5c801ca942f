//! The daemon: owns everything that outlives a project. Built once, from the bottom up; ended from the top down.

pub mod calls;
pub mod clients;
pub mod diagnose;
mod edits;
pub mod life;
pub mod listeners;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use self::{
    calls::Calls,
    clients::Clients,
    life::{Life, Work},
    listeners::Listeners,
};
use crate::{
    config::{Loader, Places},
    event::{self, Events},
    file::save::unfinished,
    find::{Finder, symbols::Symbols, text::SearchSlots},
    overlay::Overlay,
    permission::Broker,
    project::Projects,
    session::{self, Load, Sessions},
    snapshot::Snapshots,
    stdx::{
        memory,
        paths::AbsPath,
        process::descriptors,
        tasks::Tasks,
        time::{Moment, now_ms},
        version::version,
    },
    store::{self, Durability, Kind, Owner, Ownership, Room, Store, aside::SetAside},
    tool::{context::Environment, output},
};

/// How often idle directories are closed and old events removed.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// When starting is over.
const STARTED: Duration = Duration::from_millis(500);
/// A directory that nobody has used for this long is closed.
const IDLE_DIRECTORY_MS: i64 = 10 * 60 * 1000;
/// When nothing has changed for this long, work is over for the moment.
const QUIET: Duration = Duration::from_secs(1);
/// So much more memory than at rest is worth giving back.
const GROWN: u64 = 2 << 20;
/// An end of the daemon takes at most this long.
const ENDING: Duration = Duration::from_millis(1500);

/// For how long older ones wait for the newer one that room is made for.
const ROOM: Duration = Duration::from_secs(5);

impl Work for Sessions {
    fn load(&self) -> Load {
        Self::load(self)
    }
    fn close_if_idle(&self) -> bool {
        Self::close_if_idle(self)
    }
    fn close(&self) {
        Self::close(self);
    }
    fn changed(&self) -> tokio::sync::watch::Receiver<()> {
        Self::changed(self)
    }
}

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
    Storage(#[from] store::Error),
    /// The event log cannot be used.
    #[error(transparent)]
    Event(#[from] event::Error),
    /// The images of files for undo cannot be used.
    #[error("the images of files in the data directory cannot be used: {0}")]
    Snapshots(std::io::Error),
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
                let end = match owner {
                    Some(Owner { kind: Kind::Standalone, pid, .. }) => format!("that one ends with its client, or by `kill {pid}`"),
                    _ => "`polytree stop` ends that one".to_owned(),
                };
                Some(format!("one daemon serves a data directory, and `polytree run` and the other commands reach it by themselves; {end}"))
            }
            Self::Storage(error) | Self::Event(event::Error::Storage(error)) | Self::Session(session::Error::Storage(error)) => {
                error.hint()
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
    /// Texts that editors hold and have not saved.
    pub overlay: Arc<Overlay>,
    /// The symbols in the files of directories that are asked for.
    pub symbols: Arc<Symbols>,
    /// The names of files in the worktrees in use.
    pub finder: Arc<Finder>,
    /// What sessions changed in files.
    pub snapshots: Arc<Snapshots>,
    /// The searches that run.
    pub searches: Arc<SearchSlots>,
    /// When it started, in milliseconds since 1970.
    pub started: i64,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// Where it listens on the network.
    pub listeners: Arc<Listeners>,
    /// The calls so far.
    pub calls: Arc<Calls>,
    /// When it started, by a clock that nobody can move too.
    pub began: Moment,
    /// How long it lives.
    pub life: Arc<Life>,
    /// The root of the tree of work.
    pub tasks: Tasks,
    pub(crate) store: Arc<Store>,
    ownership: Arc<Ownership>,
    // Plain mutex: held for single operations.
    socket: Mutex<Option<AbsPath>>,
}

impl Daemon {
    /// Takes the data directory. `socket` is where the daemon will listen, for those who find the directory owned.
    ///
    /// # Errors
    /// [`Error::Owned`] when another process has the directory; others when it cannot be used.
    pub fn own(places: &Places, kind: Kind, socket: &AbsPath) -> Result<Ownership, Error> {
        memory::keep_little();
        if let Err(error) = descriptors::raise() {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
        places.create()?;
        let me = Owner { pid: std::process::id(), version: version().to_owned(), socket: socket.as_path().to_owned(), kind };
        Ownership::take(places.data.as_path(), &me)?.map_err(|owner| Error::Owned { data: places.data.clone(), owner })
    }

    /// Starts in the data directory that is owned. `socket` is where it listens, if it does.
    ///
    /// # Errors
    /// When the data directory cannot be used.
    pub async fn start(
        ownership: Ownership,
        places: Places,
        environment: &Environment,
        socket: Option<AbsPath>,
    ) -> Result<Arc<Self>, Error> {
        let ownership = Arc::new(ownership);
        let keeping = Keeping::read(&places, environment);
        // Before anything of this process can be among them.
        let unfinished = unfinished::left(&places.data.join("unfinished"));
        let store = Arc::new(Store::open(places.data.join("polytree.db").as_path(), keeping.durability)?);
        ownership.watch_store(store.path())?;
        let events = Events::open(Arc::clone(&store));
        let broker = Arc::new(Broker::new(Arc::clone(&store)));
        let overlay = Arc::<Overlay>::default();
        let tasks = Tasks::new();
        let symbols = Arc::new(Symbols::new(Arc::clone(&overlay), tasks.child()));
        let finder = Arc::new(Finder::new(Arc::clone(&store), tasks.child()));
        let (notes, below) = (places.data.join("unfinished"), tasks.child());
        let snapshots = Snapshots::open(&places.data, notes, Arc::clone(&finder), Arc::clone(&overlay), below).map_err(Error::Snapshots)?;
        let snapshots = Arc::new(snapshots);
        let mut projects = Projects::new(Arc::clone(&store), places.clone(), Arc::clone(&overlay), Arc::clone(&finder));
        // One that was started in passing serves many, and keeps nothing of whoever was first.
        if ownership.kind() == Kind::Foreground {
            projects = projects.with_recordings(environment);
        }
        let projects = Arc::new(projects);
        let workspaces = Arc::clone(&projects) as _;
        let sessions = Sessions::open(Arc::clone(&store), Arc::clone(&broker), workspaces, Arc::clone(&snapshots), tasks.child()).await?;
        let (clients, listeners) = (Arc::<Clients>::default(), Arc::<Listeners>::default());
        let work = Arc::new(sessions.clone());
        let life = Life::new(ownership.kind(), keeping.idle, work, clients.count(), listeners.count());
        life.depend_on(Arc::clone(&ownership));
        let daemon = Arc::new(Self {
            places,
            events,
            broker,
            sessions,
            projects,
            overlay,
            symbols,
            finder,
            snapshots,
            searches: Arc::default(),
            started: now_ms(),
            socket: Mutex::new(socket),
            clients,
            listeners,
            life,
            calls: Arc::default(),
            began: Moment::now(),
            tasks,
            store,
            ownership,
        });
        if !unfinished.is_empty() {
            // A directory on a server that does not answer holds nobody up.
            drop(Tasks::spawn_blocking(move || unfinished::remove(&unfinished)));
        }
        drop(daemon.tasks.spawn("housekeeping", Arc::clone(&daemon).keep_house(keeping)));
        drop(daemon.tasks.spawn("memory", Arc::clone(&daemon).give_back()));
        drop(daemon.tasks.spawn("damage", Arc::clone(&daemon).watch_damage()));
        drop(
            daemon.tasks.spawn("edits", edits::tell(Arc::clone(&daemon.events), Arc::clone(&daemon.symbols), daemon.tasks.token().clone())),
        );
        Ok(daemon)
    }

    /// The damaged store that was set aside when this daemon started.
    #[must_use]
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.store.set_aside()
    }

    /// Leaves once the store shows damage: nothing can be stored any more, and only the next start can begin a new one.
    async fn watch_damage(self: Arc<Self>) {
        tokio::select! {
            () = self.tasks.token().cancelled() => {}
            () = self.store.wait_for_damage() => self.life.damaged(),
        }
    }

    /// Once nothing runs any more, gives back the memory that work has taken: caches of the store, and what the allocator
    /// keeps between smaller blocks.
    async fn give_back(self: Arc<Self>) {
        let mut changed = self.sessions.changed();
        let (mut least, mut is_quiet) = (memory::anonymous().unwrap_or(u64::MAX), true);
        loop {
            // While nothing changes at all this waits for ever.
            let pause = async { if is_quiet { std::future::pending().await } else { tokio::time::sleep(QUIET).await } };
            tokio::select! {
                () = self.tasks.token().cancelled() => return,
                Ok(()) = changed.changed() => is_quiet = false,
                () = pause => {
                    is_quiet = true;
                    if self.sessions.load().running > 0 {
                        continue;
                    }
                    let Some(taken) = memory::anonymous() else { return };
                    if taken.saturating_sub(GROWN) > least {
                        self.store.shrink().await;
                        let _ = Tasks::spawn_blocking(memory::give_back).await;
                    }
                    least = least.min(memory::anonymous().unwrap_or(taken));
                }
            }
        }
    }

    async fn keep_house(self: Arc<Self>, keeping: Keeping) {
        let mut pause = STARTED;
        loop {
            tokio::select! {
                () = self.tasks.token().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let has_started = std::mem::replace(&mut pause, HOUSEKEEPING) == STARTED;
            if has_started {
                // Before a command needs it.
                self.projects.sandbox().abilities().await;
                // Damage is told to whoever waits for it.
                let _ = self.store.check_integrity().await;
            }
            // What only starting or a turn long ago has needed need not stay.
            let _ = Tasks::spawn_blocking(memory::forget_code).await;
            if has_started {
                continue;
            }
            self.projects.close_idle(now_ms() - IDLE_DIRECTORY_MS);
            self.symbols.close_idle(now_ms() - IDLE_DIRECTORY_MS);
            self.sessions.close_idle(now_ms() - IDLE_DIRECTORY_MS);
            self.finder.close_idle(now_ms() - IDLE_DIRECTORY_MS);
            if let Err(error) = self.events.trim(keeping.log_ms, keeping.log_bytes).await {
                tracing::warn!(%error, "old events could not be removed");
            }
            self.snapshots.prune().await;
            let (outputs, sandbox) = (self.places.data.join("output"), Arc::clone(self.projects.sandbox()));
            let _ = Tasks::spawn_blocking(move || {
                sandbox.sweep();
                for project in std::fs::read_dir(&outputs).into_iter().flatten().flatten() {
                    if let Some(directory) = AbsPath::new(project.path()) {
                        output::sweep(&directory);
                    }
                }
            })
            .await;
        }
    }

    /// Where it listens on this machine, if it does.
    #[must_use]
    pub fn socket(&self) -> Option<AbsPath> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes where the daemon listens from now on, for those who look for it.
    pub fn listen_at(&self, socket: &AbsPath) {
        if let Err(error) = self.ownership.listen_at(socket.as_path()) {
            tracing::warn!(%error, "it could not be noted where the daemon listens");
        }
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket.clone());
    }

    /// Notes for whom the daemon leaves, for older ones that come before that one.
    pub fn make_room(&self, version: String) {
        let until = now_ms() + i64::try_from(ROOM.as_millis()).unwrap_or(i64::MAX);
        if let Err(error) = self.ownership.make_room(Room { version, until }) {
            tracing::warn!(%error, "it could not be noted for whom room is made");
        }
    }

    /// Notes that the daemon leaves because it was told to: clients do not call the next one before they need it.
    pub fn note_stop(&self) {
        if let Err(error) = self.ownership.note_stop() {
            tracing::warn!(%error, "it could not be noted that the daemon was stopped");
        }
    }

    /// Ends every turn and waits a moment for their ends to be stored. Reading goes on.
    pub async fn interrupt(&self, ending: Ending) {
        self.life.leave();
        if ending == Ending::Leave {
            self.sessions.shut_down();
        }
        self.tasks.cancel();
        if tokio::time::timeout(ENDING, self.tasks.finished()).await.is_err() {
            tracing::warn!("some tasks had not ended in time");
        }
    }

    /// Commits what waits and closes the store. The last call.
    pub fn close(&self) {
        self.store.close();
    }
}

/// What the user's settings say about the daemon; the defaults where they cannot be read, which a prompt will tell.
#[derive(Clone, Copy)]
struct Keeping {
    durability: Durability,
    log_ms: i64,
    log_bytes: u64,
    idle: Option<Duration>,
}

impl Keeping {
    fn read(places: &Places, environment: &Environment) -> Self {
        use polytree_protocol::config::Durability as Setting;
        let (storage, server) = match Loader::new().load_user(places, environment) {
            Ok(settings) => (settings.config.storage, settings.config.server),
            Err(error) => {
                tracing::warn!(%error, "the settings could not be read; the defaults are used for the daemon");
                Default::default()
            }
        };
        let durability = match storage.durability {
            Setting::Process => Durability::Process,
            Setting::Power => Durability::Power,
        };
        Self {
            durability,
            log_ms: i64::from(storage.log_days) * 24 * 3600 * 1000,
            log_bytes: storage.log_bytes,
            idle: Some(server.idle_timeout).filter(|time| *time > 0).map(Duration::from_millis),
        }
    }
}
