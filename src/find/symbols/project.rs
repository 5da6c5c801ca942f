//! The symbols of one directory: read at first use, checked again while somebody asks, never while a query waits for
//! nothing new. A query takes a snapshot and is not disturbed by what is read meanwhile.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    extract::Extractor,
    read::{self, Listed},
    table::{File, FileSymbols, Files},
};
use crate::stdx::{memory, paths::AbsPath, tasks::Tasks};

/// The timeout of a query for the first reading; then it answers with what is there.
const FIRST_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of a query for a check that may find changes. For one that is known to find some it is that of the first.
const CHECK_TIMEOUT: Duration = Duration::from_millis(250);
/// Within this time after a check nothing is checked again, unless something is known to have changed.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// After this time without a check a query waits for one.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// How many changed files are read again before a query is answered; more are left to a check.
const MAX_CHANGED: usize = 64;

/// Why not all symbols of a directory are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partial {
    /// They are being read for the first time.
    Reading,
    /// There are more than may be held.
    Budget,
}

/// How the symbols of a directory stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolsState {
    /// The directory.
    pub root: AbsPath,
    /// How many files they are in.
    pub files: usize,
    /// How many there are.
    pub symbols: usize,
    /// The bytes that they take.
    pub bytes: usize,
    /// Why these are not all.
    pub partial: Option<Partial>,
    /// When they were last asked for, in milliseconds since 1970.
    pub used: i64,
}

/// The limits for the symbols of one directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub symbols: usize,
    pub bytes: usize,
}

/// The symbols of one directory.
pub(super) struct Project {
    root: AbsPath,
    budget: Budget,
    /// Cancelled when the project is dropped or the daemon ends.
    token: CancellationToken,
    // Held for moments, never while reading or across an await.
    state: Mutex<State>,
    /// Whether no check runs.
    is_idle: watch::Sender<bool>,
    symbols: AtomicUsize,
    bytes: AtomicUsize,
    /// Some file's symbols found no room.
    is_cut: AtomicBool,
}

#[derive(Default)]
struct State {
    files: Files,
    /// What the first reading has read so far.
    partial: Vec<Arc<File>>,
    /// When the last check ended; none before the first.
    checked: Option<Instant>,
    is_checking: bool,
    /// Something has changed that only a check finds.
    must_check: bool,
    /// Files of the index that have changed.
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

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many symbols it holds.
    pub fn symbols(&self) -> usize {
        self.symbols.load(Ordering::Relaxed)
    }

    /// How it stands; `used` is when it was last used.
    pub fn standing(&self, used: i64) -> SymbolsState {
        let (is_read, files) = {
            let state = self.lock();
            (state.checked.is_some(), if state.checked.is_some() { state.files.len() } else { state.partial.len() })
        };
        let partial = match () {
            () if !is_read => Some(Partial::Reading),
            () if self.is_cut.load(Ordering::Relaxed) => Some(Partial::Budget),
            () => None,
        };
        SymbolsState { root: self.root.clone(), files, symbols: self.symbols(), bytes: self.bytes(), partial, used }
    }

    /// What is known, as new as [`Project::prepare`] has made it.
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

    /// Brings the index up to date, as far as a query waits for that.
    pub async fn prepare(self: &Arc<Self>) {
        let changed = {
            let mut state = self.lock();
            if state.checked.is_some() { std::mem::take(&mut state.changed) } else { BTreeSet::new() }
        };
        if !changed.is_empty() {
            let this = Arc::clone(self);
            let _ = Tasks::spawn_blocking(move || this.read_changed(&changed)).await;
        }
        // Twice, since a check that was just ending may not have seen what it must.
        for _ in 0..2 {
            let Some(wait) = self.begin_check() else { return };
            let mut is_idle = self.is_idle.subscribe();
            let _ = tokio::time::timeout(wait, is_idle.wait_for(|is_idle| *is_idle)).await;
            if !self.lock().must_check {
                return;
            }
        }
    }

    /// Notes that a file or what is below a directory was made, changed or removed.
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
        // A file that cannot have symbols is of no interest, unless it says what is ignored.
        let is_below = next.is_some_and(|next| next.is_within(path));
        let names_ignored = path.as_path().file_name().is_some_and(|name| name == ".gitignore" || name == ".ignore");
        if is_below || names_ignored || read::may_have_symbols(path.as_path()) {
            state.must_check = true;
        }
    }

    /// Notes that anything at or below a directory may have changed.
    pub fn invalidate(&self, directory: &AbsPath) {
        if directory.is_within(&self.root) || self.root.is_within(directory) {
            self.lock().must_check = true;
        }
    }

    /// Starts a check if one is due, and tells how long a query should wait for it.
    fn begin_check(self: &Arc<Self>) -> Option<Duration> {
        let mut state = self.lock();
        let wait = match state.checked.map(|checked| checked.elapsed()) {
            None => Some(FIRST_TIMEOUT),
            Some(_) if state.must_check => Some(FIRST_TIMEOUT),
            Some(age) if age > STALE_AFTER => Some(CHECK_TIMEOUT),
            Some(age) if age > FRESH_FOR => None,
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

    /// Looks at every file, and reads those that are new or have changed.
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
            // Until now a query that would not wait any longer has had these.
            state.partial = Vec::new();
            if is_first {
                tracing::debug!(root = %self.root, files = state.files.len(), symbols = self.symbols(), bytes = self.bytes(), elapsed = ?began.elapsed(), "symbols were read");
            }
            drop((state, files, read));
            if is_first {
                // Syntax trees take far more than what is kept of them.
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

    /// The file, without its symbols when there are too many already.
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

    /// Puts what was read into the index. What is there stays when `keep` says so, and in any case when it was read after
    /// `began`: then it is newer than what told to remove it.
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
                // Another one has put something there meanwhile.
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

/// The listed files that are not in the index as they are now.
fn outdated(listed: &[Listed], files: &[Arc<File>]) -> Vec<AbsPath> {
    let known: HashMap<&AbsPath, &File> = files.iter().map(|file| (&file.path, &**file)).collect();
    let is_current = |listed: &&Listed| known.get(&listed.path).is_some_and(|file| file.stamp == Some(listed.stamp));
    listed.iter().filter(|listed| !is_current(listed)).map(|listed| listed.path.clone()).collect()
}

/// A check that runs; however it ends, those who wait for it go on.
struct Checking(Arc<Project>);

impl Drop for Checking {
    fn drop(&mut self) {
        self.0.lock().is_checking = false;
        self.0.is_idle.send_replace(true);
    }
}
