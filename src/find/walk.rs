//! Reads the names of all directories of a worktree, or of a part of it, on all processors. Goes through the tree level by
//! level, so that what a limit cuts off is what lies deepest; but what is little is read with all that lies below it, each
//! directory from the one above it, which is far cheaper than by whole paths.

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
    tree::{Cut, Node, UNREADABLE, UNSURE, UNWATCHED},
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

/// More threads than this only wait for each other.
const MAX_THREADS: usize = 8;
/// A thread takes this share of the directories that wait, and at most a batch at once.
const SHARE: usize = 16;
const MAX_BATCH: usize = 32;
/// A directory with less than this part of all names that may be read is small.
const SMALL_PART: usize = 1000;
/// How many directories a thread keeps open.
const MAX_OPEN: usize = 16;
/// A stamp younger than this, in nanoseconds, proves nothing: the system's clock for files ticks slowly.
const UNSURE_FOR: i64 = 50_000_000;

/// How much of a tree is read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Names.
    pub entries: usize,
    /// Directories inside each other.
    pub depth: usize,
    /// For how long.
    pub time: Duration,
}

impl Bounds {
    /// For a repository: what people have in one, and then some.
    pub const REPOSITORY: Self = Self { entries: 2_000_000, depth: 256, time: Duration::from_secs(60) };
    /// Elsewhere: it may be a home directory, a whole disk or one on a network.
    pub const ELSEWHERE: Self = Self { entries: 300_000, depth: 24, time: Duration::from_secs(3) };
    /// For a search that walks by itself: what is larger is no project but a disk.
    pub const SEARCH: Self = Self { entries: 200_000, depth: 256, time: Duration::from_secs(30) };

    /// For a checkout.
    #[must_use]
    pub fn of(checkout: &Checkout) -> Self {
        if checkout.git.is_some() { Self::REPOSITORY } else { Self::ELSEWHERE }
    }
}

/// Who is told of a directory before its names are read, so that no change after that is missed.
pub trait Enter: Sync {
    /// The number of the watch on the directory at a path relative to the root.
    fn enter(&self, root: &AbsPath, directory: &[u8]) -> i32;
}

/// Nobody: the directories are watched later, or never.
pub struct Unwatched;

impl Enter for Unwatched {
    fn enter(&self, _: &AbsPath, _: &[u8]) -> i32 {
        UNWATCHED
    }
}

/// What was read.
#[derive(Debug)]
pub struct Walked {
    /// The directories, in no order.
    pub nodes: Vec<Node>,
    /// Directories that may not be entered, so that they do not count as there. Their parents name them still, and they are
    /// among the others without names, so that somebody sees when they may.
    pub closed: Vec<Vec<u8>>,
    /// Why it is not all.
    pub cut: Option<Cut>,
}

struct Work {
    directory: Vec<u8>,
    rules: Arc<Rules>,
    depth: usize,
}

struct Walk<'a> {
    root: &'a AbsPath,
    bounds: Bounds,
    until: Instant,
    enter: &'a dyn Enter,
    is_over: &'a (dyn Fn() -> bool + Sync),
    entries: AtomicUsize,
    /// How many threads wait for directories.
    idle: AtomicUsize,
    // Held to take a directory or to add those that were found.
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    at_work: usize,
    cut: Option<Cut>,
}

/// Reads a directory and all below it. `rules` are those that hold in its parent.
///
/// # Errors
/// When the directory itself cannot be read.
pub fn walk(
    root: &AbsPath,
    directory: &[u8],
    rules: Arc<Rules>,
    bounds: Bounds,
    enter: &dyn Enter,
    is_over: &(dyn Fn() -> bool + Sync),
) -> io::Result<Walked> {
    let until = Instant::now().checked_add(bounds.time).unwrap_or_else(Instant::now);
    let walk = Walk {
        root,
        bounds,
        until,
        enter,
        is_over,
        entries: AtomicUsize::new(0),
        idle: AtomicUsize::new(0),
        queue: Mutex::default(),
        changed: Condvar::new(),
    };
    let depth = directory.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count();
    let mut first = Part::default();
    first.read(&walk, Work { directory: directory.to_vec(), rules, depth }, None)?;
    walk.add(&mut first.below);
    let mut parts = vec![first];
    // Most parts of a tree that is looked at again are small.
    if walk.queue().waiting.len() <= 1 {
        parts.push(walk.work(64));
    }
    if !walk.queue().waiting.is_empty() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.work(usize::MAX))).collect();
            parts.push(walk.work(usize::MAX));
            parts.extend(others.into_iter().filter_map(|other| other.join().ok()));
        });
    }
    let cut = walk.queue().cut;
    let mut walked = Walked { nodes: Vec::new(), closed: Vec::new(), cut };
    for part in parts {
        walked.nodes.extend(part.nodes);
        walked.closed.extend(part.closed);
    }
    Ok(walked)
}

impl Walk<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is a single step, so a panic elsewhere leaves it sound.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads directories until there are none, or somewhat more than so many.
    fn work(&self, most: usize) -> Part {
        let (mut part, mut works) = (Part::default(), Vec::new());
        while part.nodes.len() < most {
            if !self.next(&mut works) {
                break;
            }
            // Without it the others would wait for ever for one that has panicked.
            let _done = AtWork(self);
            part.at_once = self.bounds.entries / SMALL_PART;
            for work in works.drain(..) {
                part.try_read(self, work, None);
            }
            self.add(&mut part.below);
        }
        part
    }

    /// Whether what is found is to be put into the queue, and not read at once.
    fn must_share(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0 || (self.is_over)() || Instant::now() > self.until
    }

    fn add(&self, below: &mut Vec<Work>) {
        if !below.is_empty() {
            let mut queue = self.queue();
            queue.waiting.extend(below.drain(..));
            self.wake();
        }
    }

    /// With the queue held, so that nobody is about to wait.
    fn wake(&self) {
        if self.idle.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    /// Takes the next directories; `false` when there are none any more.
    fn next(&self, works: &mut Vec<Work>) -> bool {
        let mut queue = self.queue();
        loop {
            if (self.is_over)() {
                queue.waiting.clear();
            } else if !queue.waiting.is_empty() && Instant::now() > self.until {
                queue.waiting.clear();
                queue.cut = queue.cut.or(Some(Cut::Time));
            }
            if !queue.waiting.is_empty() {
                // Several at once, so that nobody waits for the others, and few where there are few, so that all have some.
                let count = (queue.waiting.len() / SHARE).clamp(1, MAX_BATCH);
                works.extend(queue.waiting.drain(..count));
                queue.at_work += 1;
                return true;
            }
            if queue.at_work == 0 {
                self.changed.notify_all();
                return false;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct AtWork<'a, 'b>(&'a Walk<'b>);

impl Drop for AtWork<'_, '_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.at_work -= 1;
        if queue.at_work == 0 {
            self.0.wake();
        }
    }
}

#[derive(Default)]
struct Part {
    nodes: Vec<Node>,
    closed: Vec<Vec<u8>>,
    names: Names,
    /// What is to be read next, before it is in the queue.
    below: Vec<Work>,
    /// So many names may still be read before the queue is asked again.
    at_once: usize,
    /// How many directories are open.
    open: usize,
}

impl Part {
    fn try_read(&mut self, walk: &Walk<'_>, work: Work, above: Option<&Directory>) {
        // What cannot be read holds nothing that anybody could open.
        if let Err(error) = self.read(walk, work, above) {
            tracing::trace!(%error, "a directory was not read");
        }
    }

    /// Reads a directory, from the one `above` it where that is open, and what lies below it where that is little.
    fn read(&mut self, walk: &Walk<'_>, work: Work, above: Option<&Directory>) -> io::Result<()> {
        let Work { directory, rules, depth } = work;
        let watch = walk.enter.enter(walk.root, &directory);
        let room = walk.bounds.entries.saturating_sub(walk.entries.load(Ordering::Relaxed));
        let opened = match (above, listing::split(&directory)) {
            (Some(above), Some((_, name))) => above.child(name),
            _ => Directory::open(&walk.root.below(names::as_path(&directory).as_ref())),
        };
        let read = opened.and_then(|opened| Ok((read(&opened, walk.root, &directory, &rules, &mut self.names, room)?, Some(opened))));
        let (read, opened) = match read {
            Err(error) if !directory.is_empty() && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // It is there and named. What it holds is not for us, or the system is short of something for the moment.
                let stamp = if error.kind() == io::ErrorKind::PermissionDenied { UNREADABLE } else { UNSURE };
                (Read { listing: Listing::new(&directory, Vec::new()), rules: Some(rules), stamp, cut: false }, None)
            }
            read => read?,
        };
        let Read { listing, rules, stamp, cut } = read;
        walk.entries.fetch_add(listing.len(), Ordering::Relaxed);
        self.at_once = self.at_once.saturating_sub(listing.len() + 1);
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
            let work = Work { directory, rules: Arc::clone(&rules), depth: depth + 1 };
            if self.at_once > 0 && self.open < MAX_OPEN && !walk.must_share() {
                self.try_read(walk, work, opened.as_ref());
            } else {
                self.below.push(work);
            }
        }
        self.open -= 1;
        if walk.idle.load(Ordering::Relaxed) > 0 {
            walk.add(&mut self.below);
        }
        Ok(())
    }
}

/// One directory as it was read.
pub struct Read {
    /// Its names.
    pub listing: Listing,
    /// The rules inside it; none where it may not be entered. Then it has no names.
    pub rules: Option<Arc<Rules>>,
    /// When its names were last changed, see [`Node::stamp`].
    pub stamp: i64,
    /// There are more names than there was room for.
    pub cut: bool,
}

/// Reads the names in one directory that its parent's rules and its own do not ignore, so many there is room for.
///
/// # Errors
/// When it cannot be read.
pub fn read(opened: &Directory, root: &AbsPath, directory: &[u8], above: &Arc<Rules>, names: &mut Names, room: usize) -> io::Result<Read> {
    let state = names.read(opened)?;
    let mut found = Found::default();
    names.iter().for_each(|(name, _)| found.note(name));
    // Most directories hold no rules, and nobody needs their paths.
    let path = || root.below(names::as_path(directory).as_ref());
    let stamp = stamp(path, state, found);
    let entered = if found.is_any() { above.enter(path().as_path(), found) } else { Some(Arc::clone(above)) };
    let rules = match entered {
        Some(rules) => rules,
        // The root is what was asked for, so it is read, but nothing that it says is believed.
        None if directory.is_empty() => above.switched_off(),
        None => return Ok(Read { listing: Listing::new(directory, Vec::new()), rules: None, stamp: stamp_of(state), cut: false }),
    };
    let mut full: Option<PathBuf> = None;
    let speaks = rules.speaks();
    let kept = names.iter().filter_map(|(name, kind)| {
        let what = match kind {
            Kind::Directory => EntryKind::Directory,
            Kind::File | Kind::Symlink => EntryKind::File,
            Kind::Special => return None,
        };
        if name == b".git" {
            return None;
        }
        if speaks && rules.may_tell_of(name) {
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
    let mut kept: Vec<(&[u8], EntryKind)> = kept.take(room.saturating_add(1)).collect();
    let cut = kept.len() > room;
    kept.truncate(room);
    Ok(Read { listing: Listing::new(directory, kept), rules: Some(rules), stamp, cut })
}

/// What changes when the names of a directory change, or one of the files in it that decide what is ignored.
fn stamp(path: impl Fn() -> AbsPath, state: State, found: Found) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    if state.changed > now.saturating_sub(UNSURE_FOR) {
        return UNSURE;
    }
    let mark = |is_there: bool, name: &str| if is_there { ignore::mark(path().join(name).as_path()).cast_signed() } else { 0 };
    stamp_of(state) ^ mark(found.ignore, ".ignore") ^ mark(found.git_ignore, ".gitignore").rotate_left(1)
}

fn stamp_of(state: State) -> i64 {
    state.changed ^ state.identity.rotate_left(32).cast_signed()
}

/// Whether a directory is no longer as it was when it was read.
#[must_use]
pub fn is_changed(root: &AbsPath, node: &Node) -> bool {
    let path = root.join(names::as_path(node.listing.directory()));
    let mut found = Found::default();
    for name in [&b".ignore"[..], b".gitignore"] {
        if node.listing.find(name).is_some() {
            found.note(name);
        }
    }
    // A directory without leave to read it has no stamp, and nothing is known of its changes.
    node.stamp == UNSURE
        || match names::state(path.as_path()) {
            Ok(_) if node.is_unreadable() => false,
            Ok(state) => stamp(|| path.clone(), state, found) != node.stamp,
            Err(_) => true,
        }
}
