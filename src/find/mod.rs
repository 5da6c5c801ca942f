//! Finds files by name, and follows changes. Each worktree in use has an index of its names: the first query fills it,
//! watches keep it up to date, and it is dropped when idle. Worktrees of one project share directories that are equal.
//!
//! An index begins with `file.find`, or with a subscription that names `file.changed` or `vcs.branch.updated`, and ends
//! some time after the last of either; nothing is watched without one.

pub mod symbols;
pub mod text;

mod bound;
mod change_batch;
pub mod files;
mod index;
mod index_task;
mod listing;
mod notifier;
mod query;
mod recent;
mod refresh;
mod search;
mod snapshot;
mod tree;
pub mod walk;
mod watch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use polytree_protocol::id::ProjectId;

use self::{
    files::Files, index::Index, listing::path_bytes, notifier::Notifier, query::Query, search::Request, snapshot::Unreadable,
    watch::table::Allowance,
};
use crate::{
    git::Checkout,
    stdx::{
        idle::{IdlePool, Pooled},
        paths::AbsPath,
        tasks::Tasks,
    },
    store::Store,
};

pub use index::Follower;
pub use listing::EntryKind;
pub use recent::Recent;
pub use tree::Cut;

/// How many indexes there are at most; beyond it the one that was not used for longest is closed.
const MAX_INDEXES: usize = 32;

/// How a search fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query is too long.
    #[error("`query` {0}")]
    Query(#[from] query::Error),
    /// The directory cannot be read.
    #[error("{directory}: {message}")]
    Unreadable {
        /// The directory.
        directory: AbsPath,
        /// What the system said.
        message: String,
    },
}

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The query as it was typed.
    pub query: String,
    /// At most so many paths.
    pub limit: usize,
    /// Only these.
    pub what: Option<EntryKind>,
}

/// How an index stands.
#[derive(Debug, Clone)]
pub struct IndexState {
    /// The top of the tree.
    pub root: AbsPath,
    /// How many names it holds.
    pub entries: usize,
    /// The bytes that they take, with those that are shared.
    pub bytes: usize,
    /// How many directories are watched.
    pub watched: usize,
    /// How many are not, so that they are looked at when needed.
    pub unwatched: usize,
    /// Why it does not hold everything.
    pub cut: Option<Cut>,
    /// When it was last used, in milliseconds since 1970.
    pub used: i64,
}

/// The indexes of the daemon.
pub struct Finder {
    notifier: Notifier,
    tasks: Tasks,
    allowance: Arc<Allowance>,
    /// By the tops of the checkouts. Whoever holds an index uses it.
    indexes: IdlePool<AbsPath, Index>,
    recent: Mutex<HashMap<ProjectId, Arc<Recent>>>,
}

impl Finder {
    /// No index yet.
    #[must_use]
    pub fn new(store: Arc<Store>, tasks: Tasks) -> Self {
        Self::limited(store, tasks, Allowance::of_system())
    }

    fn limited(store: Arc<Store>, tasks: Tasks, allowance: Arc<Allowance>) -> Self {
        Self { notifier: Notifier { store }, tasks, allowance, indexes: IdlePool::new(MAX_INDEXES), recent: Mutex::default() }
    }

    /// The best paths, relative to the directory, the best first; directories end with `/`. Whatever had changed
    /// before is in it. Dropping the future ends the work soon.
    ///
    /// # Errors
    /// When the query is too long, or the directory cannot be read.
    pub async fn find(&self, checkout: &Checkout, wanted: &Wanted) -> Result<Vec<String>, Error> {
        let (query, since) = (Query::parse(&wanted.query)?, Instant::now());
        let recent = self.recent(&checkout.project).list();
        // A directory that the checkout ignores, or that lies beyond what its index may hold, gets an index of its own.
        for top in [checkout.top(), checkout.alone()] {
            let Ok(relative) = checkout.directory.as_path().strip_prefix(&top.worktree) else { continue };
            let directory = path_bytes(relative);
            let recent = recent.clone();
            let tree = self.index(&top).fresh(since).await;
            let tree = tree.map_err(|Unreadable(message)| Error::Unreadable { directory: top.worktree.clone(), message })?;
            let request = Request { directory, query: query.clone(), limit: wanted.limit, what: wanted.what, recent };
            if let Some(found) = search::search(tree, request).await {
                return Ok(found);
            }
        }
        Err(Error::Unreadable { directory: checkout.directory.clone(), message: "it has gone".into() })
    }

    /// The files below a directory, a real path, where an index holds them all; as they are now.
    pub async fn files(&self, directory: &AbsPath) -> Option<Files> {
        let tops = self.indexes.list().into_iter().map(|pooled| pooled.value.checkout.worktree.clone());
        let nearest = tops.filter(|top| directory.is_within(top)).max_by_key(|top| top.as_path().as_os_str().len())?;
        let index = self.indexes.get(&nearest)?;
        let tree = index.fresh(Instant::now()).await.ok().filter(|tree| tree.cut.is_none())?;
        let top = &index.checkout.worktree;
        Files::of_tree(top.clone(), tree, path_bytes(directory.as_path().strip_prefix(top).ok()?))
    }

    /// Follows the changes in a checkout, as long as the value lives.
    #[must_use]
    pub fn follow(&self, checkout: &Checkout) -> Follower {
        Follower(self.index(&checkout.top()))
    }

    /// The files of a project that were used last, for those who use them to note it.
    #[must_use]
    pub fn recent(&self, project: &ProjectId) -> Arc<Recent> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(recent.entry(project.clone()).or_default())
    }

    /// Closes indexes that nobody has used since the given time (milliseconds since 1970).
    pub fn close_idle(&self, since: i64) {
        self.indexes.drop_idle(since);
    }

    /// How the indexes stand, by path.
    #[must_use]
    pub fn state(&self) -> Vec<IndexState> {
        let state = |Pooled { value: index, used }: Pooled<Index>| {
            let snapshot = index.snapshot();
            IndexState {
                root: index.checkout.worktree.clone(),
                entries: snapshot.tree.entries(),
                bytes: snapshot.tree.bytes(),
                watched: snapshot.watched,
                unwatched: snapshot.tree.unwatched(),
                cut: snapshot.tree.cut,
                used,
            }
        };
        let mut states: Vec<_> = self.indexes.list().into_iter().map(state).collect();
        states.sort_by(|one, other| one.root.cmp(&other.root));
        states
    }

    /// The index of a whole checkout.
    fn index(&self, checkout: &Checkout) -> Arc<Index> {
        // What was a plain directory may be a repository by now, and a project may have got another id.
        let fits = |index: &Index| index.checkout == *checkout;
        self.indexes.get_or_insert(&checkout.worktree, fits, |indexes| {
            let others: Vec<_> = indexes.iter().filter(|index| index.checkout.project == checkout.project).cloned().collect();
            Index::start(checkout.clone(), &others, self.notifier.clone(), Arc::clone(&self.allowance), &self.tasks)
        })
    }
}

#[cfg(test)]
mod tests;
