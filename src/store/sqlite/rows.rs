//! What a job gets: a connection in a transaction, and a list of steps to run after the commit.

use std::sync::Arc;

use polytree_protocol::id::InvalidId;
use rusqlite::{Connection, Params};

use super::cursors::Log;
use crate::store::{Error, rows::Rows};

/// A step to run after the commit.
pub(super) type After = Box<dyn FnOnce() + Send>;

/// The rows of the store in an open transaction.
pub(crate) struct SqliteRows<'a> {
    pub(super) connection: &'a Connection,
    pub(super) log: &'a Arc<Log>,
    pub(super) after: Vec<After>,
    /// The job is the only one in the transaction, so it needs no savepoint.
    pub(super) alone: bool,
    /// The transaction must be rolled back.
    pub(super) undo: bool,
}

impl<'a> SqliteRows<'a> {
    pub(super) fn new(connection: &'a Connection, log: &'a Arc<Log>, alone: bool) -> Self {
        Self { connection, log, after: Vec::new(), alone, undo: false }
    }

    /// The ids in the first column of a query. Text that is not an id is skipped.
    pub(super) fn ids<T>(&self, query: &str, values: impl Params, parse: fn(&str) -> Result<T, InvalidId>) -> Result<Vec<T>, Error> {
        let mut statement = self.connection.prepare_cached(query)?;
        let ids = statement.query_map(values, |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        Ok(ids.iter().filter_map(|id| parse(id).ok()).collect())
    }
}

impl Rows for SqliteRows<'_> {
    fn after_commit(&mut self, step: Box<dyn FnOnce() + Send>) {
        self.after.push(step);
    }
}
