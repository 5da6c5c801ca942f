//! A registry, over what the tests of git use.

use std::fs;

use polytree_protocol::id::ProjectId;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    git::layout::Location,
    project::registry::{self, CheckoutId, Seen},
    stdx::paths::AbsPath,
};

pub use crate::git::tests::support::{Sandbox, again, command, commit, git, layout, location};

/// A registry in memory, with a clock that goes on by one at each look.
pub struct Registry {
    pub conn: Connection,
    now: i64,
}

impl Registry {
    pub fn new() -> Self {
        let conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "foreign_keys", true).unwrap();
        conn.execute_batch(registry::SCHEMA).unwrap();
        Self { conn, now: 1000 }
    }

    fn look(&mut self, path: &AbsPath, how: fn(&Connection, &Location, i64) -> Result<Seen, registry::Error>) -> Seen {
        self.now += 1;
        let location = location(path);
        let transaction = Transaction::new(&mut self.conn, TransactionBehavior::Immediate).unwrap();
        let found = registry::find(&transaction, &location).unwrap();
        let seen = how(&transaction, &location, self.now).unwrap();
        if let Some(found) = found {
            assert_eq!((&found.project.id, found.checkout), (&seen.project.id, seen.checkout), "a read alone tells the same");
            assert!(!seen.changed);
        }
        let again = registry::find(&transaction, &location).unwrap().expect("what was remembered is found");
        assert_eq!(again, Seen { changed: false, ..seen.clone() });
        transaction.commit().unwrap();
        seen
    }

    pub fn peek(&mut self, path: &AbsPath) -> Seen {
        self.look(path, registry::peek)
    }

    pub fn claim(&mut self, path: &AbsPath) -> Seen {
        self.look(path, registry::claim)
    }

    pub fn peek_id(&mut self, path: &AbsPath) -> ProjectId {
        self.peek(path).project.id
    }

    pub fn claim_id(&mut self, path: &AbsPath) -> ProjectId {
        self.claim(path).project.id
    }

    /// Where the checkout is now; `None` when it is missing.
    pub fn resolve(&self, id: CheckoutId) -> Option<AbsPath> {
        let known = registry::resolve_checkout(&self.conn, id).unwrap().unwrap();
        (!known.missing).then_some(known.path)
    }
}

/// The names in a directory and below, sorted: what a mere read must not change.
pub fn names_below(path: &AbsPath) -> Vec<String> {
    let mut names = Vec::new();
    let mut waiting = vec![path.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let child = directory.join(entry.file_name());
            names.push(child.relative_to(path));
            if entry.file_type().unwrap().is_dir() {
                waiting.push(child);
            }
        }
    }
    names.sort();
    names
}

pub fn id_file(path: &AbsPath) -> Option<String> {
    fs::read_to_string(layout(path).common_dir.join("polytree-id")).ok()
}
