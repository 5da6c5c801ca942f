//! The daemon: creates and owns everything that outlives a project, and shuts it down in reverse order.

pub mod calls;
pub mod clients;
pub mod diagnose;
mod edits;
pub mod follow;
pub mod life;
pub mod listeners;
pub mod retention;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use self::{
    calls::Calls,
    clients::Clients,
    follow::Followers,
    life::{Life, Work},
    listeners::Listeners,
    retention::Retention,
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
    store::{self, Durability, Owner, OwnerKind, Ownership, Room, Store, aside::SetAside},
    tool::context::Environment,
};

/// The interval of closing idle directories and removing old events.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);
/// Other things than events are removed at the first such interval, and then each time after so many.
const FULL_RETENTION: u32 = 60;
/// The delay of work that should not slow the start down.
const START_DELAY: Duration = Duration::from_millis(500);
/// Directories that were not used for this time are closed.
const DIRECTORY_IDLE_MS: i64 = 10 * 60 * 1000;
/// Memory is given back when no work has started or ended for this time.
const IDLE_DELAY: Duration = Duration::from_secs(1);
/// The growth of memory, in bytes, from which on giving back is worth it.
const MIN_GROWTH: u64 = 2 << 20;
/// The timeout of ending tasks at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long older clients wait for the newer version that room is made for.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Why a daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the data directory.
    #[error("the data directory {data} is owned by {}", owner.as_ref().map_or_else(|| "another process".to_owned(), |owner| format!("process {}", owner.pid)))]
    Owned { data: AbsPath, owner: Option<Owner> },
    /// A directory for settings, data or sockets cannot be used.
    #[error(transparent)]
    Places(#[from] crate::config::places::Error),
    #[error(transparent)]
    Storage(#[from] store::Error),
    #[error(transparent)]
    Event(#[from] event::Error),
    /// The images of files for undo cannot be used.
    #[error("the images of files in the data directory cannot be used: {0}")]
    Snapshots(std::io::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
}

impl Error {
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Owned { owner, .. } => {
                let end = match owner {
                    Some(Owner { kind: OwnerKind::Standalone, pid, .. }) => format!("that one exits with its client, or by `kill {pid}`"),
                    _ => "`polytree stop` stops that one".to_owned(),
                };
                Some(format!(
                    "a data directory has one daemon, and `polytree run` and the other commands connect to it automatically; {end}"
                ))
            }
            Self::Storage(error) | Self::Event(event::Error::Storage(error)) | Self::Session(session::Error::Storage(error)) => {
                error.hint()
            }
            _ => None,
        }
    }
}

/// How turns end at shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Like `session.abort` for each session.
    Abort,
    /// Turns are marked as interrupted; open questions are kept for the next daemon.
    Interrupt,
}

/// The one daemon of a data directory.
pub struct Daemon {
    /// Where settings, data and sockets are.
    pub places: Places,
    pub events: Arc<Events>,
    pub broker: Arc<Broker>,
    pub sessions: Sessions,
    pub projects: Arc<Projects>,
    /// Unsaved texts of editors.
    pub overlay: Arc<Overlay>,
    pub symbols: Arc<Symbols>,
    pub finder: Arc<Finder>,
    /// Who follows which directory.
    pub followers: Followers,
    /// What sessions changed in files.
    pub snapshots: Arc<Snapshots>,
    pub searches: Arc<SearchSlots>,
    /// When it started, in milliseconds since 1970.
    pub started: i64,
    pub clients: Arc<Clients>,
    /// The network listeners.
    pub listeners: Arc<Listeners>,
    pub calls: Arc<Calls>,
    /// When it started, also by the monotonic clock.
    pub began: Moment,
    pub life: Arc<Life>,
    pub retention: Retention,
    /// The root of the task tree.
    pub tasks: Tasks,
    pub(crate) store: Arc<Store>,
    ownership: Arc<Ownership>,
    // Locked for single operations.
    socket: Mutex<Option<AbsPath>>,
}

impl Daemon {
    /// Takes ownership of the data directory. `socket` is where the daemon will listen, for other processes that find the
    /// directory owned.
    ///
    /// # Errors
    /// [`Error::Owned`] if another process owns the directory; other errors if it cannot be used.
    pub fn own(places: &Places, kind: OwnerKind, socket: &AbsPath) -> Result<Ownership, Error> {
        memory::limit_allocator();
        if let Err(error) = descriptors::raise() {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
        places.create()?;
        let me = Owner { pid: std::process::id(), version: version().to_owned(), socket: socket.as_path().to_owned(), kind };
        Ownership::take(places.data.as_path(), &me)?.map_err(|owner| Error::Owned { data: places.data.clone(), owner })
    }

    /// Starts in the owned data directory. `socket` is where it listens, if it does.
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
        let settings = DaemonSettings::read(&places, environment);
        // Before this process can create any.
        let unfinished = unfinished::left(&places.data.join("unfinished"));
        let store = Arc::new(Store::open(places.data.join("polytree.db").as_path(), settings.durability)?);
        ownership.watch_store(store.path())?;
        let events = Events::open(Arc::clone(&store));
        let broker = Arc::new(Broker::new(Arc::clone(&store)));
        let overlay = Arc::<Overlay>::default();
        let tasks = Tasks::new();
        let symbols = Arc::new(Symbols::new(Arc::clone(&overlay), tasks.child()));
        let finder = Arc::new(Finder::new(Arc::clone(&store), tasks.child()));
        let (notes, below) = (places.data.join("unfinished"), tasks.child());
        let snapshots = Snapshots::open(&places.data, notes, settings.durability, Arc::clone(&finder), Arc::clone(&overlay), below);
        let snapshots = Arc::new(snapshots.map_err(Error::Snapshots)?);
        let mut projects = Projects::new(Arc::clone(&store), places.clone(), Arc::clone(&overlay), Arc::clone(&finder));
        // A detached daemon does not use the recordings of the client that happened to start it.
        if ownership.kind() == OwnerKind::Foreground {
            projects = projects.with_recordings(environment);
        }
        let projects = Arc::new(projects);
        let followers = Followers::new(Arc::clone(&projects), Arc::clone(&store), tasks.child());
        let workspaces = Arc::clone(&projects) as _;
        let sessions = Sessions::open(Arc::clone(&store), Arc::clone(&broker), workspaces, Arc::clone(&snapshots), tasks.child()).await?;
        let (clients, listeners) = (Arc::<Clients>::default(), Arc::<Listeners>::default());
        let work = Arc::new(sessions.clone());
        let life = Life::new(ownership.kind(), settings.idle, work, clients.count(), listeners.count());
        life.depend_on(Arc::clone(&ownership));
        let (kept, undo, token) = (Arc::clone(&store), Arc::clone(&snapshots), tasks.token().clone());
        let retention = Retention::new(places.clone(), kept, Arc::clone(&events), sessions.clone(), undo, token);
        let daemon = Arc::new(Self {
            places,
            events,
            broker,
            sessions,
            projects,
            overlay,
            symbols,
            finder,
            followers,
            snapshots,
            searches: Arc::default(),
            started: now_ms(),
            socket: Mutex::new(socket),
            clients,
            listeners,
            life,
            calls: Arc::default(),
            retention,
            began: Moment::now(),
            tasks,
            store,
            ownership,
        });
        if !unfinished.is_empty() {
            // Not awaited: a directory may be on a network file system that hangs.
            drop(Tasks::spawn_blocking(move || unfinished::remove(&unfinished)));
        }
        drop(daemon.tasks.spawn("maintenance", Arc::clone(&daemon).maintain(Arc::clone(environment))));
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

    /// Shuts down when damage of the store is found: only the next start can create a new store.
    async fn watch_damage(self: Arc<Self>) {
        tokio::select! {
            () = self.tasks.token().cancelled() => {}
            () = self.store.wait_for_damage() => self.life.damaged(),
        }
    }

    /// When all work has ended, gives memory back: caches of the store, and free memory of the allocator.
    async fn give_back(self: Arc<Self>) {
        let mut changed = self.sessions.changed();
        let (mut least, mut is_quiet) = (memory::anonymous().unwrap_or(u64::MAX), true);
        loop {
            // Waits forever while there are no changes.
            let pause = async { if is_quiet { std::future::pending().await } else { tokio::time::sleep(IDLE_DELAY).await } };
            tokio::select! {
                () = self.tasks.token().cancelled() => return,
                Ok(()) = changed.changed() => is_quiet = false,
                () = pause => {
                    is_quiet = true;
                    if self.sessions.load().running > 0 {
                        continue;
                    }
                    let Some(taken) = memory::anonymous() else { return };
                    if taken.saturating_sub(MIN_GROWTH) > least {
                        self.store.shrink().await;
                        let _ = Tasks::spawn_blocking(memory::give_back).await;
                    }
                    least = least.min(memory::anonymous().unwrap_or(taken));
                }
            }
        }
    }

    async fn maintain(self: Arc<Self>, environment: Environment) {
        let (mut pause, mut rounds) = (START_DELAY, 0);
        loop {
            tokio::select! {
                () = self.tasks.token().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let has_started = std::mem::replace(&mut pause, MAINTENANCE_INTERVAL) == START_DELAY;
            if has_started {
                // In advance, before a command needs it.
                self.projects.sandbox().abilities().await;
                let sandbox = Arc::clone(self.projects.sandbox());
                let _ = Tasks::spawn_blocking(move || sandbox.clean()).await;
                // Damage is reported through `wait_for_damage`.
                let _ = self.store.check_integrity().await;
            }
            // Code that only the start or an old turn has used need not stay in memory.
            let _ = Tasks::spawn_blocking(memory::forget_code).await;
            if has_started {
                continue;
            }
            self.projects.close_idle(now_ms() - DIRECTORY_IDLE_MS);
            self.symbols.close_idle(now_ms() - DIRECTORY_IDLE_MS);
            self.sessions.close_idle(now_ms() - DIRECTORY_IDLE_MS);
            self.finder.close_idle(now_ms() - DIRECTORY_IDLE_MS);
            self.retention.maintain(&environment, rounds % FULL_RETENTION == 0).await;
            rounds += 1;
            let sandbox = Arc::clone(self.projects.sandbox());
            let _ = Tasks::spawn_blocking(move || sandbox.sweep()).await;
        }
    }

    /// The path of the local socket, if it listens.
    #[must_use]
    pub fn socket(&self) -> Option<AbsPath> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes the path of the local socket from now on.
    pub fn listen_at(&self, socket: &AbsPath) {
        if let Err(error) = self.ownership.listen_at(socket.as_path()) {
            tracing::warn!(%error, "the path of the socket could not be written to the lock file");
        }
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket.clone());
    }

    /// Writes the version that the daemon makes room for to the lock file; older clients wait for it.
    pub fn make_room(&self, version: String) {
        let until = now_ms() + i64::try_from(ROOM_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
        if let Err(error) = self.ownership.make_room(Room { version, until }) {
            tracing::warn!(%error, "the version to make room for could not be written to the lock file");
        }
    }

    /// Writes to the lock file that the daemon was stopped: clients start the next one only when they need it.
    pub fn note_stop(&self) {
        if let Err(error) = self.ownership.note_stop() {
            tracing::warn!(%error, "the stop could not be written to the lock file");
        }
    }

    /// Ends all turns and waits until this is stored, with a timeout. Reads still work.
    pub async fn interrupt(&self, ending: Ending) {
        self.life.shut_down();
        if ending == Ending::Interrupt {
            self.sessions.shut_down();
        }
        self.tasks.cancel();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.finished()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }

    /// Commits queued changes and closes the store. The last call.
    pub fn close(&self) {
        self.store.close();
    }
}

/// The user's settings for the daemon. If they cannot be read: the defaults; a prompt will report the error.
#[derive(Clone, Copy)]
struct DaemonSettings {
    durability: Durability,
    idle: Option<Duration>,
}

impl DaemonSettings {
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
        Self { durability, idle: Some(server.idle_timeout).filter(|time| *time > 0).map(Duration::from_millis) }
    }
}
