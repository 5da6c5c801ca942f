//! The store as the rest of the daemon sees it: named transactions, and units of facts and events.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use polytree_protocol::{id::PermissionId, permission::PermissionOutcome};

use super::{
    Error, Record, Rows, Unit,
    sqlite::{Database, Durability, ReadersState, SqliteRows, WriterState, aside::SetAside, size::Counts},
};

type AnswerHook = dyn Fn(&PermissionId, PermissionOutcome, Option<String>) + Send + Sync;

/// Who is told, on the thread that commits and in the order of the commits, what was committed. They must be quick.
#[derive(Default)]
pub(super) struct Hooks {
    record: OnceLock<Box<dyn Fn(Arc<Record>) + Send + Sync>>,
    answer: OnceLock<Box<AnswerHook>>,
}

impl Hooks {
    pub fn record(&self, record: Arc<Record>) {
        if let Some(hook) = self.record.get() {
            hook(record);
        }
    }
}

/// The store.
pub struct Store {
    database: Database,
    hooks: Arc<Hooks>,
}

/// An open transaction: what its rules read and change.
pub(super) struct Transaction<'a> {
    pub rows: &'a mut dyn Rows,
    pub hooks: &'a Arc<Hooks>,
}

impl Transaction<'_> {
    /// Has those told who wait for an answer, once it is committed.
    pub fn answer(&mut self, id: PermissionId, outcome: PermissionOutcome, message: Option<String>) {
        let hooks = Arc::clone(self.hooks);
        self.rows.after_commit(Box::new(move || {
            if let Some(hook) = hooks.answer.get() {
                hook(&id, outcome, message);
            }
        }));
    }
}

impl Store {
    /// Opens the store, and creates it where there is none. A damaged one is set aside and a new one created.
    ///
    /// # Errors
    /// [`Error::Newer`], [`Error::Foreign`] and [`Error::Locked`] for a store that is left untouched; others as the database
    /// says.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        let hooks = Arc::<Hooks>::default();
        let announced = Arc::clone(&hooks);
        let database = Database::open(path, durability, Arc::new(move |record| announced.record(record)))?;
        Ok(Self { database, hooks })
    }

    /// Announces every committed event. Set once.
    pub fn on_record(&self, hook: impl Fn(Arc<Record>) + Send + Sync + 'static) {
        let _ = self.hooks.record.set(Box::new(hook));
    }

    /// Announces every committed answer to a permission question. Set once.
    pub fn on_answer(&self, hook: impl Fn(&PermissionId, PermissionOutcome, Option<String>) + Send + Sync + 'static) {
        let _ = self.hooks.answer.set(Box::new(hook));
    }

    /// Commits a unit.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn commit(&self, unit: Unit) -> Result<(), Error> {
        self.write(|transaction| transaction.apply(unit)).await
    }

    /// The same for the deltas of a stream: the commit may wait up to 5 ms for company.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn commit_delta(&self, unit: Unit) -> Result<(), Error> {
        let hooks = Arc::clone(&self.hooks);
        self.database.write_delta(move |rows| Transaction { rows, hooks: &hooks }.apply(unit)).await
    }

    /// Commits, without waiting, the unit that `gather` gives when the writer comes to it. Then `done` is called on the
    /// writer's thread; it is dropped without a call where the store is closed. `delta` as in [`Store::commit_delta`].
    pub fn commit_later(
        &self,
        delta: bool,
        gather: impl FnOnce() -> Unit + Send + 'static,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let hooks = Arc::clone(&self.hooks);
        let job = move |rows: &mut SqliteRows<'_>| Transaction { rows, hooks: &hooks }.apply(gather());
        if delta { self.database.queue_delta(job, done) } else { self.database.queue(job, done) }
    }

    /// Runs a rule in a transaction of the one writer; returns once that is committed. In the order of the calls.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let hooks = Arc::clone(&self.hooks);
        self.database.write(move |rows| rule(&mut Transaction { rows, hooks: &hooks })).await
    }

    /// Reads from one snapshot of what is committed. Never waits for the writer.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&dyn Rows) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.read(move |rows| rule(rows)).await
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// The damaged store that was set aside when this one was opened.
    #[must_use]
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.database.set_aside()
    }

    /// What is wrong with the store, if it has shown damage while it was in use: from then on every write fails.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        self.database.damage()
    }

    /// Waits until the store shows damage.
    pub async fn is_damaged(&self) {
        self.database.is_damaged().await;
    }

    /// Looks through a store that was too large to be looked through when it was opened, for at most some seconds. What is
    /// found counts like damage that a read meets.
    ///
    /// # Errors
    /// [`Error::Damaged`], or when the store cannot be read.
    pub async fn look_through(&self) -> Result<(), Error> {
        self.database.look_through().await
    }

    /// Frees what the connections keep of pages that were read.
    pub async fn shrink(&self) {
        self.database.shrink().await;
    }

    /// How much is in it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.database.counts().await
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// What the writer and the readers are doing now. Waits for nothing.
    #[must_use]
    pub fn state(&self) -> (WriterState, ReadersState) {
        self.database.state()
    }

    /// Commits what waits, then refuses everything.
    pub fn close(&self) {
        self.database.close();
    }

    /// Runs statements, for tests that need a store in a certain state.
    #[cfg(test)]
    pub(crate) async fn execute(&self, statements: &str) -> Result<(), Error> {
        self.database.execute(statements.to_owned()).await
    }

    /// Keeps the writer, or a reader, until the sender is dropped.
    #[cfg(test)]
    pub(crate) async fn hold(&self, writer: bool, until: std::sync::mpsc::Receiver<()>) -> Result<(), Error> {
        let wait = move || {
            let _ = until.recv();
            Ok(())
        };
        if writer { self.write(move |_| wait()).await } else { self.read(move |_| wait()).await }
    }
}
