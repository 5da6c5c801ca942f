//! Telling a damaged store from one of another program, of a newer version, or one that is locked. Looked at when a store
//! is opened, and at every error while it is in use: from the first sign of damage on nothing more is written, so that
//! nothing is confirmed and lost.

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
    integrity::{self, Looked},
    migrations,
};
use crate::{
    stdx::text::one_line,
    store::{Error, Fault},
};

/// Stores up to this many bytes are looked through at every start, which takes some milliseconds.
pub(super) const SMALL: u64 = 4 << 20;
/// How long a store is looked through that showed damage while it was in use; a daemon must answer within seconds.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long another program may hold the lock of a store that is opened.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Tables that every version of the store has.
const OURS: &str =
    "SELECT count(*), count(CASE WHEN name IN ('meta', 'session', 'event') THEN 1 END) FROM sqlite_schema WHERE type = 'table'";

/// Looks at a store before it is opened and tells what is wrong with it if it is damaged. Nothing is written to it.
///
/// # Errors
/// When it is not damaged and still cannot be used: it is another program's, a newer version's, or cannot be read.
pub(super) fn examine(path: &Path) -> Result<Option<String>, Error> {
    let length = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    };
    let size = length(path)?;
    if size == 0 {
        // SQLite would take the store for a new one and delete the log.
        let has_log = length(&beside(path, "-wal"))? > 0;
        return Ok(has_log.then(|| "the file is empty, but its log is not".to_owned()));
    }
    // A transaction that a crash has cut off in its middle is taken back only by who may write.
    let is_cut_off = length(&beside(path, "-journal"))? > 0;
    let looked = if is_cut_off { Connection::open(path).map_err(Error::from) } else { integrity::open(path) }.and_then(|connection| {
        connection.busy_timeout(LOCK_TIMEOUT)?;
        look(path, &connection, size)
    });
    match looked {
        Err(Error::Engine { fault: Fault::Damage, message }) => Ok(Some(one_line(&message, 300))),
        Err(error) => Err(opening(path, error)),
        Ok(found) => Ok(found),
    }
}

fn look(path: &Path, connection: &Connection, size: u64) -> Result<Option<String>, Error> {
    let (tables, ours): (u32, u32) = connection.query_row(OURS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application != 0 || ours < 3 && (tables > 0 || version != 0) {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    let version = usize::try_from(version).map_err(|_| Error::Foreign { path: path.to_owned() })?;
    migrations::check(path, version)?;
    if size > SMALL {
        return Ok(None);
    }
    match integrity::quick(connection, CHECK_TIMEOUT)? {
        Looked::Broken(problem) => Ok(Some(one_line(&problem, 300))),
        Looked::Whole | Looked::Unfinished => Ok(None),
    }
}

/// The same, and looks through all of a store that has shown damage while it was in use.
pub(super) fn at_start(path: &Path) -> Result<Option<String>, Error> {
    if let Some(problem) = examine(path)? {
        return Ok(Some(problem));
    }
    let Ok(sign) = fs::read_to_string(note(path)) else { return Ok(None) };
    let looked = integrity::open(path).and_then(|connection| integrity::thorough(&connection, CHECK_TIMEOUT));
    Ok(match looked {
        Ok(Looked::Whole) => None,
        Ok(Looked::Broken(problem)) => Some(one_line(&problem, 300)),
        // It was seen, so it is there.
        Ok(Looked::Unfinished) => Some(one_line(&sign, 300)),
        Err(Error::Engine { fault: Fault::Damage, message }) => Some(one_line(&message, 300)),
        Err(error) => return Err(error),
    })
}

/// Where the next start learns that the store has shown damage.
fn note(path: &Path) -> PathBuf {
    beside(path, ".suspect")
}

/// What the note was about is settled.
pub(super) fn settled(path: &Path) {
    // Where it stays, the next start looks once more.
    let _ = fs::remove_file(note(path));
}

/// The damage that a store in use has shown.
#[derive(Debug)]
pub(super) struct Damage {
    path: PathBuf,
    found: watch::Sender<Option<String>>,
}

impl Damage {
    /// None so far.
    pub fn none(path: &Path) -> Self {
        Self { path: path.to_owned(), found: watch::Sender::new(None) }
    }

    /// Looks whether an error says that the store is damaged.
    pub fn look(&self, error: &Error) {
        match error {
            Error::Engine { fault: Fault::Damage, message } => self.note(one_line(message, 300)),
            Error::Damaged { problem, .. } => self.note(problem.clone()),
            _ => {}
        }
    }

    fn note(&self, problem: String) {
        let is_first = self.found.send_if_modified(|found| {
            let is_first = found.is_none();
            found.get_or_insert_with(|| problem.clone());
            is_first
        });
        if is_first {
            tracing::error!(problem, "the store is damaged; nothing more is written to it");
            if let Err(error) = fs::write(note(&self.path), &problem) {
                tracing::warn!(%error, "the damage could not be noted for the next start");
            }
        }
    }

    /// Fails once damage was found.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn check(&self) -> Result<(), Error> {
        match &*self.found.borrow() {
            None => Ok(()),
            Some(problem) => Err(Error::Damaged { path: self.path.clone(), problem: problem.clone() }),
        }
    }

    /// What was found so far.
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
