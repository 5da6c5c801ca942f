//! Maps watches to the directories of an index, and limits the watches of the whole daemon.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Notice, WatchError, Watcher};
use crate::{
    file::names,
    find::{refresh::Watches, tree::NO_WATCH, walk::AddWatch},
    stdx::paths::AbsPath,
};

/// The number of watches that all indexes of the daemon share.
#[derive(Debug)]
pub struct WatchBudget {
    limit: usize,
    taken: AtomicUsize,
}

impl WatchBudget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicUsize::new(0) })
    }

    /// Half of the user's limit: editors and build tools watch files too.
    pub fn from_system() -> Arc<Self> {
        Self::new(Watcher::user_limit() / 2)
    }

    fn acquire(&self) -> bool {
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < self.limit).then_some(taken + 1)).is_ok()
    }

    fn release(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }
}

/// The purpose of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A directory of the index, relative to its root.
    Directory(Vec<u8>),
    /// The checkout's git directory, for its `HEAD`.
    Head,
    /// The repository's `info/exclude`.
    Rules,
}

/// The watches of one index.
pub struct WatchTable {
    watcher: Option<Watcher>,
    budget: Arc<WatchBudget>,
    // Locked for a look-up, an insert, or a system call for one watch.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    purposes: HashMap<i32, Purpose>,
    is_full: bool,
    /// Directories whose watch now belongs to another path, because they were moved.
    moved: Vec<Vec<u8>>,
}

impl WatchTable {
    /// An empty table. If watches are not supported, every request fails.
    pub fn new(budget: Arc<WatchBudget>) -> Self {
        let watcher = Watcher::new().inspect_err(|error| tracing::info!(%error, "file changes cannot be watched; polling instead")).ok();
        Self { watcher, budget, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is a single step, so the value behind a poisoned lock is consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a directory.
    pub fn add(&self, path: &AbsPath, purpose: Purpose) -> Result<i32, WatchError> {
        let Some(watcher) = &self.watcher else { return Err(WatchError::Full) };
        let mut inner = self.inner();
        if inner.is_full || !self.budget.acquire() {
            inner.is_full = true;
            return Err(WatchError::Full);
        }
        let added = watcher.add(path.as_path());
        match added {
            // If the directory was moved here, its watch has moved with it and gets the new purpose.
            Ok(watch) => {
                let before = inner.purposes.insert(watch, purpose);
                if let Some(before) = before {
                    self.budget.release(1);
                    let is_other = inner.purposes.get(&watch) != Some(&before);
                    if let Purpose::Directory(directory) = before
                        && is_other
                    {
                        inner.moved.push(directory);
                    }
                }
            }
            Err(refused) => {
                self.budget.release(1);
                inner.is_full |= refused == WatchError::Full;
            }
        }
        added
    }

    /// Whether no more directories can be watched.
    pub fn is_full(&self) -> bool {
        self.watcher.is_none() || self.inner().is_full
    }

    /// The number of watches.
    pub fn len(&self) -> usize {
        self.inner().purposes.len()
    }

    /// The purpose of a watch; `None` if it was removed.
    pub fn purpose(&self, watch: i32) -> Option<Purpose> {
        self.inner().purposes.get(&watch).cloned()
    }

    /// Directories that have lost their watch since the last call.
    pub fn moved(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.inner().moved)
    }

    /// Forgets a watch that has ended by itself, and returns its purpose.
    pub fn ended(&self, watch: i32) -> Option<Purpose> {
        let purpose = self.inner().purposes.remove(&watch)?;
        self.budget.release(1);
        Some(purpose)
    }

    /// Waits until there are notices.
    pub async fn ready(&self) {
        match &self.watcher {
            Some(watcher) => watcher.ready().await,
            None => std::future::pending().await,
        }
    }

    /// Takes all pending notices.
    pub fn drain(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        if let Some(watcher) = &self.watcher {
            watcher.drain(&mut notices);
        }
        notices
    }
}

impl AddWatch for WatchTable {
    fn add_watch(&self, root: &AbsPath, directory: &[u8]) -> i32 {
        self.add(&root.below(names::as_path(directory).as_ref()), Purpose::Directory(directory.to_vec())).unwrap_or(NO_WATCH)
    }
}

impl Watches for WatchTable {
    fn remove_watch(&self, watch: i32, directory: &[u8]) {
        let mut inner = self.inner();
        let is_its_own = matches!(inner.purposes.get(&watch), Some(Purpose::Directory(known)) if known == directory);
        if is_its_own {
            inner.purposes.remove(&watch);
            inner.is_full = false;
            self.budget.release(1);
            if let Some(watcher) = &self.watcher {
                watcher.remove(watch);
            }
        }
    }

    fn is_full(&self) -> bool {
        Self::is_full(self)
    }
}

impl Drop for WatchTable {
    fn drop(&mut self) {
        self.budget.release(self.len());
    }
}
