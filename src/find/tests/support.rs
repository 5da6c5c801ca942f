//! A finder with a temporary directory.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use polytree_protocol::id::ProjectId;

use super::walker::walker;
use crate::{
    event::{Events, Filter},
    find::{
        Finder, Wanted,
        listing::EntryKind,
        refresh,
        tree::Tree,
        walk::{self, Bounds, NoWatches},
        watch::table::WatchBudget,
    },
    git::{Checkout, checkout::GitDirs, ignore::Rules},
    stdx::{ids, paths::AbsPath, tasks::Tasks},
    store::{Durability, Store},
};

/// Longer than any test needs on the slowest machine.
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Place {
    pub root: AbsPath,
    pub finder: Finder,
    pub events: Arc<Events>,
    pub project: ProjectId,
    pub tasks: Tasks,
    _directories: [tempfile::TempDir; 2],
}

impl Place {
    /// With a limit of watches.
    pub fn new(watches: usize) -> Self {
        let [work, store] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let database = Arc::new(Store::open(&store.path().join("store.db"), Durability::Process).unwrap());
        let events = Events::open(Arc::clone(&database));
        let tasks = Tasks::new();
        Self {
            root: AbsPath::new(work.path()).unwrap().real().unwrap().join("tree"),
            finder: Finder::limited(database, tasks.child(), WatchBudget::new(watches)),
            events,
            project: ProjectId::from_ulid(ids::next()),
            tasks,
            _directories: [work, store],
        }
        .made()
    }

    fn made(self) -> Self {
        std::fs::create_dir(&self.root).unwrap();
        self
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn checkout(&self, directory: &str) -> Checkout {
        let git = self.root.join(".git");
        let git = git.as_path().is_dir().then(|| GitDirs { own: git.clone(), common: git });
        Checkout { project: self.project.clone(), directory: self.root.join(directory), worktree: self.root.clone(), git }
    }

    pub async fn find(&self, directory: &str, query: &str) -> Vec<String> {
        let wanted = Wanted { query: query.to_owned(), limit: 1000, what: None };
        self.finder.find(&self.checkout(directory), &wanted).await.unwrap()
    }

    /// The names in the index.
    pub async fn names(&self) -> BTreeSet<Vec<u8>> {
        names(&self.finder.index(&self.checkout("")).tree(Instant::now()).await.unwrap())
    }

    /// Waits until all watches are added.
    pub async fn settled(&self) {
        self.until(async || self.finder.state().iter().all(|state| state.unwatched == 0)).await;
    }

    pub async fn until(&self, is_so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !is_so().await {
            assert!(began.elapsed() < TIMEOUT, "it never came");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// All events about files and branches so far, as `add path` or `branch name`.
    pub async fn reported(&self) -> Vec<String> {
        let page = self.events.list(0, 10_000, Filter::default()).await.unwrap();
        let text = |record: &crate::event::Record| {
            let properties: serde_json::Value = serde_json::from_str(&record.properties).unwrap();
            match record.kind.as_str() {
                "file.changed" => {
                    let path = AbsPath::new(properties["path"].as_str().unwrap()).unwrap();
                    format!("{} {}", properties["event"].as_str().unwrap(), path.relative_to(&self.root))
                }
                _ => format!("branch {}", properties["branch"].as_str().unwrap_or("-")),
            }
        };
        page.records.iter().map(text).collect()
    }
}

/// The paths of files, and those of directories with a trailing slash.
pub fn names(tree: &Tree) -> BTreeSet<Vec<u8>> {
    let of = |node: &crate::find::tree::Node| {
        let listing = node.listing.clone();
        (0..listing.len()).map(move |entry| {
            let (name, what) = listing.get(entry);
            let mut path = listing.path(name);
            if what == EntryKind::Directory {
                path.push(b'/');
            }
            path
        })
    };
    tree.nodes().iter().flat_map(of).collect()
}

/// The result of a new walk.
pub fn walked(root: &AbsPath) -> BTreeSet<Vec<u8>> {
    let walked = walk::walk(root, b"", Rules::above(root), Bounds::REPOSITORY, &NoWatches, &|| false).unwrap();
    names(&refresh::remove_closed(Tree::new(walked.nodes, walked.cut), &walked.closed))
}

/// The result of ripgrep's walker.
pub fn seen(root: &AbsPath) -> BTreeSet<Vec<u8>> {
    let entries = walker(root, |_| true).build().map(Result::unwrap).filter(|entry| entry.depth() > 0);
    let path = |entry: ignore::DirEntry| {
        let mut path = crate::find::listing::path_bytes(entry.path().strip_prefix(root).unwrap());
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            path.push(b'/');
        }
        path
    };
    entries.map(path).collect()
}

#[expect(clippy::disallowed_methods, reason = "tests run the real git")]
pub fn git(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
