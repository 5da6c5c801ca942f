//! The writer thread. All queued jobs are committed together as soon as the writer is free (group commit). A batch of
//! only deltas waits up to [`DELTA_DELAY`] for more of them. A job that fails rolls back only its own changes.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{SqliteRows, checkpoint::Checkpointer, cursors::Log};
use crate::store::Error;

/// How long after a commit the next batch of deltas is committed. A delta that arrives later is committed at once.
pub(super) const DELTA_DELAY: Duration = Duration::from_micros(4800);
/// The limit of jobs in one commit, so that the first of them does not wait too long.
const MAX_BATCH_JOBS: usize = 256;

/// How soon a job is committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// As soon as the writer is free.
    Now,
    Delta,
}

/// Runs in the transaction, or gets the error why there is none. Its answer is called with the result of the commit.
type Job = Box<dyn FnOnce(Result<&mut SqliteRows<'_>, &rusqlite::Error>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;

struct Queue {
    jobs: VecDeque<(Urgency, Job)>,
    closed: bool,
    delta_delay: Duration,
    last_commit: Instant,
    /// When the current batch began.
    busy: Option<Instant>,
    /// Why the last commit failed; cleared by the next success.
    failure: Option<String>,
}

impl Queue {
    fn new(delta_delay: Duration) -> Self {
        Self { jobs: VecDeque::new(), closed: false, delta_delay, last_commit: Instant::now(), busy: None, failure: None }
    }

    fn is_urgent(&self) -> bool {
        self.closed || self.jobs.len() >= MAX_BATCH_JOBS || self.jobs.iter().any(|(urgency, _)| *urgency == Urgency::Now)
    }
}

/// What the writer is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriterState {
    pub waiting: usize,
    /// How long the current batch has been running.
    pub busy: Option<Duration>,
    /// Why the last commit failed.
    pub failure: Option<String>,
}

/// The writer's queue and thread.
pub(super) struct Writer {
    shared: Arc<(Mutex<Queue>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. Deltas are delayed by at most `delta_delay`.
    pub fn start(connection: Connection, log: Arc<Log>, checkpointer: Checkpointer, delta_delay: Duration) -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::new(Queue::new(delta_delay)), Condvar::new()));
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&connection, &log, &shared, checkpointer)
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a job and returns a receiver for its result after the commit.
    pub fn submit<T: Send + 'static>(
        &self,
        urgency: Urgency,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, Error>> {
        let (sender, receiver) = oneshot::channel();
        // The caller may have stopped waiting; the change is committed all the same.
        self.queue(urgency, job, move |result| drop(sender.send(result)));
        receiver
    }

    /// Queues a job; `done` gets its result after the commit, on the writer's thread.
    pub fn queue<T: Send + 'static>(
        &self,
        urgency: Urgency,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        let job: Job = Box::new(move |transaction| {
            let result = match transaction {
                Ok(write) => run_job(write, job),
                Err(error) => Err(copy(error).into()),
            };
            Box::new(move |committed| {
                done(match committed {
                    Ok(()) => result,
                    Err(error) => result.and(Err(copy(error).into())),
                });
            })
        });
        let (queue, wake) = &*self.shared;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            // Dropping the job tells its caller. Not under the lock: its destructor may run arbitrary code.
            drop(queue);
            return;
        }
        queue.jobs.push_back((urgency, job));
        // The first delta has set the writer's timer: waking a thread costs as much as writing a delta.
        let must_wake = queue.jobs.len() == 1 || queue.is_urgent();
        drop(queue);
        if must_wake {
            wake.notify_one();
        }
    }

    /// Does not block.
    pub fn state(&self) -> WriterState {
        let queue = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        WriterState { waiting: queue.jobs.len(), busy: queue.busy.map(|since| since.elapsed()), failure: queue.failure.clone() }
    }

    /// Commits what is queued and ends the thread.
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

fn run(connection: &Connection, log: &Arc<Log>, shared: &(Mutex<Queue>, Condvar), mut checkpointer: Checkpointer) {
    while let Some(jobs) = next_batch(shared) {
        let result = commit(connection, log, jobs);
        let mut queue = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.busy = None;
        queue.failure = result.err().map(|error| error.to_string());
        queue.last_commit = Instant::now();
        drop(queue);
        checkpointer.committed();
    }
    checkpointer.end();
    // Leaves one file instead of a file and its log.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// Waits for jobs. Urgent ones are taken at once, deltas once the delay since the last commit is over.
fn next_batch((queue, wake): &(Mutex<Queue>, Condvar)) -> Option<Vec<Job>> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if queue.jobs.is_empty() && queue.closed {
            return None;
        }
        let delay = queue.delta_delay.saturating_sub(queue.last_commit.elapsed());
        if queue.jobs.is_empty() {
            queue = wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        } else if delay.is_zero() || queue.is_urgent() {
            let count = queue.jobs.len().min(MAX_BATCH_JOBS);
            let jobs = queue.jobs.drain(..count).map(|(_, job)| job).collect();
            queue.busy = Some(Instant::now());
            return Some(jobs);
        } else {
            queue = wake.wait_timeout(queue, delay).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Runs the jobs in one transaction. SQLite rolls back a transaction by itself when the disk is full or fails: the jobs
/// before that point get an error, and the rest run in another transaction. Returns the result of the last one.
fn commit(connection: &Connection, log: &Arc<Log>, jobs: Vec<Job>) -> rusqlite::Result<()> {
    let mut jobs = VecDeque::from(jobs);
    let mut last = Ok(());
    while !jobs.is_empty() {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut after = Vec::new();
        let alone = jobs.len() == 1;
        let mut result = execute(connection, "BEGIN IMMEDIATE");
        match &result {
            Ok(()) => {
                let mut undo = false;
                while let Some(job) = jobs.pop_front() {
                    let mut write = SqliteRows::new(connection, log, alone);
                    answers.push(job(Ok(&mut write)));
                    if connection.is_autocommit() {
                        break;
                    }
                    undo |= write.undo;
                    after.append(&mut write.after);
                }
                result = match (connection.is_autocommit(), undo) {
                    (true, _) => Err(lost()),
                    (false, true) => execute(connection, "ROLLBACK"),
                    (false, false) => execute(connection, "COMMIT"),
                };
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

/// Runs a cached statement.
fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// The error of jobs whose transaction SQLite has rolled back.
fn lost() -> rusqlite::Error {
    let text = "SQLite rolled back the transaction: the disk is full or failing";
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), Some(text.to_owned()))
}

/// Runs a job so that its failure rolls back its own changes and nothing else.
fn run_job<T>(rows: &mut SqliteRows<'_>, job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error>) -> Result<T, Error> {
    let (connection, alone) = (rows.connection, rows.alone);
    let run = |sql: &str| execute(connection, sql).map_err(Error::from);
    if !alone {
        run("SAVEPOINT job")?;
    }
    // A panic in a job must not end the writer, and with it all sessions.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(rows)));
    let rollback_error = match &result {
        _ if alone => None,
        Ok(Ok(_)) => run("RELEASE job").err(),
        _ if connection.is_autocommit() => None,
        _ => run("ROLLBACK TO job").and_then(|()| run("RELEASE job")).err(),
    };
    if rollback_error.is_some() || !matches!(result, Ok(Ok(_))) {
        rows.after.clear();
        rows.undo = alone;
    }
    match (result, rollback_error) {
        // The job's own error says more than a failed rollback.
        (Ok(Err(error)), _) => Err(error),
        (_, Some(error)) => Err(error),
        (Ok(Ok(value)), None) => Ok(value),
        (Err(_), None) => Err(rusqlite::Error::InvalidQuery.into()),
    }
}

/// `rusqlite::Error` is not `Clone`; callers look at its code.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}
