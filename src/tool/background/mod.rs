//! The background commands of the whole daemon: who has started them, what they print, and how they are ended. Each belongs
//! to its session and ends with it, or with the daemon.

mod tail;

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use polytree_protocol::{
    events::{EventPayload, ProcessUpdatedInfo},
    id::{ProcessId, SessionId},
    process::{ProcessInfo, ProcessStatus},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    stdx::{paths::AbsPath, process::table, tasks::Tasks},
    store::{Scope, Store, Unit},
};
use tail::{Piece, Tail};

/// The most background commands that run for a session, and for the daemon.
pub const MAX_OF_SESSION: usize = 16;
pub const MAX_RUNNING: usize = 64;
/// Of so many that have ended the output is kept.
const MAX_ENDED: usize = 64;
/// The newest output of each that is kept, in bytes.
const MAX_OUTPUT: usize = 512 * 1024;
/// The variable by which what a command has started is known again.
pub const CALL: &str = "POLYTREE_CALL";

/// A background command.
pub struct Background {
    state: Mutex<State>,
    /// Changes with the output and the end.
    changed: watch::Sender<()>,
    /// Cancelled to end it.
    pub ending: CancellationToken,
    scope: Scope,
}

struct State {
    info: ProcessInfo,
    tail: Tail,
}

impl Background {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step, so a panic elsewhere leaves it sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn info(&self) -> ProcessInfo {
        self.state().info.clone()
    }

    pub fn is_running(&self) -> bool {
        self.state().info.status == ProcessStatus::Running
    }

    /// Output from the offset on, or the end of it.
    pub fn read(&self, offset: Option<u64>, limit: usize) -> Piece {
        let state = self.state();
        match offset {
            Some(offset) => state.tail.read(offset, limit),
            None => state.tail.last(limit),
        }
    }

    /// Adds output.
    pub fn push(&self, text: &str) {
        if !text.is_empty() {
            self.state().tail.push(text);
            self.changed.send_replace(());
        }
    }

    /// Waits until there is output after the offset, or it has ended.
    pub async fn beyond(&self, offset: u64) {
        let is_there = || {
            let state = self.state();
            state.tail.end() > offset || state.info.status != ProcessStatus::Running
        };
        // The sender is a field of `self`.
        let _ = self.changed.subscribe().wait_for(|()| is_there()).await;
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        let _ = self.changed.subscribe().wait_for(|()| !self.is_running()).await;
    }
}

/// All background commands.
pub struct Processes {
    store: Arc<Store>,
    /// Ends with the daemon.
    pub tasks: Tasks,
    /// Where it is noted what runs, so that the next daemon can end what this one could not.
    notes: AbsPath,
    // Held for an insert, a removal or a look, never across an await.
    all: Mutex<BTreeMap<ProcessId, Arc<Background>>>,
    /// Told of every start and end.
    changed: OnceLock<watch::Sender<()>>,
}

impl Processes {
    /// Ends what an earlier daemon has left running; that blocks, and happens on a thread for it.
    pub fn open(store: Arc<Store>, notes: AbsPath, tasks: Tasks) -> Self {
        let left: Vec<String> = fs::read_dir(&notes)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            // Nothing else may be looked for by such a name.
            .filter(|name| ulid::Ulid::from_string(name).is_ok())
            .collect();
        if !left.is_empty() {
            let directory = notes.clone();
            drop(Tasks::spawn_blocking(move || {
                for call in left {
                    // Every group but the one of no number.
                    if table::end_escaped(0, CALL, &call).is_empty() {
                        let _ = fs::remove_file(directory.join(&call));
                    }
                }
            }));
        }
        Self { store, tasks, notes, all: Mutex::default(), changed: OnceLock::new() }
    }

    /// From now on every start and end is told here. Called once.
    pub fn tell(&self, changed: watch::Sender<()>) {
        let _ = self.changed.set(changed);
    }

    fn has_changed(&self) {
        if let Some(changed) = self.changed.get() {
            changed.send_replace(());
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ProcessId, Arc<Background>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.all().values().filter(|process| process.is_running()).count()
    }

    /// Why one more may not be started for the session, if that is so.
    pub fn refusal(&self, session: &SessionId) -> Option<String> {
        let all = self.all();
        let running = || all.values().filter(|process| process.is_running());
        let own = running().filter(|process| process.info().session_id == *session).count();
        if own >= MAX_OF_SESSION {
            return Some(format!(
                "{own} background commands of this session run already, and there may be no more. End those that are not needed with the tool `process`."
            ));
        }
        (running().count() >= MAX_RUNNING).then(|| format!("{MAX_RUNNING} background commands run already, and there may be no more."))
    }

    /// Notes before the start that this call may leave something running.
    pub fn note(&self, call: &str) -> io::Result<()> {
        let mut make = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        make.recursive(true).create(&self.notes)?;
        fs::write(self.notes.join(call), "")
    }

    /// Everything of the call has ended.
    pub fn forget_note(&self, call: &str) {
        let _ = fs::remove_file(self.notes.join(call));
    }

    /// Lists a command that has been started, and tells of it.
    pub async fn started(&self, session: &SessionId, info: ProcessInfo) -> Result<Arc<Background>, String> {
        let (stored, _) = self.store.session(session.clone()).await.map_err(|error| error.to_string())?;
        let scope = stored.as_ref().map(Scope::of).ok_or("the session is gone")?;
        let id = info.id.clone();
        let process = Arc::new(Background {
            state: Mutex::new(State { info, tail: Tail::new(MAX_OUTPUT) }),
            changed: watch::Sender::default(),
            ending: self.tasks.token().child_token(),
            scope,
        });
        self.all().insert(id, Arc::clone(&process));
        self.has_changed();
        self.announce(&process).await;
        Ok(process)
    }

    /// A command has ended with this exit code, if it has one.
    pub async fn has_ended(&self, process: &Background, exit: Option<i32>, time: i64) {
        {
            let mut state = process.state();
            state.info.status = ProcessStatus::Exited;
            state.info.exit = exit;
            state.info.ended = Some(time);
        }
        process.changed.send_replace(());
        self.drop_oldest();
        self.has_changed();
        self.announce(process).await;
    }

    async fn announce(&self, process: &Background) {
        let updated = EventPayload::ProcessUpdated(ProcessUpdatedInfo { info: process.info() });
        // Of a session that was deleted nothing is told any more.
        let exists = self.store.session(process.info().session_id).await.is_ok_and(|(session, _)| session.is_some());
        if exists && let Err(error) = self.store.commit(Unit::new(&process.scope).event(updated)).await {
            tracing::warn!(%error, "a background command could not be told of");
        }
    }

    fn drop_oldest(&self) {
        let mut all = self.all();
        let ended: Vec<ProcessId> = all.iter().filter(|(_, process)| !process.is_running()).map(|(id, _)| id.clone()).collect();
        for id in ended.iter().take(ended.len().saturating_sub(MAX_ENDED)) {
            all.remove(id);
        }
    }

    /// All that are known, oldest first, with the directories of their sessions.
    pub fn list(&self) -> Vec<(Arc<Background>, Scope)> {
        self.all().values().map(|process| (Arc::clone(process), process.scope.clone())).collect()
    }

    pub fn get(&self, id: &ProcessId) -> Option<Arc<Background>> {
        self.all().get(id).cloned()
    }

    /// The session is gone: its commands are ended and forgotten.
    pub fn end_session(&self, session: &SessionId) {
        self.all().retain(|_, process| {
            let is_own = process.info().session_id == *session;
            if is_own {
                process.ending.cancel();
            }
            !is_own
        });
        self.has_changed();
    }
}
