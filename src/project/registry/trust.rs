//! Which contents of a project's own files the user has seen and trusts.

use std::collections::BTreeSet;

use polytree_protocol::id::ProjectId;
use rusqlite::Connection;

use super::{KnownProject, Result, get};

/// What the user has said about a project's own settings, agents, commands and plugins.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Trust {
    /// They may be used, as far as their contents are among `files`.
    pub trusted: bool,
    /// Paths below the top of a checkout, each with a digest of what was seen. A path may have several.
    pub files: BTreeSet<(String, String)>,
}

impl Trust {
    /// The files among these (path, digest) that wait for trust, in their order.
    #[must_use]
    pub fn pending<'f>(&self, files: impl IntoIterator<Item = &'f (String, String)>) -> Vec<String> {
        files.into_iter().filter(|file| !self.covers(file)).map(|(path, _)| path.clone()).collect()
    }

    /// Whether a file with this path and digest may be used.
    #[must_use]
    pub fn covers(&self, file: &(String, String)) -> bool {
        self.trusted && self.files.contains(file)
    }
}

/// Trusts the project, and these contents beside those trusted before, which may be in use in another worktree.
/// `None` if there is no such project.
///
/// # Errors
/// When the store fails.
pub fn trust(conn: &Connection, id: &ProjectId, files: &[(String, String)]) -> Result<Option<KnownProject>> {
    if conn.execute("UPDATE project SET trusted = 1 WHERE id = ?1", [id.as_str()])? > 0 {
        let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO project_trust (project_id, path, digest) VALUES (?1, ?2, ?3)")?;
        for (path, digest) in files {
            insert.execute((id.as_str(), path, digest))?;
        }
    }
    get(conn, id)
}

/// Takes all trust away. `None` if there is no such project.
///
/// # Errors
/// When the store fails.
pub fn distrust(conn: &Connection, id: &ProjectId) -> Result<Option<KnownProject>> {
    conn.execute("UPDATE project SET trusted = 0 WHERE id = ?1", [id.as_str()])?;
    conn.execute("DELETE FROM project_trust WHERE project_id = ?1", [id.as_str()])?;
    get(conn, id)
}

/// What is trusted; nothing, for an unknown project.
///
/// # Errors
/// When the store fails.
pub fn trusted(conn: &Connection, id: &ProjectId) -> Result<Trust> {
    let mut statement = conn.prepare_cached("SELECT path, digest FROM project_trust WHERE project_id = ?1")?;
    let files = statement.query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(Trust { trusted: get(conn, id)?.is_some_and(|project| project.trusted), files })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::project::tests::support::{Registry, Sandbox};

    fn file(path: &str, digest: &str) -> (String, String) {
        (path.to_owned(), digest.to_owned())
    }

    #[test]
    fn changed_and_new_files_wait_again() {
        let sandbox = Sandbox::new();
        let mut registry = Registry::new();
        let id = registry.claim_id(&sandbox.root);
        let conn = &registry.conn;
        let files = [file("a", "1"), file("b", "1")];
        assert_eq!(trusted(conn, &id).unwrap().pending(&files), ["a", "b"]);
        assert!(trust(conn, &id, &files).unwrap().unwrap().trusted);
        let known = trusted(conn, &id).unwrap();
        assert!(known.pending(&files).is_empty());
        let elsewhere = [file("a", "2"), file("b", "1"), file("c", "1")];
        assert_eq!(known.pending(&elsewhere), ["a", "c"]);
        // Both contents of `a` are trusted now: they are in use in two worktrees.
        trust(conn, &id, &elsewhere).unwrap();
        let known = trusted(conn, &id).unwrap();
        assert!(known.pending(&files).is_empty() && known.pending(&elsewhere).is_empty());
        assert!(!distrust(conn, &id).unwrap().unwrap().trusted);
        assert_eq!(trusted(conn, &id).unwrap(), Trust::default());
        let unknown = ProjectId::default();
        assert_eq!(trust(conn, &unknown, &files).unwrap(), None);
        assert_eq!(trusted(conn, &unknown).unwrap(), Trust::default());
    }

    proptest! {
        #[test]
        fn without_trust_everything_waits(paths in prop::collection::vec("[a-c]", 0..4)) {
            let files: Vec<_> = paths.iter().map(|path| file(path, "1")).collect();
            let known = Trust { trusted: false, files: files.iter().cloned().collect() };
            prop_assert_eq!(known.pending(&files), paths);
        }
    }
}
