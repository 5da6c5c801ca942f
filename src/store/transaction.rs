//! The store as the rest of the daemon sees it: named transactions, and units of state changes and events.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use polytree_protocol::{
    diagnose_machine::DiagnosisRows,
    id::{PermissionId, QuestionId},
    permission::PermissionOutcome,
};

use super::{
    Error, InquiryEnd, Record, Rows, Unit,
    sqlite::{Database, Durability, ReadersState, SqliteRows, Urgency, WriterState, aside::SetAside},
};

type AnswerHook = dyn Fn(&PermissionId, PermissionOutcome, Option<String>) + Send + Sync;
type InquiryHook = dyn Fn(&QuestionId, &InquiryEnd) + Send + Sync;

/// Callbacks after a commit, on the thread that commits and in commit order. They must be quick.
#[derive(Default)]
pub(super) struct Hooks {
    record: OnceLock<Box<dyn Fn(Arc<Record>) + Send + Sync>>,
    answer: OnceLock<Box<AnswerHook>>,
    inquiry: OnceLock<Box<InquiryHook>>,
}

impl Hooks {
    pub fn record(&self, record: Arc<Record>) {
        if let Some(hook) = self.record.get() {
            hook(record);
        }
    }
}

pub struct Store {
    database: Database,
    hooks: Arc<Hooks>,
}

/// An open transaction.
pub(super) struct Transaction<'a> {
    pub rows: &'a mut dyn Rows,
    pub hooks: &'a Arc<Hooks>,
}

impl Transaction<'_> {
    /// Calls the answer hook after the commit.
    pub fn answer(&mut self, id: PermissionId, outcome: PermissionOutcome, message: Option<String>) {
        let hooks = Arc::clone(self.hooks);
        self.rows.after_commit(Box::new(move || {
            if let Some(hook) = hooks.answer.get() {
                hook(&id, outcome, message);
            }
        }));
    }
}

impl Transaction<'_> {
    /// Calls the hook of inquiries after the commit.
    pub fn end_inquiry(&mut self, id: QuestionId, end: InquiryEnd) {
        let hooks = Arc::clone(self.hooks);
        self.rows.after_commit(Box::new(move || {
            if let Some(hook) = hooks.inquiry.get() {
                hook(&id, &end);
            }
        }));
    }
}

impl Store {
    /// Opens the store, or creates it. A damaged store is set aside and a new one created.
    ///
    /// # Errors
    /// [`Error::Newer`], [`Error::Foreign`] and [`Error::Locked`], which leave the store unchanged; or the error of the
    /// database.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        let hooks = Arc::<Hooks>::default();
        let announced = Arc::clone(&hooks);
        let database = Database::open(path, durability, Arc::new(move |record| announced.record(record)))?;
        Ok(Self { database, hooks })
    }

    /// Sets the callback for every committed event. Called once.
    pub fn on_record(&self, hook: impl Fn(Arc<Record>) + Send + Sync + 'static) {
        let _ = self.hooks.record.set(Box::new(hook));
    }

    /// Sets the callback for every committed answer to a permission question. Called once.
    pub fn on_answer(&self, hook: impl Fn(&PermissionId, PermissionOutcome, Option<String>) + Send + Sync + 'static) {
        let _ = self.hooks.answer.set(Box::new(hook));
    }

    /// Sets the callback for every committed end of an inquiry. Called once.
    pub fn on_inquiry_end(&self, hook: impl Fn(&QuestionId, &InquiryEnd) + Send + Sync + 'static) {
        let _ = self.hooks.inquiry.set(Box::new(hook));
    }

    /// Commits a unit.
    pub async fn commit(&self, unit: Unit) -> Result<(), Error> {
        self.write(|transaction| transaction.apply(unit)).await
    }

    /// Commits deltas of a stream; the commit may be delayed by up to 5 ms to group it with others.
    pub async fn commit_delta(&self, unit: Unit) -> Result<(), Error> {
        let hooks = Arc::clone(&self.hooks);
        self.database.write_delta(move |rows| Transaction { rows, hooks: &hooks }.apply(unit)).await
    }

    /// Queues a commit without waiting. The writer calls `gather` for the unit, and `done` after the commit; both run
    /// on the writer's thread and are dropped if the store is closed. `delta` as in [`Store::commit_delta`].
    pub fn commit_later(
        &self,
        delta: bool,
        gather: impl FnOnce() -> Unit + Send + 'static,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let hooks = Arc::clone(&self.hooks);
        let job = move |rows: &mut SqliteRows<'_>| Transaction { rows, hooks: &hooks }.apply(gather());
        self.database.queue(if delta { Urgency::Delta } else { Urgency::Now }, job, done);
    }

    /// Runs a rule in a write transaction and returns after the commit. Transactions run in the order of the calls.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let hooks = Arc::clone(&self.hooks);
        self.database.write(move |rows| rule(&mut Transaction { rows, hooks: &hooks })).await
    }

    /// Runs a rule on one snapshot of the committed state. Never waits for the writer.
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
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.database.set_aside()
    }

    /// The damage that was found while the store was in use, if any. From then on every write fails.
    pub fn damage(&self) -> Option<String> {
        self.database.damage()
    }

    /// Waits until damage is found.
    pub async fn wait_for_damage(&self) {
        self.database.wait_for_damage().await;
    }

    /// Checks the integrity of a store that was too large to be checked when it was opened, for at most some seconds.
    ///
    /// # Errors
    /// [`Error::Damaged`], or when the store cannot be read.
    pub async fn check_integrity(&self) -> Result<(), Error> {
        self.database.check_integrity().await
    }

    /// Frees the page caches of the connections.
    pub async fn shrink(&self) {
        self.database.shrink().await;
    }

    /// The numbers of rows and bytes.
    pub async fn counts(&self) -> Result<DiagnosisRows, Error> {
        self.database.counts().await
    }

    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// What the writer and the readers are doing. Does not block.
    pub fn state(&self) -> (WriterState, ReadersState) {
        self.database.state()
    }

    /// Commits what is queued, then refuses all calls.
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
