//! Looking into a store that nobody owns: can it be opened, is it whole, what is in it. Nothing is written to it.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::{
    damage,
    size::{self, Counts},
};
use crate::store::Error;

/// What was found in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// `ok`, what is broken, or that the check was given up.
    pub result: String,
    /// It was looked through and nothing is broken.
    pub whole: bool,
    /// Its rows.
    pub rows: Counts,
}

/// Opens a store for reading and looks through it, for at most `timeout`. `None` when there is no store.
///
/// # Errors
/// When it cannot be opened or read, or belongs to a newer program.
pub fn check(path: &Path, timeout: Duration) -> Result<Option<Checked>, Error> {
    if !path.try_exists().map_err(|source| Error::File { path: path.to_owned(), source })? {
        return Ok(None);
    }
    // The numbers of a broken store mean nothing.
    let broken = |result| Ok(Some(Checked { result, whole: false, rows: Counts::default() }));
    if let Some(problem) = damage::examine(path)? {
        return broken(problem);
    }
    let connection = open(path)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    match quick(&connection, timeout)? {
        Looked::Whole => Ok(Some(Checked { result: "ok".to_owned(), whole: true, rows: size::counts(&connection)? })),
        Looked::Broken(problem) => broken(problem),
        Looked::Unfinished => broken(format!("not finished within {} s", timeout.as_secs())),
    }
}

/// What looking through a store has found.
pub(super) enum Looked {
    /// Nothing is broken.
    Whole,
    /// What is broken.
    Broken(String),
    /// It would have taken too long.
    Unfinished,
}

/// A store that was closed well is read as it lies there: opening it as usual would leave files behind.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let text = path.to_str().filter(|_| !has_log);
    Ok(match text {
        Some(text) => {
            let mut address = String::from("file:");
            for byte in text.bytes() {
                match byte {
                    b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => address.push(char::from(byte)),
                    other => address.push_str(&format!("%{other:02X}")),
                }
            }
            Connection::open_with_flags(address + "?immutable=1", read_only | OpenFlags::SQLITE_OPEN_URI)?
        }
        None => Connection::open_with_flags(path, read_only)?,
    })
}

/// Whether all pages are well formed; what it costs goes with the size of the store.
pub(super) fn quick(connection: &Connection, timeout: Duration) -> Result<Looked, Error> {
    run(connection, "PRAGMA quick_check(5)", timeout)
}

/// The same, and whether the indexes hold what the tables do.
pub(super) fn thorough(connection: &Connection, timeout: Duration) -> Result<Looked, Error> {
    run(connection, "PRAGMA integrity_check(5)", timeout)
}

fn run(connection: &Connection, pragma: &str, timeout: Duration) -> Result<Looked, Error> {
    let interrupt = connection.get_interrupt_handle();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(timeout) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let found: rusqlite::Result<Vec<String>> = connection.prepare(pragma).and_then(|mut statement| {
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    });
    drop(done);
    let _ = watch.join();
    match found {
        Ok(lines) if lines == ["ok"] => Ok(Looked::Whole),
        Ok(lines) => Ok(Looked::Broken(lines.join("; "))),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(Looked::Unfinished),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, sqlite::Database};

    fn store(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        Database::open_alone(&path, Durability::Process).unwrap().close();
        (directory, path)
    }

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn a_store_is_looked_through_and_left_as_it_is() {
        let (directory, path) = store("a ü?#%.db");
        let before = std::fs::read(&path).unwrap();
        let found = check(&path, TIMEOUT).unwrap().unwrap();
        assert_eq!((found.result.as_str(), found.whole, found.rows.sessions), ("ok", true, 0));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no log beside it");
        assert_eq!(check(&directory.path().join("none"), TIMEOUT).unwrap(), None);
    }

    #[test]
    fn what_a_dead_daemon_left_in_the_log_is_seen() {
        let (directory, path) = store("store.db");
        let database = Database::open_alone(&path, Durability::Process).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let insert = "INSERT INTO session VALUES ('s', 'p', 1, '', NULL, 1, '', '{}')";
        runtime.block_on(database.execute(insert.to_owned())).unwrap();
        // As a crash leaves them: both files, and nobody who owns them.
        let copy = directory.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(directory.path().join("store.db-wal"), directory.path().join("copy.db-wal")).unwrap();
        assert_eq!(check(&copy, TIMEOUT).unwrap().unwrap().rows.sessions, 1);
    }

    #[test]
    fn damage_is_found() {
        let (_directory, path) = store("store.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xa5);
        std::fs::write(&path, &bytes).unwrap();
        assert!(!matches!(check(&path, TIMEOUT), Ok(Some(Checked { whole: true, .. }))));
        std::fs::write(&path, b"this is no store, whatever its name says; it is only some text that is long enough to be read as a header")
            .unwrap();
        assert!(!check(&path, TIMEOUT).unwrap().unwrap().whole);
    }
}
