//! Finds the best paths of a tree for a query, on all processors. Each thread keeps a top-k heap, and candidates below
//! the lower bound of a full heap are pruned. The result does not depend on the distribution of work.

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
    listing::{self, EntryKind},
    query::{Query, Scorer},
    tree::Tree,
    upper_bound::MatchState,
};
use crate::stdx::tasks::Tasks;

/// The unit of work, in directories.
const CHUNK: usize = 32;
/// An additional thread is started per this many directories.
const DIRECTORIES_PER_THREAD: usize = 1000;
/// The bonus of the most recently used file; each older one gets one less.
const RECENT_BONUS: u32 = 30;

#[derive(Debug, Clone)]
pub struct Request {
    /// The directory, relative to the tree's root.
    pub directory: Vec<u8>,
    pub query: Query,
    /// The limit of paths.
    pub limit: usize,
    pub what: Option<EntryKind>,
    /// Recently used paths relative to the tree's root, the newest first.
    pub recent: Vec<Vec<u8>>,
}

/// An entry of the tree with its score. The greatest is the best.
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
    /// The lower bound of a full top-k heap; worse candidates are pruned.
    lower_bound: AtomicU64,
    cancelled: AtomicBool,
}

/// Cancels the search when its future is dropped.
struct Cancel(Arc<Search>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

/// The best paths, relative to the request's directory, best first; directories end with `/`. `None` if the tree does
/// not contain the directory. Dropping the future cancels the work.
pub async fn search(tree: Arc<Tree>, request: Request) -> Option<Vec<String>> {
    let range = tree.below(&request.directory);
    if range.is_empty() {
        return None;
    }
    let search = Arc::new(Search {
        tree,
        range,
        request,
        next: AtomicUsize::new(0),
        lower_bound: AtomicU64::new(0),
        cancelled: AtomicBool::new(false),
    });
    let _cancel = Cancel(Arc::clone(&search));
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(search.range.len() / DIRECTORIES_PER_THREAD + 1);
    let parts = (0..processors).map(|_| {
        let search = Arc::clone(&search);
        Tasks::spawn_blocking(move || if search.request.query.is_empty() { search.all() } else { search.matching() })
    });
    let mut best = Vec::new();
    for worker in futures::future::join_all(parts).await {
        best.extend(worker.unwrap_or_default());
    }
    Some(search.finish(best))
}

/// A top-k heap.
struct Best {
    heap: BinaryHeap<Reverse<Candidate>>,
    limit: usize,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(limit + 1), limit }
    }

    /// Adds a candidate; returns the worst one if the heap is full.
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

/// Packs score and length into a number; greater is better.
fn pack(score: u32, length: u32) -> u64 {
    u64::from(score) << 32 | u64::from(u32::MAX - length)
}

/// The limit of deferred candidates.
const MAX_DEFERRED: usize = 32 * 1024;

/// A candidate with an upper bound of its packed score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Deferred {
    upper_bound: u64,
    node: usize,
    entry: usize,
}

/// The state of one thread. Promising candidates are scored first, so that most others are pruned without scoring.
struct Worker<'a> {
    search: &'a Search,
    scorer: Scorer,
    best: Best,
    path: Vec<u8>,
    deferred: Vec<Deferred>,
}

impl Worker<'_> {
    fn add(&mut self, place: Deferred, is_promising: bool) {
        if place.upper_bound < self.search.lower_bound.load(Ordering::Relaxed) {
            return;
        }
        if is_promising {
            self.score(place);
            return;
        }
        self.deferred.push(place);
        if self.deferred.len() >= MAX_DEFERRED {
            self.score_deferred();
        }
    }

    fn score_deferred(&mut self) {
        let mut deferred = std::mem::take(&mut self.deferred);
        let lower_bound = self.search.lower_bound.load(Ordering::Relaxed);
        deferred.retain(|place| place.upper_bound >= lower_bound);
        deferred.sort_unstable_by(|one, other| other.cmp(one));
        for place in deferred.drain(..) {
            let is_over =
                place.upper_bound < self.search.lower_bound.load(Ordering::Relaxed) || self.search.cancelled.load(Ordering::Relaxed);
            if is_over {
                break;
            }
            self.score(place);
        }
        self.deferred = deferred;
    }

    fn score(&mut self, Deferred { node, entry, .. }: Deferred) {
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
            search.lower_bound.fetch_max(pack(worst.score, worst.length.0), Ordering::Relaxed);
        }
    }
}

/// The match states after each folder of the last path: the next path mostly has the same parents.
struct FolderStates {
    folders: Vec<u8>,
    /// The end of each folder in `folders`; the first is 0.
    ends: Vec<usize>,
    states: Vec<MatchState>,
    width: usize,
}

impl FolderStates {
    fn new(query: &Query) -> Self {
        let mut states = Vec::new();
        query.begin(&mut states);
        Self { folders: Vec::new(), ends: vec![0], width: states.len(), states }
    }

    /// The index in `states` of the states after these folders.
    fn start(&mut self, query: &Query, folders: &[u8]) -> usize {
        let common = folders.iter().zip(&self.folders).take_while(|(one, other)| one == other).count();
        let levels = self.ends.partition_point(|end| *end <= common);
        self.ends.truncate(levels);
        self.states.truncate(levels * self.width);
        let mut done = self.ends[levels - 1];
        while let Some(length) = memchr::memchr(b'/', &folders[done..]) {
            query.follow(&folders[done..=done + length], &mut self.states);
            done += length + 1;
            self.ends.push(done);
        }
        self.folders.clear();
        self.folders.extend_from_slice(folders);
        self.states.len() - self.width
    }
}

impl Search {
    /// The path of a directory relative to the searched one, with a trailing slash unless it is empty.
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
        let mut worker =
            Worker { search: self, scorer: Scorer::default(), best: Best::new(self.request.limit), path: Vec::new(), deferred: Vec::new() };
        let (mut folders, mut folder_states) = (Vec::new(), FolderStates::new(query));
        while let Some(chunk) = self.chunk() {
            for node in chunk {
                let listing = &self.tree.nodes()[node].listing;
                // The names must contain the required characters that the folders lack.
                let required = query.required() & !listing.directory_characters();
                if required & !listing.all_characters() != 0 {
                    continue;
                }
                self.prefix(node, &mut folders);
                let is_plain = listing.directory_characters() != listing::ALL;
                let mut states = None;
                for (entry, (name, what, characters)) in listing.entries().enumerate() {
                    if required & !characters != 0 {
                        continue;
                    }
                    let is_directory = what == EntryKind::Directory;
                    let length = u32::try_from(folders.len() + name.len() + usize::from(is_directory)).unwrap_or(u32::MAX);
                    let mut upper_bound = query.max_score(name.len(), characters != listing::ALL);
                    if !self.wants(what) || pack(upper_bound, length) < self.lower_bound.load(Ordering::Relaxed) {
                        continue;
                    }
                    // Folders and name are ASCII.
                    if is_plain && characters != listing::ALL {
                        // Far cheaper than scoring, and usually enough to prune the candidate.
                        let start = *states.get_or_insert_with(|| folder_states.start(query, &folders));
                        let Some(tighter) = query.max_score_for(&folder_states.states[start..], name, is_directory) else { continue };
                        upper_bound = tighter;
                    }
                    worker.add(Deferred { upper_bound: pack(upper_bound, length), node, entry }, query.is_promising(upper_bound));
                }
            }
        }
        worker.score_deferred();
        worker.best.into_vec()
    }

    /// Without a query: by depth, directories first.
    fn all(&self) -> Vec<Candidate> {
        let (mut best, mut path) = (Best::new(self.request.limit), Vec::new());
        while let Some(chunk) = self.chunk() {
            for node in chunk {
                self.prefix(node, &mut path);
                let depth = u32::try_from(path.iter().filter(|byte| **byte == b'/').count()).unwrap_or(u32::MAX);
                if pack(0, depth * 2) < self.lower_bound.load(Ordering::Relaxed) {
                    continue;
                }
                let listing = &self.tree.nodes()[node].listing;
                for (entry, (_, what)) in listing.iter().enumerate().filter(|(_, (_, what))| self.wants(*what)) {
                    let length = Reverse(depth * 2 + u32::from(what == EntryKind::File));
                    let candidate = Candidate { score: 0, length, node: Reverse(node), entry: Reverse(entry) };
                    if let Some(worst) = best.push(candidate) {
                        self.lower_bound.fetch_max(pack(0, worst.length.0), Ordering::Relaxed);
                    }
                }
            }
        }
        best.into_vec()
    }

    /// Adds the bonus of recently used files, and sorts.
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
