//! What a job gets: a connection in a transaction, and a list of what to do once that is committed.

use std::sync::Arc;

use rusqlite::Connection;

use super::cursors::Log;
use crate::store::rows::Rows;

/// A step for after the commit.
pub(super) type After = Box<dyn FnOnce() + Send>;

/// The rows of the store in an open transaction. Those of a reader never change.
pub(crate) struct SqliteRows<'a> {
    pub(super) connection: &'a Connection,
    pub(super) log: &'a Arc<Log>,
    pub(super) after: Vec<After>,
    /// The transaction is this job's alone: what it takes back is all of it, and it needs no savepoint.
    pub(super) alone: bool,
    /// The transaction must be taken back.
    pub(super) undo: bool,
}

impl<'a> SqliteRows<'a> {
    pub(super) fn new(connection: &'a Connection, log: &'a Arc<Log>, alone: bool) -> Self {
        Self { connection, log, after: Vec::new(), alone, undo: false }
    }
}

impl Rows for SqliteRows<'_> {
    fn after_commit(&mut self, step: Box<dyn FnOnce() + Send>) {
        self.after.push(step);
    }
}
