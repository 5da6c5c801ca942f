//! Looking into a store that nobody owns: can it be opened, is it whole, what is in it. Nothing is written to it.

use std::{path::Path, time::Duration};

use super::{
    damage,
    integrity::{Looked, open, quick},
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
