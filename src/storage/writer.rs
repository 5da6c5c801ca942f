//! The one writer thread. Whatever waits is committed together as soon as the writer is free; a batch of nothing
//! but deltas may wait a moment for company. A job that fails takes only its own changes back.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Error, checkpoint::Checkpointer};

/// The longest that a batch of deltas waits for company after the commit before it.
const DELTA_PAUSE: Duration = Duration::from_millis(4);
/// The most jobs in one commit, so that the first of them does not wait too long.
const BATCH: usize = 256;

/// What a job gets: the open transaction, and a list of what to do once it is committed.
pub struct Write<'a> {
    connection: &'a Connection,
    after: Vec<After>,
}

type After = Box<dyn FnOnce() + Send>;

impl Write<'_> {
    /// Leaves a step for after the commit. It runs on the writer thread, in the order of the jobs, and must be quick.
    pub fn after_commit(&mut self, step: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(step));
    }
}

impl std::ops::Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// When a job may be committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// As soon as the writer is free.
    Now,
    /// May wait for company.
    Delta,
}

/// Runs in the transaction, or learns why there is none; answers later, once it is known whether the commit held.
type Job = Box<dyn FnOnce(Result<&mut Write<'_>, &rusqlite::Error>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Urgency, Job)>,
    closed: bool,
    /// Since when the writer has been at a batch.
    busy: Option<Instant>,
    /// Why the last commit failed; gone with the next one that holds.
    failure: Option<String>,
}

/// What the writer is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriterState {
    /// How many jobs wait.
    pub waiting: usize,
    /// For how long it has been at the batch under way.
    pub busy: Option<Duration>,
    /// Why the last commit failed.
    pub failure: Option<String>,
}

/// The writer's mailbox and thread.
pub(super) struct Writer {
    shared: Arc<(Mutex<Queue>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread on a connection that is ready.
    pub fn start(connection: Connection, checkpointer: Checkpointer) -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn({
            let shared = Arc::clone(&shared);
            move || run(connection, &shared, checkpointer)
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a job and gives a receiver for its committed result.
    pub fn submit<T, E>(
        &self,
        urgency: Urgency,
        job: impl FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, E>>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let result = match transaction {
                Ok(write) => in_savepoint(write, job),
                Err(error) => Err(E::from(Error::Sqlite(copy(error)))),
            };
            Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(error) => result.and(Err(E::from(Error::Sqlite(copy(error))))),
                };
                // Nobody may be waiting any more; the change stands all the same.
                let _ = sender.send(result);
            })
        });
        let (queue, wake) = &*self.shared;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        // After the close the job is dropped, which the receiver sees.
        if !queue.closed {
            queue.jobs.push_back((urgency, job));
            wake.notify_one();
        }
        receiver
    }

    /// What it is doing now. Waits for nothing.
    pub fn state(&self) -> WriterState {
        let queue = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        WriterState { waiting: queue.jobs.len(), busy: queue.busy.map(|since| since.elapsed()), failure: queue.failure.clone() }
    }

    /// Commits what waits and ends the thread.
    pub fn close(&self) {
        let (queue, wake) = &*self.shared;
        queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        wake.notify_one();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(mut connection: Connection, shared: &(Mutex<Queue>, Condvar), mut checkpointer: Checkpointer) {
    let mut last_commit = Instant::now();
    while let Some(jobs) = next_batch(shared, last_commit) {
        let result = commit(&mut connection, jobs);
        let mut queue = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.busy = None;
        queue.failure = result.err().map(|error| error.to_string());
        drop(queue);
        last_commit = Instant::now();
        checkpointer.committed();
    }
    checkpointer.end();
    // Leaves one file behind instead of a file and its log.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// Waits for work: at once where a job is urgent, else until the deltas have waited long enough for company.
fn next_batch((queue, wake): &(Mutex<Queue>, Condvar), last_commit: Instant) -> Option<Vec<Job>> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let urgent = queue.closed || queue.jobs.len() >= BATCH || queue.jobs.iter().any(|(urgency, _)| *urgency == Urgency::Now);
        if queue.jobs.is_empty() {
            if queue.closed {
                return None;
            }
            queue = wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let waited = last_commit.elapsed();
        if urgent || waited >= DELTA_PAUSE {
            let count = queue.jobs.len().min(BATCH);
            queue.busy = Some(Instant::now());
            return Some(queue.jobs.drain(..count).map(|(_, job)| job).collect());
        }
        queue = wake.wait_timeout(queue, DELTA_PAUSE - waited).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Runs the jobs in one transaction. SQLite ends a transaction by itself when the disk is full or fails: the jobs before
/// that point are lost with it and are told so; those after it, which have not run, get a transaction of their own. Gives
/// the end of the last one.
fn commit(connection: &mut Connection, jobs: Vec<Job>) -> rusqlite::Result<()> {
    let mut jobs = VecDeque::from(jobs);
    let mut last = Ok(());
    while !jobs.is_empty() {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut after = Vec::new();
        let mut result = connection.execute_batch("BEGIN IMMEDIATE");
        match &result {
            Ok(()) => {
                while let Some(job) = jobs.pop_front() {
                    let mut write = Write { connection, after: Vec::new() };
                    answers.push(job(Ok(&mut write)));
                    if connection.is_autocommit() {
                        break;
                    }
                    after.append(&mut write.after);
                }
                result = if connection.is_autocommit() { Err(lost()) } else { connection.execute_batch("COMMIT") };
            }
            Err(error) => answers.extend(jobs.drain(..).map(|job| job(Err(error)))),
        }
        match &result {
            Ok(()) => {
                for step in after {
                    step();
                }
            }
            Err(error) => {
                tracing::error!(%error, "commit failed");
                if !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
            }
        }
        for answer in answers {
            answer(result.as_ref().copied());
        }
        last = result;
    }
    last
}

/// What jobs are told whose transaction has ended before it was committed.
fn lost() -> rusqlite::Error {
    let text = "the transaction was ended by the store: the disk is full or failing";
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), Some(text.to_owned()))
}

fn in_savepoint<T, E: From<Error>>(write: &mut Write<'_>, job: impl FnOnce(&mut Write<'_>) -> Result<T, E>) -> Result<T, E> {
    let run = |write: &Write<'_>, sql: &str| {
        write.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(|error| E::from(Error::Sqlite(error)))
    };
    run(write, "SAVEPOINT job")?;
    // A panic in one job must not take the writer, and so all sessions, with it.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(write)));
    let undone = match &result {
        Ok(Ok(_)) => run(write, "RELEASE job").err(),
        _ if write.is_autocommit() => None,
        _ => run(write, "ROLLBACK TO job").and_then(|_| run(write, "RELEASE job")).err(),
    };
    if undone.is_some() || !matches!(result, Ok(Ok(_))) {
        write.after.clear();
    }
    match (result, undone) {
        // The job's own error says more than what came of it.
        (Ok(Err(error)), _) => Err(error),
        (_, Some(error)) => Err(error),
        (Ok(Ok(value)), None) => Ok(value),
        (Err(_), None) => Err(E::from(Error::Sqlite(rusqlite::Error::InvalidQuery))),
    }
}

/// `rusqlite::Error` cannot be cloned; its code is what callers look at.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}
