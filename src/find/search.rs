//! Finds the best paths of a tree for a query, on all processors. Each keeps only the best it has seen, and what cannot
//! be among the best of all is not looked at; the order is the same whoever saw what.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    bound::Trace,
    listing::{self, EntryKind},
    query::{Query, Scorer},
    tree::Tree,
};
use crate::stdx::tasks::Tasks;

/// How many directories a thread takes at a time.
const CHUNK: usize = 32;
/// How many directories make a further thread worth its start.
const DIRECTORIES_PER_THREAD: usize = 1000;
/// The bonus of the file that was used last; each one before it gets one less.
const RECENT_BONUS: u32 = 30;

/// What is sought where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directory, relative to the tree's root.
    pub directory: Vec<u8>,
    /// The query.
    pub query: Query,
    /// At most so many paths.
    pub limit: usize,
    /// Only these.
    pub what: Option<EntryKind>,
    /// Paths relative to the tree's root that were used last, the newest first.
    pub recent: Vec<Vec<u8>>,
}

/// A place in a tree with its points; the greatest is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    score: u32,
    length: Reverse<u32>,
    node: Reverse<usize>,
    entry: Reverse<usize>,
}

struct Search {
    tree: Arc<Tree>,
    range: Range<usize>,
    request: Request,
    next: AtomicUsize,
    /// The lower bound of a full top-k heap: what is worse cannot be among the best of all, so it is pruned.
    least: AtomicU64,
    cancelled: AtomicBool,
}

/// Ends the work of a search whose request was dropped.
struct Cancel(Arc<Search>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

/// The best paths, relative to the request's directory, the best first; directories end with `/`. `None` where the tree
/// does not hold the directory. Dropping the future ends the work soon.
pub async fn search(tree: Arc<Tree>, request: Request) -> Option<Vec<String>> {
    let range = tree.below(&request.directory);
    if range.is_empty() {
        return None;
    }
    let search =
        Arc::new(Search { tree, range, request, next: AtomicUsize::new(0), least: AtomicU64::new(0), cancelled: AtomicBool::new(false) });
    let _cancel = Cancel(Arc::clone(&search));
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(search.range.len() / DIRECTORIES_PER_THREAD + 1);
    let parts = (0..processors).map(|_| {
        let search = Arc::clone(&search);
        Tasks::spawn_blocking(move || if search.request.query.is_empty() { search.all() } else { search.matching() })
    });
    let mut best = Vec::new();
    for part in futures::future::join_all(parts).await {
        best.extend(part.unwrap_or_default());
    }
    Some(search.finish(best))
}

/// The best that were seen, at most so many.
struct Best {
    heap: BinaryHeap<Reverse<Candidate>>,
    limit: usize,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(limit + 1), limit }
    }

    /// Takes a candidate; gives the worst that is held when it is one of many enough.
    fn push(&mut self, candidate: Candidate) -> Option<Candidate> {
        self.heap.push(Reverse(candidate));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
        if self.heap.len() == self.limit { self.heap.peek().map(|worst| worst.0) } else { None }
    }

    fn into_vec(self) -> Vec<Candidate> {
        self.heap.into_iter().map(|candidate| candidate.0).collect()
    }
}

/// Points and length in one number that grows with what is better.
fn pack(score: u32, length: u32) -> u64 {
    u64::from(score) << 32 | u64::from(u32::MAX - length)
}

/// How many candidates are deferred before they are scored.
const MAX_LATER: usize = 32 * 1024;

/// A place in a tree that may be one of the best, with the most that its points and length can be worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Later {
    most: u64,
    node: usize,
    entry: usize,
}

/// What one processor does. What promises most gets its points first, so that most of the rest needs none.
struct Part<'a> {
    search: &'a Search,
    scorer: Scorer,
    best: Best,
    path: Vec<u8>,
    later: Vec<Later>,
}

impl Part<'_> {
    fn offer(&mut self, place: Later, is_promising: bool) {
        if place.most < self.search.least.load(Ordering::Relaxed) {
            return;
        }
        if is_promising {
            self.look(place);
            return;
        }
        self.later.push(place);
        if self.later.len() >= MAX_LATER {
            self.look_later();
        }
    }

    fn look_later(&mut self) {
        let mut later = std::mem::take(&mut self.later);
        let least = self.search.least.load(Ordering::Relaxed);
        later.retain(|place| place.most >= least);
        later.sort_unstable_by(|one, other| other.cmp(one));
        for place in later.drain(..) {
            let is_over = place.most < self.search.least.load(Ordering::Relaxed) || self.search.cancelled.load(Ordering::Relaxed);
            if is_over {
                break;
            }
            self.look(place);
        }
        self.later = later;
    }

    fn look(&mut self, Later { node, entry, .. }: Later) {
        let (search, path) = (self.search, &mut self.path);
        search.prefix(node, path);
        let start = path.len();
        let (name, what) = search.tree.nodes()[node].listing.get(entry);
        path.extend_from_slice(name);
        if what == EntryKind::Directory {
            path.push(b'/');
        }
        let Some(score) = self.scorer.score(&search.request.query, path, start) else { return };
        let length = Reverse(u32::try_from(path.len()).unwrap_or(u32::MAX));
        let candidate = Candidate { score, length, node: Reverse(node), entry: Reverse(entry) };
        if let Some(worst) = self.best.push(candidate) {
            search.least.fetch_max(pack(worst.score, worst.length.0), Ordering::Relaxed);
        }
    }
}

/// What was seen of the folders above the names looked at last, folder by folder: those of the next mostly begin alike.
struct Seen {
    folders: Vec<u8>,
    /// Where in the text each of the folders ends, the first after nothing.
    ends: Vec<usize>,
    traces: Vec<Trace>,
    width: usize,
}

impl Seen {
    fn new(query: &Query) -> Self {
        let mut traces = Vec::new();
        query.begin(&mut traces);
        Self { folders: Vec::new(), ends: vec![0], width: traces.len(), traces }
    }

    /// Where the traces of these folders begin.
    fn start(&mut self, query: &Query, folders: &[u8]) -> usize {
        let alike = folders.iter().zip(&self.folders).take_while(|(one, other)| one == other).count();
        let levels = self.ends.partition_point(|end| *end <= alike);
        self.ends.truncate(levels);
        self.traces.truncate(levels * self.width);
        let mut done = self.ends[levels - 1];
        while let Some(length) = memchr::memchr(b'/', &folders[done..]) {
            query.follow(&folders[done..=done + length], &mut self.traces);
            done += length + 1;
            self.ends.push(done);
        }
        self.folders.clear();
        self.folders.extend_from_slice(folders);
        self.traces.len() - self.width
    }
}

impl Search {
    /// The path of a directory relative to the one that is searched, with a slash at its end unless it is that one.
    fn prefix(&self, node: usize, path: &mut Vec<u8>) {
        path.clear();
        let skip = if self.request.directory.is_empty() { 0 } else { self.request.directory.len() + 1 };
        let directory = self.tree.nodes()[node].listing.directory();
        if directory.len() > skip {
            path.extend_from_slice(&directory[skip..]);
            path.push(b'/');
        }
    }

    fn chunk(&self) -> Option<Range<usize>> {
        let start = self.range.start + self.next.fetch_add(CHUNK, Ordering::Relaxed);
        let is_over = start >= self.range.end || self.cancelled.load(Ordering::Relaxed);
        (!is_over).then(|| start..(start + CHUNK).min(self.range.end))
    }

    fn wants(&self, what: EntryKind) -> bool {
        self.request.what.is_none_or(|wanted| wanted == what)
    }

    fn matching(&self) -> Vec<Candidate> {
        let query = &self.request.query;
        let mut part =
            Part { search: self, scorer: Scorer::default(), best: Best::new(self.request.limit), path: Vec::new(), later: Vec::new() };
        let (mut folders, mut seen) = (Vec::new(), Seen::new(query));
        while let Some(chunk) = self.chunk() {
            for node in chunk {
                let listing = &self.tree.nodes()[node].listing;
                // What the folders do not have the names must have.
                let needs = query.needs() & !listing.directory_characters();
                if needs & !listing.all_characters() != 0 {
                    continue;
                }
                self.prefix(node, &mut folders);
                let is_plain = listing.directory_characters() != listing::ALL;
                let mut traces = None;
                for (entry, (name, what, characters)) in listing.entries().enumerate() {
                    if needs & !characters != 0 {
                        continue;
                    }
                    let is_directory = what == EntryKind::Directory;
                    let length = u32::try_from(folders.len() + name.len() + usize::from(is_directory)).unwrap_or(u32::MAX);
                    let mut most = query.most(name.len(), characters != listing::ALL);
                    if !self.wants(what) || pack(most, length) < self.least.load(Ordering::Relaxed) {
                        continue;
                    }
                    // Both are ASCII alone.
                    if is_plain && characters != listing::ALL {
                        // Far cheaper than points, and mostly enough to see that they would be too few.
                        let start = *traces.get_or_insert_with(|| seen.start(query, &folders));
                        let Some(closer) = query.most_for(&seen.traces[start..], name, is_directory) else { continue };
                        most = closer;
                    }
                    part.offer(Later { most: pack(most, length), node, entry }, query.is_promising(most));
                }
            }
        }
        part.look_later();
        part.best.into_vec()
    }

    /// Without a query: what lies highest first, there directories first.
    fn all(&self) -> Vec<Candidate> {
        let (mut best, mut path) = (Best::new(self.request.limit), Vec::new());
        while let Some(chunk) = self.chunk() {
            for node in chunk {
                self.prefix(node, &mut path);
                let depth = u32::try_from(path.iter().filter(|byte| **byte == b'/').count()).unwrap_or(u32::MAX);
                if pack(0, depth * 2) < self.least.load(Ordering::Relaxed) {
                    continue;
                }
                let listing = &self.tree.nodes()[node].listing;
                for (entry, (_, what)) in listing.iter().enumerate().filter(|(_, (_, what))| self.wants(*what)) {
                    let length = Reverse(depth * 2 + u32::from(what == EntryKind::File));
                    let candidate = Candidate { score: 0, length, node: Reverse(node), entry: Reverse(entry) };
                    if let Some(worst) = best.push(candidate) {
                        self.least.fetch_max(pack(0, worst.length.0), Ordering::Relaxed);
                    }
                }
            }
        }
        best.into_vec()
    }

    /// Lifts what was used last, and puts all in order.
    fn finish(&self, found: Vec<Candidate>) -> Vec<String> {
        let mut best: BTreeMap<_, _> = found.into_iter().map(|candidate| ((candidate.node.0, candidate.entry.0), candidate)).collect();
        let (mut scorer, mut path) = (Scorer::default(), Vec::new());
        for (rank, recent) in (0..RECENT_BONUS).zip(&self.request.recent) {
            let Some((directory, name)) = listing::split(recent) else { continue };
            let Some(node) = self.tree.position(directory).filter(|node| self.range.contains(node)) else { continue };
            let Some((entry, what)) = self.tree.nodes()[node].listing.find(name).filter(|(_, what)| self.wants(*what)) else { continue };
            self.prefix(node, &mut path);
            let start = path.len();
            path.extend_from_slice(name);
            if what == EntryKind::Directory {
                path.push(b'/');
            }
            let Some(score) = scorer.score(&self.request.query, &path, start) else { continue };
            let length = Reverse(u32::try_from(path.len()).unwrap_or(u32::MAX));
            let candidate = Candidate { score: score + RECENT_BONUS - rank, length, node: Reverse(node), entry: Reverse(entry) };
            best.insert((node, entry), candidate);
        }
        let mut best: Vec<Candidate> = best.into_values().collect();
        best.sort_unstable_by(|one, other| other.cmp(one));
        best.truncate(self.request.limit);
        best.iter().map(|candidate| self.text(*candidate, &mut path)).collect()
    }

    fn text(&self, candidate: Candidate, path: &mut Vec<u8>) -> String {
        self.prefix(candidate.node.0, path);
        let (name, what) = self.tree.nodes()[candidate.node.0].listing.get(candidate.entry.0);
        path.extend_from_slice(name);
        if what == EntryKind::Directory {
            path.push(b'/');
        }
        String::from_utf8_lossy(path).into_owned()
    }
}
