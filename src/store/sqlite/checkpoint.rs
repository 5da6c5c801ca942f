//! Moving what the log holds into the store's file, on a thread of its own: it waits for the disk, and no commit waits
//! for it.
//!
//! The log begins anew only with a commit that finds all of it moved. While an answer streams in, a commit falls into
//! almost every checkpoint and leaves a rest, and the log would grow as long as the answer goes on; pages that a file
//! grows by cost several times what it costs to write over them. So what a commit left is moved at once, which is little.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags};

/// So many commits make a checkpoint worth while: some megabytes of log.
const COMMITS: u32 = 256;
/// How often at most the rest is moved that commits have left meanwhile: where the disk is slower than they come, there
/// always is one.
const PASSES: u32 = 4;

/// The thread; started by the first checkpoint.
pub(super) struct Checkpointer {
    path: PathBuf,
    /// How many there were, for the thread to see whether there was one more.
    all: Arc<AtomicU32>,
    commits: u32,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Checkpointer {
    pub fn new(path: PathBuf) -> Self {
        Self { path, all: Arc::default(), commits: 0, thread: None }
    }

    /// Counts a commit; every so often the thread is woken. Never waits.
    pub fn committed(&mut self) {
        self.commits += 1;
        self.all.fetch_add(1, Ordering::Relaxed);
        if self.commits < COMMITS {
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
            // Full means that it is at work and will look again.
            let _ = wake.try_send(());
        }
    }

    /// Waits for a checkpoint under way and ends the thread.
    pub fn end(self) {
        if let Some((wake, thread)) = self.thread {
            drop(wake);
            let _ = thread.join();
        }
    }
}

fn run(path: &std::path::Path, woken: &Receiver<()>, all: &AtomicU32) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(path, flags) else { return };
    while woken.recv().is_ok() {
        for _ in 0..PASSES {
            let before = all.load(Ordering::Relaxed);
            // PASSIVE takes no lock that a writer or a reader would wait for.
            if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                tracing::warn!(%error, "checkpoint");
                break;
            }
            if all.load(Ordering::Relaxed) == before {
                break;
            }
        }
    }
}
