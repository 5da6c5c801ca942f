//! An open database: runs jobs on the writer and the readers, each in a transaction.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use polytree_protocol::diagnose_machine::DiagnosisRows;
use rusqlite::Connection;

use super::{
    SqliteRows,
    aside::{self, SetAside},
    checkpoint::{self, Checkpointer},
    cursors::{Announce, Log},
    damage::{self, Damage},
    error,
    integrity::{self, CheckResult},
    migrations,
    readers::{Readers, ReadersState},
    size,
    writer::{DELTA_DELAY, Urgency, Writer, WriterState},
};
use crate::{
    stdx::{tasks::Tasks, text::one_line},
    store::Error,
};

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A crash of the process (WAL, synchronous = NORMAL). A power failure may lose the last second, but never
    /// consistency.
    #[default]
    Process,
    /// A power failure too (synchronous = FULL).
    Power,
}

pub struct Database {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
    log: Arc<Log>,
    damage: Arc<Damage>,
    aside: Option<SetAside>,
}

/// The time limit of a check while the store is in use.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

impl Database {
    /// Opens or creates the store (mode 0600) and runs migrations. A damaged store is set aside and a new one created,
    /// see [`Database::set_aside`].
    ///
    /// # Errors
    /// [`Error::Newer`], [`Error::Foreign`] and [`Error::Locked`], which leave the store unchanged; or SQLite's error.
    pub fn open(path: &Path, durability: Durability, announce: Announce) -> Result<Self, Error> {
        Self::open_with_delay(path, durability, announce, DELTA_DELAY)
    }

    /// Announces nothing.
    #[cfg(test)]
    pub fn open_alone(path: &Path, durability: Durability) -> Result<Self, Error> {
        Self::open(path, durability, Arc::new(|_| {}))
    }

    fn open_with_delay(path: &Path, durability: Durability, announce: Announce, delta_delay: Duration) -> Result<Self, Error> {
        let aside = damage::at_start(path)?.map(|problem| aside::set_aside(path, &problem)).transpose()?;
        let mut opened = match Self::open_intact(path, durability, Arc::clone(&announce), delta_delay) {
            Err(error) if aside.is_none() && error.is_damage() => {
                let aside = aside::set_aside(path, &error.to_string())?;
                Self { aside: Some(aside), ..Self::open_intact(path, durability, announce, delta_delay)? }
            }
            opened => opened?,
        };
        damage::clear_suspicion(path);
        opened.aside = opened.aside.or(aside);
        Ok(opened)
    }

    fn open_intact(path: &Path, durability: Durability, announce: Announce, delta_delay: Duration) -> Result<Self, Error> {
        let opening = |error| error::opening(path, error);
        create_private(path)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(damage::LOCK_TIMEOUT)?;
        let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(opening)?;
        migrations::check(path, found as usize)?;
        let synchronous = match durability {
            Durability::Process => "NORMAL",
            Durability::Power => "FULL",
        };
        let settings = format!(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304; PRAGMA wal_autocheckpoint = 16384;"
        );
        connection.execute_batch(&settings).map_err(opening)?;
        connection.set_prepared_statement_cache_capacity(64);
        if found as usize != migrations::KNOWN {
            migrations::run(&mut connection)?;
        }
        // Reports now, and not at the first prompt, that another program holds the lock. If the disk is not writable,
        // the store can still be read.
        match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK;").map_err(opening) {
            Err(error @ Error::Locked { .. }) => return Err(error),
            Err(error) if error.is_damage() => return Err(error),
            _ => {}
        }
        connection.execute_batch("PRAGMA foreign_keys = ON;")?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let log = Arc::new(Log::open(&connection, announce));
        let writer = Writer::start(connection, Arc::clone(&log), Checkpointer::new(path.to_owned()), delta_delay)
            .map_err(|source| Error::File { path: path.to_owned(), source })?;
        let damage = Arc::new(Damage::none(path));
        Ok(Self { path: path.to_owned(), writer, readers: Readers::new(path.to_owned()), log, damage, aside: None })
    }

    /// The damaged store that was set aside when this one was opened.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.aside.as_ref()
    }

    /// The damage that was found while the store was in use, if any. From then on every write fails.
    pub fn damage(&self) -> Option<String> {
        self.damage.found()
    }

    /// Waits until damage is found.
    pub async fn wait_for_damage(&self) {
        self.damage.appears().await;
    }

    /// Checks the integrity of a store that was too large to be checked when it was opened, for at most some seconds.
    ///
    /// # Errors
    /// [`Error::Damaged`], or when the store cannot be read.
    pub async fn check_integrity(&self) -> Result<(), Error> {
        if std::fs::metadata(&self.path).is_ok_and(|store| store.len() <= damage::SMALL_STORE_BYTES) {
            return Ok(());
        }
        let path = self.path.clone();
        self.read(move |rows| match integrity::quick(rows.connection, CHECK_TIMEOUT)? {
            CheckResult::Damaged(problem) => Err(Error::Damaged { path, problem: one_line(&problem, 300) }),
            CheckResult::Intact | CheckResult::TimedOut => Ok(()),
        })
        .await
    }

    /// Runs the job in the writer's transaction and returns after the commit. Jobs run in the order of the calls.
    ///
    /// # Errors
    /// The job's error, which rolls back its changes; or when the commit fails or the store is closed.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // Queued before the first await, so that the order of calls is the order of commits.
        self.committed(self.writer.submit(Urgency::Now, self.checked(job)).await)
    }

    /// Like [`Database::write`], for deltas of a stream: the commit may be delayed by up to 5 ms to group it with
    /// others.
    pub async fn write_delta<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.committed(self.writer.submit(Urgency::Delta, self.checked(job)).await)
    }

    /// Wraps the job so that it fails if damage was found before, and records damage that it finds.
    fn checked<T>(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static {
        let damage = Arc::clone(&self.damage);
        move |rows| {
            damage.check()?;
            job(rows).inspect_err(|error| damage.inspect(error))
        }
    }

    fn committed<T>(&self, answer: Result<Result<T, Error>, tokio::sync::oneshot::error::RecvError>) -> Result<T, Error> {
        answer.unwrap_or(Err(Error::Closed)).inspect_err(|error| self.damage.inspect(error))
    }

    /// Like [`Database::write`], without waiting: once it is committed, `done` is called with the result, on the writer's
    /// thread, so it must be quick. It is dropped without a call where the store is closed.
    pub fn queue(
        &self,
        urgency: Urgency,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<(), Error> + Send + 'static,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let damage = Arc::clone(&self.damage);
        self.writer.queue(urgency, self.checked(job), move |result| done(result.inspect_err(|error| damage.inspect(error))));
    }

    /// Runs the job on one snapshot of the committed state. Never waits for the writer.
    ///
    /// # Errors
    /// The job's error, or when the store cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (damage, log) = (Arc::clone(&self.damage), Arc::clone(&self.log));
        self.readers.submit(Box::new(move |connection| {
            let result = connection.and_then(|connection| job(&SqliteRows::new(connection, &log, true)));
            let _ = sender.send(result.inspect_err(|error| damage.inspect(error)));
        }));
        receiver.await.unwrap_or(Err(Error::Closed))
    }

    /// The numbers of rows and bytes.
    pub async fn counts(&self) -> Result<DiagnosisRows, Error> {
        self.read(|rows| size::counts(rows.connection)).await
    }

    /// The newest cursor that may have been assigned.
    pub fn newest_cursor(&self) -> u64 {
        self.log.newest()
    }

    /// Frees the page caches of the connections.
    pub async fn shrink(&self) {
        const SHRINK: &str = "PRAGMA shrink_memory";
        let read = || self.read(|rows| Ok(rows.connection.execute_batch(SHRINK)?));
        // A failure only means that memory is not freed.
        let _ = tokio::join!(self.write(|rows| Ok(rows.connection.execute_batch(SHRINK)?)), read(), read());
    }

    /// Writes what was committed into the file, which gives free pages at its end back to the file system. Others do not
    /// wait for it; a failure leaves that to the next checkpoint.
    pub async fn checkpoint(&self) {
        let path = self.path.clone();
        let checkpointed = Tasks::spawn_blocking(move || checkpoint::checkpoint(&path)).await;
        if let Ok(Err(error)) = checkpointed {
            tracing::warn!(%error, "checkpoint");
        }
    }

    /// Runs statements in a transaction of the writer.
    #[cfg(test)]
    pub async fn execute(&self, statements: String) -> Result<(), Error> {
        self.write(move |rows| Ok(rows.connection.execute_batch(&statements)?)).await
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the writer and the readers are doing. Does not block.
    pub fn state(&self) -> (WriterState, ReadersState) {
        (self.writer.state(), self.readers.state())
    }

    /// Commits what is queued, then refuses all jobs.
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

/// The store contains conversations: it is created with its final mode, so that no other user can read it even for a
/// moment.
fn create_private(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
