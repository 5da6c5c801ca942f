//! An open database: jobs for its writer and its readers, each in a transaction.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::Connection;

use super::{
    SqliteRows,
    aside::{self, SetAside},
    checkpoint::Checkpointer,
    cursors::{Announce, Log},
    damage::{self, Damage},
    error,
    integrity::{self, Looked},
    migrations,
    readers::{Readers, ReadersState},
    size::{self, Counts},
    writer::{DELTA_DELAY, Urgency, Writer, WriterState},
};
use crate::{stdx::text::one_line, store::Error};

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of the process (WAL, synchronous = NORMAL); a power cut may cost the last second, never consistency.
    #[default]
    Process,
    /// A power cut too (synchronous = FULL).
    Power,
}

/// An open store.
pub struct Database {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
    log: Arc<Log>,
    damage: Arc<Damage>,
    aside: Option<SetAside>,
}

/// For how long the store is looked through while it is in use.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

impl Database {
    /// Opens the store, creates it where there is none (mode 0600), and brings its tables up to date. A damaged one is set
    /// aside and a new one created, see [`Database::set_aside`].
    ///
    /// # Errors
    /// [`Error::Newer`], [`Error::Foreign`] and [`Error::Locked`] for a store that is left untouched; others as SQLite says.
    pub fn open(path: &Path, durability: Durability, announce: Announce) -> Result<Self, Error> {
        Self::open_paced(path, durability, announce, DELTA_DELAY)
    }

    /// Announces nothing.
    #[cfg(test)]
    pub fn open_alone(path: &Path, durability: Durability) -> Result<Self, Error> {
        Self::open(path, durability, Arc::new(|_| {}))
    }

    fn open_paced(path: &Path, durability: Durability, announce: Announce, delta_delay: Duration) -> Result<Self, Error> {
        let aside = damage::at_start(path)?.map(|problem| aside::set_aside(path, &problem)).transpose()?;
        let mut opened = match Self::open_whole(path, durability, Arc::clone(&announce), delta_delay) {
            Err(error) if aside.is_none() && error.is_damage() => {
                let aside = aside::set_aside(path, &error.to_string())?;
                Self { aside: Some(aside), ..Self::open_whole(path, durability, announce, delta_delay)? }
            }
            opened => opened?,
        };
        damage::settled(path);
        opened.aside = opened.aside.or(aside);
        Ok(opened)
    }

    fn open_whole(path: &Path, durability: Durability, announce: Announce, delta_delay: Duration) -> Result<Self, Error> {
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
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304; PRAGMA wal_autocheckpoint = 16384;"
        );
        connection.execute_batch(&settings).map_err(opening)?;
        connection.set_prepared_statement_cache_capacity(64);
        if found as usize != migrations::KNOWN {
            migrations::run(&mut connection)?;
        }
        // Whether another program holds the lock is told now, not to the first prompt. Where the disk cannot be written
        // everything can still be read.
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
    #[must_use]
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.aside.as_ref()
    }

    /// What is wrong with the store, if it has shown damage while it was in use: from then on every write fails.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        self.damage.found()
    }

    /// Waits until the store shows damage.
    pub async fn is_damaged(&self) {
        self.damage.appears().await;
    }

    /// Looks through a store that was too large to be looked through when it was opened, for at most some seconds. What is
    /// found counts like damage that a read meets.
    ///
    /// # Errors
    /// [`Error::Damaged`], or when the store cannot be read.
    pub async fn look_through(&self) -> Result<(), Error> {
        if std::fs::metadata(&self.path).is_ok_and(|store| store.len() <= damage::SMALL) {
            return Ok(());
        }
        let path = self.path.clone();
        self.read(move |rows| match integrity::quick(rows.connection, CHECK_TIMEOUT)? {
            Looked::Broken(problem) => Err(Error::Damaged { path, problem: one_line(&problem, 300) }),
            Looked::Whole | Looked::Unfinished => Ok(()),
        })
        .await
    }

    /// Runs the job in the writer's transaction and returns once it is committed. Jobs run in the order of the calls.
    ///
    /// # Errors
    /// The job's own error takes its changes back; also when the commit fails or the store is closed.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // Queued before the first await: the order of calls is the order of commits.
        self.committed(self.writer.submit(Urgency::Now, self.careful(job)).await)
    }

    /// Like [`Database::write`], for the deltas of a stream: the commit may wait up to 5 ms for company.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn write_delta<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.committed(self.writer.submit(Urgency::Delta, self.careful(job)).await)
    }

    /// The job, which is not run on a store that has shown damage.
    fn careful<T>(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> impl FnOnce(&mut SqliteRows<'_>) -> Result<T, Error> + Send + 'static {
        let damage = Arc::clone(&self.damage);
        move |rows| {
            damage.check()?;
            job(rows).inspect_err(|error| damage.look(error))
        }
    }

    fn committed<T>(&self, answer: Result<Result<T, Error>, tokio::sync::oneshot::error::RecvError>) -> Result<T, Error> {
        answer.unwrap_or(Err(Error::Closed)).inspect_err(|error| self.damage.look(error))
    }

    /// Like [`Database::write`], without waiting: once it is committed, `done` is called with the result, on the writer's
    /// thread, so it must be quick. It is dropped without a call where the store is closed.
    pub fn queue(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<(), Error> + Send + 'static,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        self.queue_as(Urgency::Now, job, done);
    }

    /// The same for the deltas of a stream, as [`Database::write_delta`].
    pub fn queue_delta(
        &self,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<(), Error> + Send + 'static,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        self.queue_as(Urgency::Delta, job, done);
    }

    fn queue_as(
        &self,
        urgency: Urgency,
        job: impl FnOnce(&mut SqliteRows<'_>) -> Result<(), Error> + Send + 'static,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let damage = Arc::clone(&self.damage);
        self.writer.queue(urgency, self.careful(job), move |result| done(result.inspect_err(|error| damage.look(error))));
    }

    /// Runs the job on one snapshot of what is committed. Never waits for the writer.
    ///
    /// # Errors
    /// The job's own, or when the store cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&SqliteRows<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (damage, log) = (Arc::clone(&self.damage), Arc::clone(&self.log));
        self.readers.submit(Box::new(move |connection| {
            let result = connection.and_then(|connection| job(&SqliteRows::new(connection, &log, true)));
            let _ = sender.send(result.inspect_err(|error| damage.look(error)));
        }));
        receiver.await.unwrap_or(Err(Error::Closed))
    }

    /// How much is in it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.read(|rows| size::counts(rows.connection)).await
    }

    /// The newest cursor that may have been given.
    #[must_use]
    pub fn newest_cursor(&self) -> u64 {
        self.log.newest()
    }

    /// Frees what the connections keep of pages that were read, where it can be done without waiting for much.
    pub async fn shrink(&self) {
        const SHRINK: &str = "PRAGMA shrink_memory";
        let read = || self.read(|rows| Ok(rows.connection.execute_batch(SHRINK)?));
        // What cannot be freed is kept, as it would be without this.
        let _ = tokio::join!(self.write(|rows| Ok(rows.connection.execute_batch(SHRINK)?)), read(), read());
    }

    /// Runs statements in a transaction of the writer.
    #[cfg(test)]
    pub async fn execute(&self, statements: String) -> Result<(), Error> {
        self.write(move |rows| Ok(rows.connection.execute_batch(&statements)?)).await
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the writer and the readers are doing now. Waits for nothing.
    #[must_use]
    pub fn state(&self) -> (WriterState, ReadersState) {
        (self.writer.state(), self.readers.state())
    }

    /// Commits what waits, then refuses everything.
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

/// The store holds conversations: nobody else may read it, also not for the moment between creation and `chmod`.
fn create_private(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
