//! A small pool of reader threads, started on demand. A job sees one snapshot from beginning to end.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use crate::store::Error;

/// More readers cost memory and gain little.
const MAX_READERS: usize = 2;

type Job = Box<dyn FnOnce(Result<&Connection, Error>) + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
    closed: bool,
    /// When each running job began.
    running: Vec<Instant>,
}

/// What the readers are doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadersState {
    /// Queued jobs.
    pub waiting: usize,
    /// How long the longest running job has been running.
    pub busy: Option<Duration>,
}

pub(super) struct Readers {
    path: PathBuf,
    shared: Arc<(Mutex<Queue>, Condvar)>,
}

impl Readers {
    pub fn new(path: PathBuf) -> Self {
        Self { path, shared: Arc::default() }
    }

    /// Queues a job; it gets a connection in a read transaction.
    pub fn submit(&self, job: Job) {
        let (queue, wake) = &*self.shared;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            drop(queue);
            return job(Err(Error::Closed));
        }
        queue.jobs.push_back(job);
        if queue.idle == 0 && queue.threads < MAX_READERS {
            let shared = Arc::clone(&self.shared);
            let path = self.path.clone();
            if std::thread::Builder::new().name("store-reader".into()).stack_size(512 * 1024).spawn(move || run(&path, &shared)).is_ok() {
                queue.threads += 1;
            }
        }
        wake.notify_one();
    }

    /// Does not block.
    pub fn state(&self) -> ReadersState {
        let queue = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        ReadersState { waiting: queue.jobs.len(), busy: queue.running.iter().min().map(Instant::elapsed) }
    }

    /// Ends the threads after the queued jobs.
    pub fn close(&self) {
        let (queue, wake) = &*self.shared;
        queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        wake.notify_all();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(path: &std::path::Path, (queue, wake): &(Mutex<Queue>, Condvar)) {
    let mut connection: Option<Connection> = None;
    let mut began: Option<Instant> = None;
    loop {
        let job = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            // Entries with the same time are interchangeable.
            if let Some(place) = began.take().and_then(|began| queue.running.iter().position(|other| *other == began)) {
                queue.running.swap_remove(place);
            }
            loop {
                if let Some(job) = queue.jobs.pop_front() {
                    let now = Instant::now();
                    began = Some(now);
                    queue.running.push(now);
                    break job;
                }
                if queue.closed {
                    queue.threads -= 1;
                    return;
                }
                queue.idle += 1;
                queue = wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        };
        if connection.is_none() {
            match open(path) {
                Ok(open) => connection = Some(open),
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        let Some(reader) = &connection else { continue };
        if let Err(error) = reader.execute_batch("BEGIN") {
            job(Err(error.into()));
            continue;
        }
        // A panic in a job must not end the reader; the caller sees that its sender was dropped.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(Ok(reader))));
        let _ = reader.execute_batch("COMMIT");
    }
}

fn open(path: &std::path::Path) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.execute_batch("PRAGMA cache_size = -512; PRAGMA query_only = 1;")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}
