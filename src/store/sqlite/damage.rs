//! Detects damage, and distinguishes a damaged store from one of another program, of a newer version, or one that is
//! locked. Checked when a store is opened and at every error while it is in use. From the first sign of damage on
//! nothing is written, so that no confirmed write is lost.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    aside::beside,
    error::opening,
    integrity::{self, CheckResult},
    migrations,
};
use crate::{
    stdx::text::one_line,
    store::{Error, Fault},
};

/// Stores up to this size are checked at every start, which takes some milliseconds.
pub(super) const SMALL_STORE_BYTES: u64 = 4 << 20;
/// The time limit of a check at the start; a daemon must answer within seconds.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long opening waits while another program holds the lock.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Counts all tables, and those that every version of the store has.
const COUNT_TABLES: &str =
    "SELECT count(*), count(CASE WHEN name IN ('meta', 'session', 'event') THEN 1 END) FROM sqlite_schema WHERE type = 'table'";

/// Checks a store before it is opened, and returns what is damaged. Never writes to a store that needs no recovery.
///
/// # Errors
/// When the store is intact and still cannot be used: it is foreign, of a newer version, or cannot be read.
pub(super) fn examine(path: &Path) -> Result<Option<String>, Error> {
    let length = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    };
    let size = length(path)?;
    if size == 0 {
        // SQLite would treat the store as new and delete the log.
        let has_log = length(&beside(path, "-wal"))? > 0;
        return Ok(has_log.then(|| "the file is empty, but its log is not".to_owned()));
    }
    // Rolling back a transaction that was interrupted by a crash needs write access.
    let has_hot_journal = length(&beside(path, "-journal"))? > 0;
    let found = if has_hot_journal { Connection::open(path).map_err(Error::from) } else { integrity::open(path) }.and_then(|connection| {
        connection.busy_timeout(LOCK_TIMEOUT)?;
        look(path, &connection, size)
    });
    match found {
        Err(Error::Engine { fault: Fault::Damage, message }) => Ok(Some(one_line(&message, 300))),
        Err(error) => Err(opening(path, error)),
        Ok(found) => Ok(found),
    }
}

fn look(path: &Path, connection: &Connection, size: u64) -> Result<Option<String>, Error> {
    let (tables, ours): (u32, u32) = connection.query_row(COUNT_TABLES, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application != 0 || ours < 3 && (tables > 0 || version != 0) {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    let version = usize::try_from(version).map_err(|_| Error::Foreign { path: path.to_owned() })?;
    migrations::check(path, version)?;
    if size > SMALL_STORE_BYTES {
        return Ok(None);
    }
    match integrity::quick(connection, CHECK_TIMEOUT)? {
        CheckResult::Damaged(problem) => Ok(Some(one_line(&problem, 300))),
        CheckResult::Intact | CheckResult::TimedOut => Ok(None),
    }
}

/// As [`examine`], with a thorough check if damage was seen while the store was in use.
pub(super) fn at_start(path: &Path) -> Result<Option<String>, Error> {
    if let Some(problem) = examine(path)? {
        return Ok(Some(problem));
    }
    let Ok(seen) = fs::read_to_string(suspect_file(path)) else { return Ok(None) };
    let found = integrity::open(path).and_then(|connection| integrity::thorough(&connection, CHECK_TIMEOUT));
    Ok(match found {
        Ok(CheckResult::Intact) => None,
        Ok(CheckResult::Damaged(problem)) => Some(one_line(&problem, 300)),
        // The damage was seen, so the store counts as damaged.
        Ok(CheckResult::TimedOut) => Some(one_line(&seen, 300)),
        Err(Error::Engine { fault: Fault::Damage, message }) => Some(one_line(&message, 300)),
        Err(error) => return Err(error),
    })
}

/// The file that records, for the next start, that damage was seen.
fn suspect_file(path: &Path) -> PathBuf {
    beside(path, ".suspect")
}

/// Deletes the record after the store was checked or replaced.
pub(super) fn clear_suspicion(path: &Path) {
    // If it cannot be deleted, the next start checks once more.
    let _ = fs::remove_file(suspect_file(path));
}

/// The damage that was seen while the store is in use.
#[derive(Debug)]
pub(super) struct Damage {
    path: PathBuf,
    found: watch::Sender<Option<String>>,
}

impl Damage {
    pub fn none(path: &Path) -> Self {
        Self { path: path.to_owned(), found: watch::Sender::new(None) }
    }

    /// Records an error that indicates damage.
    pub fn inspect(&self, error: &Error) {
        match error {
            Error::Engine { fault: Fault::Damage, message } => self.record(one_line(message, 300)),
            Error::Damaged { problem, .. } => self.record(problem.clone()),
            _ => {}
        }
    }

    fn record(&self, problem: String) {
        let is_first = self.found.send_if_modified(|found| {
            let is_first = found.is_none();
            found.get_or_insert_with(|| problem.clone());
            is_first
        });
        if is_first {
            tracing::error!(problem, "the store is damaged; nothing more is written to it");
            if let Err(error) = fs::write(suspect_file(&self.path), &problem) {
                tracing::warn!(%error, "cannot record the damage for the next start");
            }
        }
    }

    /// Fails if damage was found.
    pub fn check(&self) -> Result<(), Error> {
        match &*self.found.borrow() {
            None => Ok(()),
            Some(problem) => Err(Error::Damaged { path: self.path.clone(), problem: problem.clone() }),
        }
    }

    /// The damage found so far.
    pub fn found(&self) -> Option<String> {
        self.found.borrow().clone()
    }

    /// Waits until damage is found.
    pub async fn appears(&self) {
        // The sender lives as long as this value.
        let _ = self.found.subscribe().wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests;
