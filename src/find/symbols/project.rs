//! The symbol index of one directory: read at the first query, and checked for changes while there are queries. A query
//! works on a snapshot and is not affected by concurrent reads.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use polytree_protocol::diagnose::DiagnosisSymbols;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    extract::Extractor,
    read::{self, Listed},
    table::{File, FileSymbols, Files},
};
use crate::stdx::{memory, paths::AbsPath, tasks::Tasks};

/// How long a query waits for the first read; then it returns partial results.
const FIRST_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a query waits for a routine check. If changes are known, it is [`FIRST_TIMEOUT`].
const CHECK_TIMEOUT: Duration = Duration::from_millis(250);
/// No check within this time after the last one, unless changes are known.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// After this time without a check a query waits for one.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// How many changed files are reread before a query; more are left to a check.
const MAX_CHANGED: usize = 64;

/// The limits of one index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub symbols: usize,
    pub bytes: usize,
}

/// The index of one directory.
pub(super) struct Project {
    root: AbsPath,
    budget: Budget,
    /// Cancelled when the index is dropped or the daemon shuts down.
    token: CancellationToken,
    // Locked briefly, never while reading files or across an await.
    state: Mutex<State>,
    is_idle: watch::Sender<bool>,
    symbols: AtomicUsize,
    bytes: AtomicUsize,
    /// The symbols of some file were dropped because of a limit.
    is_cut: AtomicBool,
}

#[derive(Default)]
struct State {
    files: Files,
    /// The results of the first read so far.
    partial: Vec<Arc<File>>,
    /// When the last check ended; `None` before the first read.
    checked: Option<Instant>,
    is_checking: bool,
    /// Something has changed that only a check can find.
    must_check: bool,
    /// Changed files of the index.
    changed: BTreeSet<AbsPath>,
}

impl Project {
    pub fn new(root: AbsPath, budget: Budget, token: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            root,
            budget,
            token,
            state: Mutex::default(),
            is_idle: watch::Sender::new(true),
            symbols: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            is_cut: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The approximate memory use in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The number of symbols.
    pub fn symbols(&self) -> usize {
        self.symbols.load(Ordering::Relaxed)
    }

    /// The state; `used` is the time of the last use.
    pub fn describe(&self, used: i64) -> DiagnosisSymbols {
        let (is_read, files) = {
            let state = self.lock();
            (state.checked.is_some(), if state.checked.is_some() { state.files.len() } else { state.partial.len() })
        };
        let partial = match () {
            () if !is_read => Some("reading"),
            () if self.is_cut.load(Ordering::Relaxed) => Some("budget"),
            () => None,
        };
        DiagnosisSymbols {
            directory: self.root.to_string(),
            files: files as u64,
            symbols: self.symbols() as u64,
            bytes: self.bytes() as u64,
            partial: partial.map(str::to_owned),
            used,
        }
    }

    /// A snapshot of the files.
    pub fn files(&self) -> Files {
        let mut partial = {
            let state = self.lock();
            if state.checked.is_some() {
                return Arc::clone(&state.files);
            }
            state.partial.clone()
        };
        partial.sort_by(|one, other| one.path.cmp(&other.path));
        Arc::new(partial)
    }

    /// Updates the index, waiting only as long as a query should.
    pub async fn prepare(self: &Arc<Self>) {
        let changed = {
            let mut state = self.lock();
            if state.checked.is_some() { std::mem::take(&mut state.changed) } else { BTreeSet::new() }
        };
        if !changed.is_empty() {
            let this = Arc::clone(self);
            let _ = Tasks::spawn_blocking(move || this.read_changed(&changed)).await;
        }
        // Twice, since a check that was just ending may have missed the change.
        for _ in 0..2 {
            let Some(wait) = self.begin_check() else { return };
            let mut is_idle = self.is_idle.subscribe();
            let _ = tokio::time::timeout(wait, is_idle.wait_for(|is_idle| *is_idle)).await;
            if !self.lock().must_check {
                return;
            }
        }
    }

    /// Records that a file or directory was created, changed or removed.
    pub fn changed(&self, path: &AbsPath) {
        if !path.is_within(&self.root) {
            return;
        }
        let mut state = self.lock();
        let known = state.files.partition_point(|file| file.path < *path);
        let next = state.files.get(known).map(|file| &file.path);
        if state.checked.is_some() && next == Some(path) && state.changed.len() < MAX_CHANGED {
            state.changed.insert(path.clone());
            return;
        }
        // Files without symbols matter only if they are ignore files.
        let is_below = next.is_some_and(|next| next.is_within(path));
        let names_ignored = path.as_path().file_name().is_some_and(|name| name == ".gitignore" || name == ".ignore");
        if is_below || names_ignored || read::may_have_symbols(path.as_path()) {
            state.must_check = true;
        }
    }

    /// Records that anything in a directory may have changed.
    pub fn invalidate(&self, directory: &AbsPath) {
        if directory.is_within(&self.root) || self.root.is_within(directory) {
            self.lock().must_check = true;
        }
    }

    /// Starts a check if one is due, and returns how long a query should wait for it.
    fn begin_check(self: &Arc<Self>) -> Option<Duration> {
        let mut state = self.lock();
        let wait = match state.checked.map(|checked| checked.elapsed()) {
            None => Some(FIRST_TIMEOUT),
            Some(_) if state.must_check => Some(FIRST_TIMEOUT),
            Some(age) if age > STALE_AFTER => Some(CHECK_TIMEOUT),
            Some(age) if age > CHECK_INTERVAL => None,
            Some(_) => return None,
        };
        if !state.is_checking {
            state.is_checking = true;
            self.is_idle.send_replace(false);
            let checking = Checking(Arc::clone(self));
            drop(Tasks::spawn_blocking(move || checking.0.check()));
        }
        wait
    }

    /// Lists all files, and reads new and changed ones.
    fn check(&self) {
        loop {
            self.lock().must_check = false;
            let began = Instant::now();
            let Some(listed) = read::list(&self.root, &self.token) else { return };
            let (files, is_first) = {
                let state = self.lock();
                (Arc::clone(&state.files), state.checked.is_none())
            };
            let outdated = outdated(&listed, &files);
            let read = if is_first {
                read::read_all(&outdated, &self.token, |batch| {
                    let batch: Vec<_> = batch.into_iter().map(|file| self.admit(file)).collect();
                    self.lock().partial.extend(batch);
                });
                self.lock().partial.clone()
            } else {
                read::collect(&outdated, &self.token).into_iter().map(|file| self.admit(file)).collect()
            };
            if self.token.is_cancelled() {
                return;
            }
            let tried: HashSet<&AbsPath> = outdated.iter().collect();
            let is_listed = |path: &AbsPath| listed.binary_search_by(|listed| listed.path.cmp(path)).is_ok();
            self.publish(began, &read, |path| is_listed(path) && !tried.contains(path));
            let mut state = self.lock();
            state.checked = Some(Instant::now());
            // Queries no longer need the partial results.
            state.partial = Vec::new();
            if is_first {
                tracing::debug!(root = %self.root, files = state.files.len(), symbols = self.symbols(), bytes = self.bytes(), elapsed = ?began.elapsed(), "read symbols");
            }
            drop((state, files, read));
            if is_first {
                // Syntax trees need far more memory than the index.
                memory::give_back();
            }
            if !self.lock().must_check {
                return;
            }
        }
    }

    fn read_changed(&self, paths: &BTreeSet<AbsPath>) {
        let began = Instant::now();
        let mut extractor = Extractor::new(self.token.clone());
        let read: Vec<_> =
            paths.iter().filter_map(|path| read::read(path, &mut extractor)).map(|file| self.admit(Arc::new(file))).collect();
        self.publish(began, &read, |path| !paths.contains(path));
    }

    /// Counts a file against the limits, and drops its symbols beyond them.
    fn admit(&self, file: Arc<File>) -> Arc<File> {
        let symbols = self.symbols.fetch_add(file.symbols.len(), Ordering::Relaxed) + file.symbols.len();
        let bytes = self.bytes.fetch_add(file.bytes(), Ordering::Relaxed) + file.bytes();
        if symbols <= self.budget.symbols && bytes <= self.budget.bytes {
            return file;
        }
        self.is_cut.store(true, Ordering::Relaxed);
        self.symbols.fetch_sub(file.symbols.len(), Ordering::Relaxed);
        self.bytes.fetch_sub(file.bytes(), Ordering::Relaxed);
        Arc::new(File { path: file.path.clone(), stamp: file.stamp, read: file.read, symbols: FileSymbols::default() })
    }

    /// Merges read files into the index. Existing files stay if `keep` accepts them, or if they were read after
    /// `began`, which is newer information than their removal.
    fn publish(&self, began: Instant, read: &[Arc<File>], keep: impl Fn(&AbsPath) -> bool) {
        loop {
            let old = Arc::clone(&self.lock().files);
            let mut newest: HashMap<&AbsPath, &Arc<File>> =
                old.iter().filter(|file| file.read >= began || keep(&file.path)).map(|file| (&file.path, file)).collect();
            let is_same = read.is_empty() && newest.len() == old.len();
            for file in read {
                let known = newest.entry(&file.path).or_insert(file);
                if known.read <= file.read {
                    *known = file;
                }
            }
            let mut files: Vec<Arc<File>> = newest.into_values().cloned().collect();
            files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
            let mut state = self.lock();
            if !Arc::ptr_eq(&state.files, &old) {
                // Another thread has published meanwhile.
                continue;
            }
            if !is_same {
                state.files = Arc::new(files);
            }
            let files = Arc::clone(&state.files);
            drop(state);
            self.symbols.store(files.iter().map(|file| file.symbols.len()).sum(), Ordering::Relaxed);
            self.bytes.store(files.iter().map(|file| file.bytes()).sum(), Ordering::Relaxed);
            return;
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// The listed files that are missing or outdated in the index.
fn outdated(listed: &[Listed], files: &[Arc<File>]) -> Vec<AbsPath> {
    let known: HashMap<&AbsPath, &File> = files.iter().map(|file| (&file.path, &**file)).collect();
    let is_current = |listed: &&Listed| known.get(&listed.path).is_some_and(|file| file.stamp == Some(listed.stamp));
    listed.iter().filter(|listed| !is_current(listed)).map(|listed| listed.path.clone()).collect()
}

/// A running check. Wakes waiting queries on drop, even after a panic.
struct Checking(Arc<Project>);

impl Drop for Checking {
    fn drop(&mut self) {
        self.0.lock().is_checking = false;
        self.0.is_idle.send_replace(true);
    }
}
