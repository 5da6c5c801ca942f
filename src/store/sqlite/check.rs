//! Checks a store that has no owner: whether it can be opened and is intact, and what it contains. Never writes.

use std::{path::Path, time::Duration};

use polytree_protocol::diagnose_machine::DiagnosisRows;

use super::{
    damage,
    integrity::{CheckResult, open, quick},
    size,
};
use crate::store::Error;

/// What was found in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// `ok`, what is damaged, or that the check timed out.
    pub result: String,
    /// The check was completed without a problem.
    pub whole: bool,
    pub rows: DiagnosisRows,
}

/// Opens a store for reading and checks it, for at most `timeout`. `None` if there is no store.
///
/// # Errors
/// When it cannot be opened or read, or belongs to a newer program.
pub fn check(path: &Path, timeout: Duration) -> Result<Option<Checked>, Error> {
    if !path.try_exists().map_err(|source| Error::File { path: path.to_owned(), source })? {
        return Ok(None);
    }
    // The row counts of a damaged store mean nothing.
    let damaged = |result| Ok(Some(Checked { result, whole: false, rows: DiagnosisRows::default() }));
    if let Some(problem) = damage::examine(path)? {
        return damaged(problem);
    }
    let connection = open(path)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    match quick(&connection, timeout)? {
        CheckResult::Intact => Ok(Some(Checked { result: "ok".to_owned(), whole: true, rows: size::counts(&connection)? })),
        CheckResult::Damaged(problem) => damaged(problem),
        CheckResult::TimedOut => damaged(format!("not finished within {} s", timeout.as_secs())),
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
    fn a_check_does_not_change_the_store() {
        let (directory, path) = store("a ü?#%.db");
        let before = std::fs::read(&path).unwrap();
        let found = check(&path, TIMEOUT).unwrap().unwrap();
        assert_eq!((found.result.as_str(), found.whole, found.rows.sessions), ("ok", true, 0));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no log beside it");
        assert_eq!(check(&directory.path().join("none"), TIMEOUT).unwrap(), None);
    }

    #[test]
    fn commits_in_the_log_of_a_crashed_daemon_are_read() {
        let (directory, path) = store("store.db");
        let database = Database::open_alone(&path, Durability::Process).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let insert = "INSERT INTO session (id, project_id, checkout_id, path, parent_id, updated, created_with, data) VALUES ('s', 'p', 1, '', NULL, 1, '', '{}')";
        runtime.block_on(database.execute(insert.to_owned())).unwrap();
        // As after a crash: both files, and no owner.
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
