//! A registry, in addition to the support of the git tests.

use std::{fs, sync::Arc};

use polytree_protocol::id::ProjectId;

use crate::{
    project::{directory, recognise},
    stdx::paths::AbsPath,
    store::{CheckoutId, Durability, Known, KnownProject, ProjectChange, ProjectFacts, Seen, Store},
};

pub use crate::git::tests::support::{Sandbox, again, command, commit, git, layout, location};

/// A daemon's registry, with a clock that advances by one at each look.
#[derive(Clone)]
pub struct Registry {
    pub store: Arc<Store>,
    now: i64,
    _directory: Arc<tempfile::TempDir>,
}

impl Registry {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store.db"), Durability::Process).unwrap());
        Self { store, now: 1000, _directory: Arc::new(directory) }
    }

    fn look(&mut self, path: &AbsPath, begins: bool) -> Seen {
        self.now += 1;
        let directory = directory::resolve(&path.to_string()).unwrap();
        let facts = ProjectFacts { directory: directory.to_string(), files: Vec::new(), missing: false };
        wait(async {
            let mut sight = recognise::see(&directory).await.unwrap();
            let found = sight.find(&self.store).await.unwrap();
            let seen = sight.remember(&self.store, begins, self.now, facts).await.unwrap();
            if let Known::Exactly(found) = found {
                assert_eq!((&found.project.id, found.checkout), (&seen.project.id, seen.checkout), "a read alone tells the same");
                assert!(!seen.changed);
            }
            let again = recognise::see(&directory).await.unwrap().find(&self.store).await.unwrap();
            assert_eq!(again, Known::Exactly(Box::new(Seen { changed: false, ..seen.clone() })), "what was remembered is found");
            seen
        })
    }

    pub fn peek(&mut self, path: &AbsPath) -> Seen {
        self.look(path, false)
    }

    pub fn claim(&mut self, path: &AbsPath) -> Seen {
        self.look(path, true)
    }

    pub fn peek_id(&mut self, path: &AbsPath) -> ProjectId {
        self.peek(path).project.id
    }

    pub fn claim_id(&mut self, path: &AbsPath) -> ProjectId {
        self.claim(path).project.id
    }

    pub fn list(&self) -> Vec<KnownProject> {
        wait(self.store.projects()).unwrap()
    }

    pub fn get(&self, id: &ProjectId) -> Option<KnownProject> {
        wait(self.store.project(id.clone())).unwrap()
    }

    /// Whether the project is reported as missing.
    pub fn is_missing(&self, id: &ProjectId) -> bool {
        let project = self.get(id).unwrap();
        project.to_wire(Vec::new(), !project.worktree.as_path().is_dir()).missing
    }

    pub fn change(&self, id: &ProjectId, change: ProjectChange) {
        let facts = ProjectFacts { directory: String::new(), files: Vec::new(), missing: false };
        assert!(wait(self.store.change_project(id.clone(), change, 2000, facts)).unwrap());
    }

    /// The new path of a moved linked worktree.
    pub fn moved(&self, id: CheckoutId) -> Option<AbsPath> {
        wait(self.store.linked_worktrees(vec![id])).unwrap().first().and_then(recognise::moved)
    }
}

/// Runs a future without a runtime.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The names in a directory and below, sorted, to check that a read changes nothing.
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
