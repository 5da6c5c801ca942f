//! Checkpoints on a thread of their own: they wait for the disk, and no commit waits for them.
//!
//! SQLite restarts the write-ahead log only at a commit that finds all of it checkpointed. While an answer is streamed,
//! a commit happens during almost every checkpoint and leaves a rest, so the log would grow until the answer ends; and
//! appending pages to a file costs several times as much as overwriting them. So the little that was committed
//! meanwhile is checkpointed right away.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags};

/// Commits between two checkpoints: some megabytes of log.
const CHECKPOINT_COMMITS: u32 = 256;
/// How often a checkpoint is repeated for commits that happened meanwhile; on a slow disk there are always some.
const MAX_PASSES: u32 = 4;

/// The checkpoint thread; started by the first checkpoint.
pub(super) struct Checkpointer {
    path: PathBuf,
    /// All commits so far; the thread checks whether there was another one.
    all: Arc<AtomicU32>,
    commits: u32,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Checkpointer {
    pub fn new(path: PathBuf) -> Self {
        Self { path, all: Arc::default(), commits: 0, thread: None }
    }

    /// Counts a commit and wakes the thread after enough of them. Never blocks.
    pub fn committed(&mut self) {
        self.commits += 1;
        self.all.fetch_add(1, Ordering::Relaxed);
        if self.commits < CHECKPOINT_COMMITS {
            return;
        }
        self.commits = 0;
        if self.thread.is_none() {
            let (wake, woken) = sync_channel(1);
            let (path, all) = (self.path.clone(), Arc::clone(&self.all));
            let thread =
                std::thread::Builder::new().name("store-checkpoint".into()).stack_size(256 * 1024).spawn(move || run(&path, &woken, &all));
            self.thread = thread.ok().map(|thread| (wake, thread));
        }
        if let Some((wake, _)) = &self.thread {
            // A full channel means that the thread is already woken.
            let _ = wake.try_send(());
        }
    }

    /// Waits for a running checkpoint and ends the thread.
    pub fn end(self) {
        if let Some((wake, thread)) = self.thread {
            drop(wake);
            let _ = thread.join();
        }
    }
}

/// Does one checkpoint, on a connection of its own.
pub(super) fn checkpoint(path: &Path) -> rusqlite::Result<()> {
    passive(&open(path)?)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// PASSIVE takes no lock that a writer or a reader would wait for.
fn passive(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn run(path: &Path, woken: &Receiver<()>, all: &AtomicU32) {
    let Ok(connection) = open(path) else { return };
    while woken.recv().is_ok() {
        for _ in 0..MAX_PASSES {
            let before = all.load(Ordering::Relaxed);
            if let Err(error) = passive(&connection) {
                tracing::warn!(%error, "checkpoint");
                break;
            }
            if all.load(Ordering::Relaxed) == before {
                break;
            }
        }
    }
}
