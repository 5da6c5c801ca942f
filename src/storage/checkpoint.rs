//! Moving what the log holds into the store's file, on a thread of its own: it waits for the disk, and no commit waits
//! for it.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags};

/// So many commits make a checkpoint worth while: some megabytes of log.
const COMMITS: u32 = 256;

/// The thread; started by the first checkpoint.
pub(super) struct Checkpointer {
    path: PathBuf,
    commits: u32,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Checkpointer {
    pub fn new(path: PathBuf) -> Self {
        Self { path, commits: 0, thread: None }
    }

    /// Counts a commit; every so often the thread is woken. Never waits.
    pub fn committed(&mut self) {
        self.commits += 1;
        if self.commits < COMMITS {
            return;
        }
        self.commits = 0;
        if self.thread.is_none() {
            let (wake, woken) = sync_channel(1);
            let path = self.path.clone();
            let thread =
                std::thread::Builder::new().name("store-checkpoint".into()).stack_size(256 * 1024).spawn(move || run(&path, &woken));
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

fn run(path: &std::path::Path, woken: &Receiver<()>) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(path, flags) else { return };
    // PASSIVE takes no lock that a writer or a reader would wait for.
    while woken.recv().is_ok() {
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "checkpoint");
        }
    }
}
