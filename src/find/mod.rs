//! Finds files by name, and follows changes. Each worktree in use has an index of file names: the first query fills it,
//! watches keep it up to date, and it is dropped when idle. Worktrees of one project share equal directories.
//!
//! An index is created by `file.find`, or by a subscription to `file.changed` or `vcs.branch.updated`, and dropped some
//! time after their last use. Without an index nothing is watched.

pub mod symbols;
pub mod text;

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
mod touched;
mod tree;
mod upper_bound;
pub mod walk;
pub(crate) mod watch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use polytree_protocol::{diagnose::DiagnosisIndex, id::ProjectId};

use self::{files::Files, index::Index, listing::path_bytes, notifier::Notifier, query::Query, search::Request, watch::table::WatchBudget};
use crate::{
    git::Checkout,
    stdx::{
        idle::{IdlePool, Pooled},
        paths::AbsPath,
        tasks::Tasks,
    },
    store::Store,
};

pub use index::{Changes, Follower};
pub use listing::EntryKind;
pub use recent::Recent;
pub use snapshot::Unreadable;
pub use touched::Touched;
pub use tree::Tree;

/// The limit of indexes; beyond it the least recently used one is dropped.
const MAX_INDEXES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query is too long.
    #[error("`query` {0}")]
    Query(#[from] query::Error),
    /// The directory cannot be read.
    #[error("{directory}: {message}")]
    Unreadable { directory: AbsPath, message: String },
}

/// What to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The query as the user typed it.
    pub query: String,
    /// The limit of paths.
    pub limit: usize,
    pub what: Option<EntryKind>,
}

/// All indexes of the daemon.
pub struct Finder {
    notifier: Notifier,
    tasks: Tasks,
    budget: Arc<WatchBudget>,
    /// By the roots of the checkouts. An index is in use while a reference to it exists.
    indexes: IdlePool<AbsPath, Index>,
    recent: Mutex<HashMap<ProjectId, Arc<Recent>>>,
}

impl Finder {
    pub fn new(store: Arc<Store>, tasks: Tasks) -> Self {
        Self::limited(store, tasks, WatchBudget::from_system())
    }

    fn limited(store: Arc<Store>, tasks: Tasks, budget: Arc<WatchBudget>) -> Self {
        Self { notifier: Notifier { store }, tasks, budget, indexes: IdlePool::new(MAX_INDEXES), recent: Mutex::default() }
    }

    /// The best paths, relative to the directory, best first; directories end with `/`. Includes all changes before the
    /// call. Dropping the future cancels the work.
    ///
    /// # Errors
    /// When the query is too long, or the directory cannot be read.
    pub async fn find(&self, checkout: &Checkout, wanted: &Wanted) -> Result<Vec<String>, Error> {
        let (query, since) = (Query::parse(&wanted.query)?, Instant::now());
        let recent = self.recent(&checkout.project).list();
        // A directory that is ignored, or outside the limits of the checkout's index, gets an index of its own.
        for top in [checkout.top(), checkout.alone()] {
            let Ok(relative) = checkout.directory.as_path().strip_prefix(&top.worktree) else { continue };
            let directory = path_bytes(relative);
            let recent = recent.clone();
            let tree = self.index(&top).tree(since).await;
            let tree = tree.map_err(|Unreadable(message)| Error::Unreadable { directory: top.worktree.clone(), message })?;
            let request = Request { directory, query: query.clone(), limit: wanted.limit, what: wanted.what, recent };
            if let Some(found) = search::search(tree, request).await {
                return Ok(found);
            }
        }
        Err(Error::Unreadable { directory: checkout.directory.clone(), message: "the directory does not exist".into() })
    }

    /// The same with the places of the match in each path: see [`query::Scorer::positions`].
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub async fn matches(&self, checkout: &Checkout, wanted: &Wanted) -> Result<Vec<(String, Vec<u32>)>, Error> {
        let query = Query::parse(&wanted.query)?;
        let found = self.find(checkout, wanted).await?;
        let mut scorer = query::Scorer::default();
        Ok(found.into_iter().map(|path| (scorer.positions(&query, &path), path)).map(|(positions, path)| (path, positions)).collect())
    }

    /// The current files in a directory (a real path), recursively, if a complete index contains them.
    pub async fn files(&self, directory: &AbsPath) -> Option<Files> {
        let tops = self.indexes.list().into_iter().map(|pooled| pooled.value.checkout.worktree.clone());
        let nearest = tops.filter(|top| directory.is_within(top)).max_by_key(|top| top.as_path().as_os_str().len())?;
        let index = self.indexes.get(&nearest)?;
        let tree = index.tree(Instant::now()).await.ok().filter(|tree| tree.cut.is_none())?;
        let top = &index.checkout.worktree;
        Files::of_tree(top.clone(), tree, path_bytes(directory.as_path().strip_prefix(top).ok()?))
    }

    /// Follows the changes in a checkout until the returned value is dropped.
    pub fn follow(&self, checkout: &Checkout) -> Follower {
        Follower(self.index(&checkout.top()))
    }

    /// Collects the changes of a checkout until the value is dropped.
    #[must_use]
    pub fn changes(&self, checkout: &Checkout) -> Changes {
        Changes::new(self.index(&checkout.top()))
    }

    /// The recently used files of a project.
    pub fn recent(&self, project: &ProjectId) -> Arc<Recent> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(recent.entry(project.clone()).or_default())
    }

    /// Drops indexes that were not used since the given time (milliseconds since 1970).
    pub fn close_idle(&self, since: i64) {
        self.indexes.drop_idle(since);
    }

    /// The state of all indexes, sorted by path.
    pub fn state(&self) -> Vec<DiagnosisIndex> {
        let state = |Pooled { value: index, used }: Pooled<Index>| {
            let snapshot = index.snapshot();
            DiagnosisIndex {
                directory: index.checkout.worktree.to_string(),
                entries: snapshot.tree.entries() as u64,
                bytes: snapshot.tree.bytes() as u64,
                watched: snapshot.watched as u64,
                unwatched: snapshot.tree.unwatched() as u64,
                partial: snapshot.tree.cut.map(|cut| cut.word().to_owned()),
                used,
            }
        };
        let mut states: Vec<_> = self.indexes.list().into_iter().map(state).collect();
        states.sort_by(|one, other| one.directory.cmp(&other.directory));
        states
    }

    /// The index of a checkout.
    fn index(&self, checkout: &Checkout) -> Arc<Index> {
        // A plain directory may have become a repository, and a project may have a new id.
        let fits = |index: &Index| index.checkout == *checkout;
        self.indexes.get_or_insert(&checkout.worktree, fits, |indexes| {
            let others: Vec<_> = indexes.iter().filter(|index| index.checkout.project == checkout.project).cloned().collect();
            Index::start(checkout.clone(), &others, self.notifier.clone(), Arc::clone(&self.budget), &self.tasks)
        })
    }
}

#[cfg(test)]
mod tests;
