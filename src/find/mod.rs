//! Finding files by name, and following what happens to them. Each worktree in use has an index of its names, which the
//! first question fills, watches keep true, and idleness ends; worktrees of one project share what is alike.
//!
//! Nothing is watched for nobody: an index begins with `file.find`, or with a subscription that names `file.changed` or
//! `vcs.branch.updated`, and ends some time after the last of either.

pub mod symbols;
pub mod text;

mod bound;
mod index;
mod keeper;
mod listing;
mod query;
mod recent;
mod refresh;
mod search;
mod told;
mod tree;
mod voice;
mod walk;
mod watch;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use polytree_protocol::id::ProjectId;

use self::{
    index::{Index, Unreadable},
    query::Query,
    search::Request,
    voice::Voice,
    watch::table::Allowance,
};
use crate::{
    git::Checkout,
    stdx::{paths::AbsPath, tasks::Tasks},
    store::Store,
};

pub use index::Follower;
pub use listing::What;
pub use recent::Recent;
pub use tree::Cut;

/// The most indexes; beyond it the one that was not used for longest is closed.
const MOST_INDEXES: usize = 32;

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
    pub what: Option<What>,
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
    voice: Voice,
    tasks: Tasks,
    allowance: Arc<Allowance>,
    // Held for a look-up or an insert, never across an await.
    indexes: Mutex<HashMap<AbsPath, Arc<Index>>>,
    recent: Mutex<HashMap<ProjectId, Arc<Recent>>>,
}

impl Finder {
    /// No index yet.
    #[must_use]
    pub fn new(store: Arc<Store>, tasks: Tasks) -> Self {
        Self::limited(store, tasks, Allowance::of_system())
    }

    fn limited(store: Arc<Store>, tasks: Tasks, allowance: Arc<Allowance>) -> Self {
        Self { voice: Voice { store }, tasks, allowance, indexes: Mutex::default(), recent: Mutex::default() }
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
            let directory = bytes(relative);
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

    /// Follows the changes in a checkout, as long as the value lives.
    #[must_use]
    pub fn follow(&self, checkout: &Checkout) -> Follower {
        Follower::new(self.index(&checkout.top()))
    }

    /// The files of a project that were used last, for those who use them to note it.
    #[must_use]
    pub fn recent(&self, project: &ProjectId) -> Arc<Recent> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(recent.entry(project.clone()).or_default())
    }

    /// Closes indexes that nobody has used since the given time (milliseconds since 1970).
    pub fn close_idle(&self, since: i64) {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, index| index.used() >= since);
    }

    /// How the indexes stand, by path.
    #[must_use]
    pub fn state(&self) -> Vec<IndexState> {
        let indexes: Vec<Arc<Index>> = self.indexes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let state = |index: &Arc<Index>| {
            let standing = index.standing();
            IndexState {
                root: index.checkout.worktree.clone(),
                entries: standing.tree.entries(),
                bytes: standing.tree.bytes(),
                watched: standing.watched,
                unwatched: standing.tree.unwatched(),
                cut: standing.tree.cut,
                used: index.used(),
            }
        };
        let mut states: Vec<_> = indexes.iter().map(state).collect();
        states.sort_by(|one, other| one.root.cmp(&other.root));
        states
    }

    /// The index of a whole checkout.
    fn index(&self, checkout: &Checkout) -> Arc<Index> {
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        // What was a plain directory may be a repository by now, and a project may have got another id.
        if let Some(index) = indexes.get(&checkout.worktree).filter(|index| index.checkout == *checkout) {
            return Arc::clone(index);
        }
        if indexes.len() >= MOST_INDEXES
            && let Some(oldest) = indexes.values().min_by_key(|index| index.used()).map(|index| index.checkout.worktree.clone())
        {
            indexes.remove(&oldest);
        }
        let others: Vec<_> = indexes.values().filter(|index| index.checkout.project == checkout.project).cloned().collect();
        let index = Index::start(checkout.clone(), &others, self.voice.clone(), Arc::clone(&self.allowance), &self.tasks);
        indexes.insert(checkout.worktree.clone(), Arc::clone(&index));
        index
    }
}

/// A relative path as the index has it: names with `/` between them.
fn bytes(path: &Path) -> Vec<u8> {
    let names: Vec<&[u8]> = path.components().map(|name| name.as_os_str().as_encoded_bytes()).collect();
    names.join(&b'/')
}

#[cfg(test)]
mod tests;
