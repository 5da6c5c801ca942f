//! Which watch belongs to which directory of an index, and how many watches the daemon takes in all.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Notice, Refused, Watcher};
use crate::{
    file::names,
    find::{refresh::Watches, tree::UNWATCHED, walk::Enter},
    stdx::paths::AbsPath,
};

/// How many watches the daemon may take together.
#[derive(Debug)]
pub struct Allowance {
    most: usize,
    taken: AtomicUsize,
}

impl Allowance {
    /// So many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0) })
    }

    /// Half of what the system gives the user: editors and builds watch files too.
    #[must_use]
    pub fn of_system() -> Arc<Self> {
        Self::new(Watcher::most() / 2)
    }

    fn take(&self) -> bool {
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < self.most).then_some(taken + 1)).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }
}

/// What a watch is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// A directory of the index, relative to its root.
    Directory(Vec<u8>),
    /// The checkout's git directory, for its `HEAD`.
    Head,
    /// The repository's own file of rules.
    Rules,
}

/// The watches of one index.
pub struct Table {
    watcher: Option<Watcher>,
    allowance: Arc<Allowance>,
    // Held for a look-up, an insert, or a call of the system that takes one watch.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<i32, Watched>,
    is_full: bool,
    /// Directories that have lost their watch to where they, or what was there, have moved.
    moved: Vec<Vec<u8>>,
}

impl Table {
    /// No watches yet. Where there can be none, everything is refused.
    #[must_use]
    pub fn new(allowance: Arc<Allowance>) -> Self {
        let watcher = Watcher::new().inspect_err(|error| tracing::info!(%error, "changes of files are looked for, not told")).ok();
        Self { watcher, allowance, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is a single step, so a panic elsewhere leaves it sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a directory.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn add(&self, path: &AbsPath, purpose: Watched) -> Result<i32, Refused> {
        let Some(watcher) = &self.watcher else { return Err(Refused::Full) };
        let mut inner = self.inner();
        if inner.is_full || !self.allowance.take() {
            inner.is_full = true;
            return Err(Refused::Full);
        }
        let added = watcher.add(path.as_path());
        match added {
            // Of a directory that has moved here: the watch has moved with it, and is this one's now.
            Ok(watch) => {
                let before = inner.known.insert(watch, purpose);
                if let Some(before) = before {
                    self.allowance.give_back(1);
                    let is_other = inner.known.get(&watch) != Some(&before);
                    if let Watched::Directory(directory) = before
                        && is_other
                    {
                        inner.moved.push(directory);
                    }
                }
            }
            Err(refused) => {
                self.allowance.give_back(1);
                inner.is_full |= refused == Refused::Full;
            }
        }
        added
    }

    /// Whether no further directory can be watched.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.watcher.is_none() || self.inner().is_full
    }

    /// How many watches there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner().known.len()
    }

    /// What a watch is for; `None` when it has been given back.
    #[must_use]
    pub fn purpose(&self, watch: i32) -> Option<Watched> {
        self.inner().known.get(&watch).cloned()
    }

    /// Directories that have lost their watch since this was last asked.
    pub fn moved(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.inner().moved)
    }

    /// A watch has ended by itself; gives what it was for.
    pub fn ended(&self, watch: i32) -> Option<Watched> {
        let purpose = self.inner().known.remove(&watch)?;
        self.allowance.give_back(1);
        Some(purpose)
    }

    /// Waits until there are notices.
    pub async fn ready(&self) {
        match &self.watcher {
            Some(watcher) => watcher.ready().await,
            None => std::future::pending().await,
        }
    }

    /// Takes all notices that there are.
    #[must_use]
    pub fn drain(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        if let Some(watcher) = &self.watcher {
            watcher.drain(&mut notices);
        }
        notices
    }
}

impl Enter for Table {
    fn enter(&self, root: &AbsPath, directory: &[u8]) -> i32 {
        self.add(&root.below(names::as_path(directory).as_ref()), Watched::Directory(directory.to_vec())).unwrap_or(UNWATCHED)
    }
}

impl Watches for Table {
    fn leave(&self, watch: i32, directory: &[u8]) {
        let mut inner = self.inner();
        let is_its_own = matches!(inner.known.get(&watch), Some(Watched::Directory(known)) if known == directory);
        if is_its_own {
            inner.known.remove(&watch);
            inner.is_full = false;
            self.allowance.give_back(1);
            if let Some(watcher) = &self.watcher {
                watcher.remove(watch);
            }
        }
    }

    fn is_full(&self) -> bool {
        Self::is_full(self)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.allowance.give_back(self.len());
    }
}
