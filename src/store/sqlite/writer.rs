//! The writer thread. All queued jobs are committed together as soon as the writer is free (group commit); a batch of
//! only deltas is delayed a little, so that it grows. A job that fails rolls back only its own changes.
//!
//! Waking a thread costs as much as writing a delta. So during a stream the writer sets a timer for the moment at
//! which, going by the last gap, the next deltas will be due; deltas that arrive at that pace need no wake-up.

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

/// How long a delta is delayed that arrives within this time after a commit. One that arrives later is not delayed.
pub(super) const DELTA_DELAY: Duration = Duration::from_micros(4800);
/// How much longer a delta may be delayed if that saves a wake-up.
const TIMER_TOLERANCE: Duration = Duration::from_micros(200);
/// How much earlier deltas are committed when the timer has fired: saving a wake-up is worth more than a larger batch.
const EARLY_COMMIT: Duration = Duration::from_millis(1);
/// How much earlier than predicted the timer is set: a delta that arrives sooner than predicted needs a wake-up.
const PREDICTION_MARGIN: Duration = Duration::from_micros(400);
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
    /// When the oldest queued delta arrived.
    oldest_delta: Option<Instant>,
    last_commit: Instant,
    /// When the writer's timer fires.
    timer: Option<Instant>,
    /// When the current batch began.
    busy: Option<Instant>,
    /// Why the last commit failed; cleared by the next success.
    failure: Option<String>,
}

impl Queue {
    fn new(delta_delay: Duration) -> Self {
        let last_commit = Instant::now();
        Self { jobs: VecDeque::new(), closed: false, delta_delay, oldest_delta: None, last_commit, timer: None, busy: None, failure: None }
    }

    fn push(&mut self, urgency: Urgency, job: Job) {
        if urgency == Urgency::Delta {
            self.oldest_delta.get_or_insert_with(Instant::now);
        }
        self.jobs.push_back((urgency, job));
    }

    fn is_urgent(&self) -> bool {
        self.closed || self.jobs.len() >= MAX_BATCH_JOBS || self.jobs.iter().any(|(urgency, _)| *urgency == Urgency::Now)
    }

    /// The time between the last commit and the oldest queued delta.
    fn gap(&self) -> Option<Duration> {
        self.oldest_delta.map(|since| since.saturating_duration_since(self.last_commit))
    }

    /// When the queued deltas are to be committed.
    fn due(&self) -> Option<Instant> {
        let wait = if self.gap()? < self.delta_delay { self.delta_delay } else { Duration::ZERO };
        self.oldest_delta.map(|since| since + wait)
    }

    /// Whether the timer fires in time, so that no wake-up is needed.
    fn timer_suffices(&self) -> bool {
        let in_time = |(timer, due)| timer <= due + TIMER_TOLERANCE;
        !self.is_urgent() && self.timer.zip(self.due()).is_some_and(in_time)
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
        queue.push(urgency, job);
        let timer_suffices = queue.timer_suffices();
        drop(queue);
        if !timer_suffices {
            wake.notify_one();
        }
    }

    /// Does not block.
    pub fn state(&self) -> WriterState {
        let queue = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        WriterState { waiting: queue.jobs.len(), busy: queue.busy.map(|since| since.elapsed()), failure: queue.failure.clone() }
    }

    /// Whether the timer is set.
    #[cfg(test)]
    pub fn timer(&self) -> bool {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).timer.is_some()
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
    let mut gap = None;
    while let Some(jobs) = next_batch(shared, &mut gap) {
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

/// Waits for the next batch: returns at once if a job is urgent, otherwise when the deltas are due. `gap` is the last
/// time between a commit and the next delta, if it was short enough for a delay.
fn next_batch((queue, wake): &(Mutex<Queue>, Condvar), gap: &mut Option<Duration>) -> Option<Vec<Job>> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut early = Duration::ZERO;
    loop {
        if queue.jobs.is_empty() && queue.closed {
            return None;
        }
        let (now, urgent, due) = (Instant::now(), queue.is_urgent(), queue.due());
        if urgent || due.is_some_and(|due| due <= now + early) {
            *gap = queue.gap().filter(|gap| *gap < queue.delta_delay);
            let count = queue.jobs.len().min(MAX_BATCH_JOBS);
            let jobs = queue.jobs.drain(..count).map(|(_, job)| job).collect();
            // What exceeds a batch follows right after it.
            queue.oldest_delta = (!queue.jobs.is_empty()).then_some(now);
            queue.busy = Some(now);
            return Some(jobs);
        }
        let expected = gap.map(|gap| queue.last_commit + gap.saturating_sub(PREDICTION_MARGIN) + queue.delta_delay);
        queue.timer = due.or(expected).filter(|at| *at > now);
        (queue, early) = match queue.timer {
            Some(at) => {
                let (queue, waited) = wake.wait_timeout(queue, at - now).unwrap_or_else(PoisonError::into_inner);
                (queue, if waited.timed_out() { EARLY_COMMIT } else { Duration::ZERO })
            }
            None => (wake.wait(queue).unwrap_or_else(PoisonError::into_inner), Duration::ZERO),
        };
        queue.timer = None;
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
