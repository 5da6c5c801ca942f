//! Reads the names of all directories of a worktree, or of a part of it, on all processors. The walk is breadth-first,
//! so that a limit cuts off the deepest directories; but small directories are read recursively by the same thread,
//! each opened relative to its parent, which is far cheaper than by whole paths.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    listing::{self, EntryKind, Listing},
    tree::{Cut, NO_WATCH, Node, UNREADABLE, UNSURE},
};
use crate::{
    file::{
        names::{self, Directory, Names, State},
        open::Kind,
    },
    git::{
        Checkout,
        ignore::{self, Found, Rules},
    },
    stdx::paths::AbsPath,
};

/// More threads gain nothing: they wait for each other.
const MAX_THREADS: usize = 8;
/// A thread takes this fraction of the queue, up to a batch.
const QUEUE_FRACTION: usize = 16;
const MAX_BATCH: usize = 32;
/// A directory is small if it has less than this fraction of the limit of names.
const SMALL_FRACTION: usize = 1000;
/// How many directories a thread keeps open.
const MAX_OPEN: usize = 16;
/// A directory that was modified within this time, in nanoseconds, may change again without a new modification time:
/// file system clocks tick slowly.
const UNSURE_NANOSECONDS: i64 = 50_000_000;

/// The limits of a walk.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub entries: usize,
    pub depth: usize,
    pub time: Duration,
}

impl Bounds {
    /// For a repository: more than any has in practice.
    pub const REPOSITORY: Self = Self { entries: 2_000_000, depth: 256, time: Duration::from_secs(60) };
    /// Elsewhere: the root may be a home directory, a whole disk or a network mount.
    pub const OUTSIDE_GIT: Self = Self { entries: 300_000, depth: 24, time: Duration::from_secs(3) };
    /// For a search that walks by itself.
    pub const SEARCH: Self = Self { entries: 200_000, depth: 256, time: Duration::from_secs(30) };

    pub fn of(checkout: &Checkout) -> Self {
        if checkout.git.is_some() { Self::REPOSITORY } else { Self::OUTSIDE_GIT }
    }
}

/// Adds a watch to each directory before it is read, so that no later change is missed.
pub trait AddWatch: Sync {
    /// Watches a directory, given by its path relative to the root; returns the watch descriptor.
    fn add_watch(&self, root: &AbsPath, directory: &[u8]) -> i32;
}

/// Adds no watches.
pub struct NoWatches;

impl AddWatch for NoWatches {
    fn add_watch(&self, _: &AbsPath, _: &[u8]) -> i32 {
        NO_WATCH
    }
}

#[derive(Debug)]
pub struct Walked {
    /// The directories, in no order.
    pub nodes: Vec<Node>,
    /// Directories whose ignore files cannot be read safely, so they are to be hidden. They are still in their parents'
    /// listings, and in `nodes` without names, so that a change is noticed.
    pub closed: Vec<Vec<u8>>,
    /// Why it is incomplete.
    pub cut: Option<Cut>,
}

struct Job {
    directory: Vec<u8>,
    rules: Arc<Rules>,
    depth: usize,
}

struct Walk<'a> {
    root: &'a AbsPath,
    bounds: Bounds,
    deadline: Instant,
    watches: &'a dyn AddWatch,
    is_over: &'a (dyn Fn() -> bool + Sync),
    entries: AtomicUsize,
    /// The number of idle threads.
    idle: AtomicUsize,
    // Locked to take or add directories.
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    busy: usize,
    cut: Option<Cut>,
}

/// Reads a directory recursively. `rules` are those of its parent.
pub fn walk(
    root: &AbsPath,
    directory: &[u8],
    rules: Arc<Rules>,
    bounds: Bounds,
    watches: &dyn AddWatch,
    is_over: &(dyn Fn() -> bool + Sync),
) -> io::Result<Walked> {
    let deadline = Instant::now().checked_add(bounds.time).unwrap_or_else(Instant::now);
    let walk = Walk {
        root,
        bounds,
        deadline,
        watches,
        is_over,
        entries: AtomicUsize::new(0),
        idle: AtomicUsize::new(0),
        queue: Mutex::default(),
        changed: Condvar::new(),
    };
    let depth = directory.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count();
    let mut first = Worker::default();
    first.read(&walk, Job { directory: directory.to_vec(), rules, depth }, None)?;
    walk.add(&mut first.below);
    let mut workers = vec![first];
    // A refresh mostly walks small directories, for which threads are not worth their start.
    if walk.queue().waiting.len() <= 1 {
        workers.push(walk.run(64));
    }
    if !walk.queue().waiting.is_empty() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.run(usize::MAX))).collect();
            workers.push(walk.run(usize::MAX));
            workers.extend(others.into_iter().filter_map(|other| other.join().ok()));
        });
    }
    let cut = walk.queue().cut;
    let mut walked = Walked { nodes: Vec::new(), closed: Vec::new(), cut };
    for worker in workers {
        walked.nodes.extend(worker.nodes);
        walked.closed.extend(worker.closed);
    }
    Ok(walked)
}

impl Walk<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is a single step, so the value behind a poisoned lock is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads directories until the queue is empty, or until about `limit` were read.
    fn run(&self, limit: usize) -> Worker {
        let (mut worker, mut jobs) = (Worker::default(), Vec::new());
        while worker.nodes.len() < limit {
            if !self.next(&mut jobs) {
                break;
            }
            // The guard wakes other threads if this one panics.
            let _done = BusyGuard(self);
            worker.inline_budget = self.bounds.entries / SMALL_FRACTION;
            for job in jobs.drain(..) {
                worker.try_read(self, job, None);
            }
            self.add(&mut worker.below);
        }
        worker
    }

    /// Whether found directories must be queued instead of being read by the same thread.
    fn must_queue(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0 || (self.is_over)() || Instant::now() > self.deadline
    }

    fn add(&self, below: &mut Vec<Job>) {
        if !below.is_empty() {
            let mut queue = self.queue();
            queue.waiting.extend(below.drain(..));
            self.wake();
        }
    }

    /// Called with the queue locked, so that no thread misses the wake-up.
    fn wake(&self) {
        if self.idle.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    /// Takes the next directories; `false` when the walk is complete.
    fn next(&self, jobs: &mut Vec<Job>) -> bool {
        let mut queue = self.queue();
        loop {
            if (self.is_over)() {
                queue.waiting.clear();
            } else if !queue.waiting.is_empty() && Instant::now() > self.deadline {
                queue.waiting.clear();
                queue.cut = queue.cut.or(Some(Cut::Time));
            }
            if !queue.waiting.is_empty() {
                // Several at once to reduce contention, but few if few are queued, so that all threads get some.
                let count = (queue.waiting.len() / QUEUE_FRACTION).clamp(1, MAX_BATCH);
                jobs.extend(queue.waiting.drain(..count));
                queue.busy += 1;
                return true;
            }
            if queue.busy == 0 {
                self.changed.notify_all();
                return false;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct BusyGuard<'a, 'b>(&'a Walk<'b>);

impl Drop for BusyGuard<'_, '_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.busy -= 1;
        if queue.busy == 0 {
            self.0.wake();
        }
    }
}

#[derive(Default)]
struct Worker {
    nodes: Vec<Node>,
    closed: Vec<Vec<u8>>,
    names: Names,
    /// Found directories that are not queued yet.
    below: Vec<Job>,
    /// How many names may be read recursively before using the queue again.
    inline_budget: usize,
    /// The number of open directories.
    open: usize,
}

impl Worker {
    fn try_read(&mut self, walk: &Walk<'_>, job: Job, above: Option<&Directory>) {
        // The contents of an unreadable directory cannot be opened either.
        if let Err(error) = self.read(walk, job, above) {
            tracing::trace!(%error, "a directory was not read");
        }
    }

    /// Reads a directory, relative to its parent `above` if that is open, and small subdirectories recursively.
    fn read(&mut self, walk: &Walk<'_>, job: Job, above: Option<&Directory>) -> io::Result<()> {
        let Job { directory, rules, depth } = job;
        let watch = walk.watches.add_watch(walk.root, &directory);
        let remaining = walk.bounds.entries.saturating_sub(walk.entries.load(Ordering::Relaxed));
        let opened = match (above, listing::split(&directory)) {
            (Some(above), Some((_, name))) => above.child(name),
            _ => Directory::open(&walk.root.below(names::as_path(&directory).as_ref())),
        };
        let read = opened.and_then(|opened| Ok((read(&opened, walk.root, &directory, &rules, &mut self.names, remaining)?, Some(opened))));
        let (read, opened) = match read {
            Err(error) if !directory.is_empty() && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // The directory exists, but there is no permission, or the operating system is out of a resource.
                let stamp = if error.kind() == io::ErrorKind::PermissionDenied { UNREADABLE } else { UNSURE };
                (Read { listing: Listing::new(&directory, Vec::new()), rules: Some(rules), stamp, cut: false }, None)
            }
            read => read?,
        };
        let Read { listing, rules, stamp, cut } = read;
        walk.entries.fetch_add(listing.len(), Ordering::Relaxed);
        self.inline_budget = self.inline_budget.saturating_sub(listing.len() + 1);
        self.nodes.push(Node { listing: listing.clone(), stamp, watch });
        let Some(rules) = rules else {
            self.closed.push(directory);
            return Ok(());
        };
        let mut found = listing.iter().filter(|(_, what)| *what == EntryKind::Directory).map(|(name, _)| listing.path(name)).peekable();
        let is_deepest = depth >= walk.bounds.depth;
        let cut = if cut { Some(Cut::Entries) } else { (is_deepest && found.peek().is_some()).then_some(Cut::Depth) };
        if cut.is_some() {
            let mut queue = walk.queue();
            queue.cut = queue.cut.or(cut);
        }
        if is_deepest {
            return Ok(());
        }
        self.open += 1;
        for directory in found {
            let job = Job { directory, rules: Arc::clone(&rules), depth: depth + 1 };
            if self.inline_budget > 0 && self.open < MAX_OPEN && !walk.must_queue() {
                self.try_read(walk, job, opened.as_ref());
            } else {
                self.below.push(job);
            }
        }
        self.open -= 1;
        if walk.idle.load(Ordering::Relaxed) > 0 {
            walk.add(&mut self.below);
        }
        Ok(())
    }
}

/// The result of reading one directory.
pub struct Read {
    pub listing: Listing,
    /// The rules in it; `None` if it must be hidden, in which case it has no names.
    pub rules: Option<Arc<Rules>>,
    /// See [`Node::stamp`].
    pub stamp: i64,
    /// The limit of names was reached.
    pub cut: bool,
}

/// Reads up to `remaining` names of a directory that are not ignored.
pub fn read(
    opened: &Directory,
    root: &AbsPath,
    directory: &[u8],
    above: &Arc<Rules>,
    names: &mut Names,
    remaining: usize,
) -> io::Result<Read> {
    let state = names.read(opened)?;
    let mut found = Found::default();
    names.iter().for_each(|(name, _)| found.note(name));
    // Most directories have no ignore files, so their absolute paths are not needed.
    let path = || root.below(names::as_path(directory).as_ref());
    let stamp = stamp(path, state, found);
    let entered = if found.is_any() { above.enter(path().as_path(), found) } else { Some(Arc::clone(above)) };
    let rules = match entered {
        Some(rules) => rules,
        // The root was requested, so it is read, but without its rules.
        None if directory.is_empty() => above.without_rules(),
        None => return Ok(Read { listing: Listing::new(directory, Vec::new()), rules: None, stamp: stamp_of(state), cut: false }),
    };
    let mut full: Option<PathBuf> = None;
    let has_rules = rules.has_rules();
    let entries = names.iter().filter_map(|(name, kind)| {
        let what = match kind {
            Kind::Directory => EntryKind::Directory,
            Kind::File | Kind::Symlink => EntryKind::File,
            Kind::Special => return None,
        };
        if name == b".git" {
            return None;
        }
        if has_rules && rules.may_match(name) {
            let full = full.get_or_insert_with(|| path().as_path().to_owned());
            full.push(names::as_path(name));
            let is_ignored = rules.is_ignored(full, what == EntryKind::Directory);
            full.pop();
            if is_ignored {
                return None;
            }
        }
        Some((name, what))
    });
    let mut entries: Vec<(&[u8], EntryKind)> = entries.take(remaining.saturating_add(1)).collect();
    let cut = entries.len() > remaining;
    entries.truncate(remaining);
    Ok(Read { listing: Listing::new(directory, entries), rules: Some(rules), stamp, cut })
}

/// A value that changes with the names in a directory and with its ignore files.
fn stamp(path: impl Fn() -> AbsPath, state: State, found: Found) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    if state.changed > now.saturating_sub(UNSURE_NANOSECONDS) {
        return UNSURE;
    }
    let mark = |is_there: bool, name: &str| if is_there { ignore::change_mark(path().join(name).as_path()).cast_signed() } else { 0 };
    stamp_of(state) ^ mark(found.ignore, ".ignore") ^ mark(found.git_ignore, ".gitignore").rotate_left(1)
}

fn stamp_of(state: State) -> i64 {
    state.changed ^ state.identity.rotate_left(32).cast_signed()
}

/// Whether a directory has changed since it was read.
pub fn is_changed(root: &AbsPath, node: &Node) -> bool {
    let path = root.join(names::as_path(node.listing.directory()));
    let mut found = Found::default();
    for name in [&b".ignore"[..], b".gitignore"] {
        if node.listing.find(name).is_some() {
            found.note(name);
        }
    }
    // Without read permission there is no stamp, and changes are not detected.
    node.stamp == UNSURE
        || match names::state(path.as_path()) {
            Ok(_) if node.is_unreadable() => false,
            Ok(state) => stamp(|| path.clone(), state, found) != node.stamp,
            Err(_) => true,
        }
}
