//! The last known state of each file of a checkout. A clean tracked file is known from git's index; other files are copied
//! into the store, within limits, when their stat data changes. Every detected change is recorded for the running commands.

use std::{
    collections::{BTreeMap, HashSet},
    fs::Metadata,
    sync::Arc,
    time::SystemTime,
};

use polytree_protocol::id::SessionId;

use super::{
    change::Change,
    index::Tracked,
    look::{self, Stat},
    objects::Objects,
    state::State,
};
use crate::{
    find::{EntryKind, Touched, Tree},
    git::{
        checkout::GitDirs,
        objects::{Borrowed, Id},
        path::{git_bytes, os_string},
    },
    stdx::paths::AbsPath,
};

/// The limits of what is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of a file, in bytes.
    pub file_bytes: u64,
    /// The number of files.
    pub files: usize,
    /// The total size, in bytes.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 2 << 20, files: 50_000, bytes: 512 << 20 }
    }
}

/// A file that is not known from git's index.
struct Known {
    state: State,
    /// Its stat data; `None` if it must be read again, or is absent.
    stat: Option<Stat>,
    /// The number of bytes that were copied.
    copied: Option<u64>,
}

/// A running command.
pub struct Active {
    /// Its session.
    pub session: SessionId,
    /// The state of each changed file before the command.
    pub before: BTreeMap<Vec<u8>, State>,
    /// Changes to files that a tool has changed afterwards.
    pub closed: Vec<Change>,
    /// The tree when it began.
    pub tree: Arc<Tree>,
    began: SystemTime,
}

/// Why a file that a command has made stays where it is.
const MOVED: &str = "a command may have moved it here from a place that is not covered, so it may be the only copy";

/// The known files of a checkout.
pub struct Ledger {
    root: AbsPath,
    git: Option<GitDirs>,
    limits: Limits,
    objects: Arc<Objects>,
    tracked: Option<Tracked>,
    known: BTreeMap<Vec<u8>, Known>,
    files: usize,
    bytes: u64,
    /// The running commands, by number.
    active: BTreeMap<u64, Active>,
    next: u64,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(root: AbsPath, git: Option<GitDirs>, limits: Limits, objects: Arc<Objects>) -> Self {
        let (tracked, known, active) = (None, BTreeMap::new(), BTreeMap::new());
        Self { root, git, limits, objects, tracked, known, files: 0, bytes: 0, active, next: 0 }
    }

    /// Checks the files that may have changed.
    pub fn refresh(&mut self, tree: &Tree, touched: &Touched) {
        let mut paths = self.read_index();
        if touched.everything {
            paths.extend(all_files(tree, 0..tree.nodes().len()));
            paths.extend(self.tracked.iter().flat_map(Tracked::paths).map(<[u8]>::to_owned));
            paths.extend(self.known.keys().cloned());
        } else {
            for path in &touched.paths {
                // A file or a directory, new, gone, or both.
                paths.extend(all_files(tree, tree.below(path)));
                paths.extend(self.tracked.iter().flat_map(|tracked| tracked.below(path)).map(<[u8]>::to_owned));
                let below = |other: &[u8]| {
                    other == path || path.is_empty() || other.strip_prefix(&path[..]).is_some_and(|rest| rest.starts_with(b"/"))
                };
                paths.extend(
                    self.known
                        .range(path.clone()..)
                        .map(|(other, _)| other)
                        .take_while(|other| other.starts_with(path))
                        .filter(|other| below(other))
                        .cloned(),
                );
                if tree.what(path) == Some(EntryKind::File) {
                    paths.push(path.clone());
                }
            }
        }
        paths.sort_unstable();
        paths.dedup();
        for (path, metadata) in stat_all(&self.root, paths) {
            self.visit(path, metadata);
        }
    }

    /// Reads git's index again if it was written. Returns the files whose entries differ.
    fn read_index(&mut self) -> Vec<Vec<u8>> {
        let Some(git) = &self.git else { return Vec::new() };
        if self.tracked.as_ref().is_some_and(|tracked| tracked.is_current(git)) {
            return Vec::new();
        }
        let later = Tracked::read(&self.root, git);
        let different = match (&self.tracked, &later) {
            (None, None) => Vec::new(),
            (Some(before), Some(later)) => before.difference(later),
            (before, later) => before.iter().chain(later).flat_map(Tracked::paths).map(<[u8]>::to_owned).collect(),
        };
        // Keep what is known only from the old index.
        for path in &different {
            if !self.known.contains_key(path) {
                let state = self.of_index(path).unwrap_or(State::Absent);
                self.known.insert(path.clone(), Known { state, stat: None, copied: None });
            }
        }
        self.tracked = later;
        different
    }

    fn of_index(&self, path: &[u8]) -> Option<State> {
        let tracked = self.tracked.as_ref()?;
        tracked.state(tracked.find(path)?)
    }

    /// The last known state of a file.
    pub fn state(&self, path: &[u8]) -> State {
        match self.known.get(path) {
            Some(known) => known.state.clone(),
            None => self.of_index(path).unwrap_or(State::Absent),
        }
    }

    fn visit(&mut self, path: Vec<u8>, metadata: Option<Metadata>) {
        let metadata = metadata.filter(|metadata| !metadata.is_dir());
        let stat = metadata.as_ref().map(Stat::of);
        if let Some(known) = self.known.get(&path)
            && known.stat == stat
            && (stat.is_some() || (metadata.is_none() && known.state == State::Absent))
        {
            return;
        }
        let before = self.state(&path);
        let clean = metadata.as_ref().and_then(|metadata| {
            let tracked = self.tracked.as_ref()?;
            let file = tracked.find(&path).filter(|file| tracked.is_clean(*file, metadata))?;
            tracked.state(file)
        });
        let is_clean = clean.is_some();
        let (after, copied, stat) = match (clean, stat) {
            (Some(state), _) => (state, None, None),
            (None, None) => (State::Absent, None, None),
            (None, Some(stat)) => self.copy(&path, stat),
        };
        self.forget(&path);
        let is_tracked = self.tracked.as_ref().is_some_and(|tracked| tracked.find(&path).is_some());
        // An untracked file that is absent needs no entry.
        if !is_clean && (after != State::Absent || is_tracked) {
            self.files += usize::from(copied.is_some());
            self.bytes += copied.unwrap_or(0);
            self.known.insert(path.clone(), Known { state: after.clone(), stat, copied });
        }
        if !before.is_same(&after) {
            self.tell(&path, &before);
        }
    }

    /// Copies a file into the store, within the limits.
    fn copy(&self, path: &[u8], stat: Stat) -> (State, Option<u64>, Option<Stat>) {
        let freed = self.known.get(path).and_then(|known| known.copied);
        let files = self.files - usize::from(freed.is_some());
        let bytes = self.bytes - freed.unwrap_or(0);
        if files >= self.limits.files || bytes >= self.limits.bytes {
            let reason = format!(
                "the directory holds more than {} files or {} MiB that git does not keep",
                self.limits.files,
                self.limits.bytes >> 20
            );
            return (State::unknown(reason), None, Some(stat));
        }
        let began = SystemTime::now();
        let seen = look::look(&self.root.join(os_string(path)), self.limits.file_bytes);
        let Some(content) = seen.content else { return (seen.state, None, Some(stat)) };
        if let Err(error) = self.objects.write(&content) {
            return (State::unknown(format!("its image could not be kept: {error}")), None, Some(stat));
        }
        // A file that may have changed while it was read is read again next time.
        (seen.state, Some(content.len() as u64), Some(stat).filter(|stat| !stat.is_unsure(began)))
    }

    fn forget(&mut self, path: &[u8]) {
        if let Some(copied) = self.known.remove(path).and_then(|known| known.copied) {
            self.files -= 1;
            self.bytes -= copied;
        }
    }

    /// Records a change for the running commands. If they belong to several sessions, the change cannot be attributed.
    fn tell(&mut self, path: &[u8], before: &State) {
        let mut sessions = self.active.values().map(|active| &active.session);
        let first = sessions.next();
        let is_shared = sessions.any(|session| Some(session) != first);
        for active in self.active.values_mut() {
            let before = if is_shared { State::unknown("commands of several sessions ran at the same time") } else { before.clone() };
            active.before.entry(path.to_vec()).or_insert(before);
        }
    }

    /// The ids of all contents that it knows.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        let known = self.known.values().map(|known| &known.state);
        let of_command = |active: &Active| {
            let closed = active.closed.iter().flat_map(|change| [&change.before, &change.after]);
            active.before.values().chain(closed).filter_map(State::content).collect::<Vec<_>>()
        };
        known.filter_map(State::content).chain(self.active.values().flat_map(of_command)).map(|(id, _)| id)
    }

    /// Registers a command and returns its number.
    pub fn begin(&mut self, session: SessionId, tree: Arc<Tree>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.active.insert(number, Active { session, before: BTreeMap::new(), closed: Vec::new(), tree, began: SystemTime::now() });
        number
    }

    /// Removes a command.
    pub fn give_up(&mut self, number: u64) {
        self.active.remove(&number);
    }

    /// Returns the changes that a command has made.
    pub fn end(&mut self, number: u64) -> Vec<Change> {
        let Some(active) = self.active.remove(&number) else { return Vec::new() };
        let mut changes = active.closed;
        let borrowed = self.git.as_ref().and_then(|git| Borrowed::open(&git.common));
        for (path, before) in active.before {
            let after = self.state(&path);
            if before.is_same(&after) {
                continue;
            }
            changes.push(change(&self.root, &path, before, after, &active.tree));
        }
        keep_moved(&mut changes, active.began);
        for change in &mut changes {
            for state in [&mut change.before, &mut change.after] {
                self.own(state, borrowed.as_ref());
            }
        }
        changes
    }

    /// Copies a content that only the repository has, since git may remove it later.
    fn own(&self, state: &mut State, borrowed: Option<&Borrowed>) {
        let Some((id, size)) = state.content().filter(|(id, _)| self.objects.renew(*id).is_none()) else { return };
        let content = borrowed.and_then(|borrowed| borrowed.read(id, size));
        let kept = content.map(|content| self.objects.write(&content));
        match kept {
            Some(Ok(_)) => {}
            Some(Err(error)) => *state = State::unknown(format!("its image could not be kept: {error}")),
            None => *state = State::unknown("the repository holds it in another form, or not at all"),
        }
    }

    /// Something other than a command is about to change these files. The changes so far belong to the commands.
    pub fn close(&mut self, paths: &[AbsPath]) {
        let mut active = std::mem::take(&mut self.active);
        for name in paths.iter().filter_map(|path| self.name(path)) {
            let now = self.state(&name);
            for active in active.values_mut() {
                if let Some(before) = active.before.remove(&name)
                    && !before.is_same(&now)
                {
                    active.closed.push(change(&self.root, &name, before, now.clone(), &active.tree));
                }
            }
        }
        self.active = active;
    }

    /// Something other than a command has changed these files: takes their states without recording a change.
    pub fn absorb(&mut self, tree: &Tree, paths: &[AbsPath]) {
        let active = std::mem::take(&mut self.active);
        for path in paths {
            let Some(name) = self.name(path) else { continue };
            let is_tracked = self.tracked.as_ref().is_some_and(|tracked| tracked.find(&name).is_some());
            // Ignored files are not tracked.
            if is_tracked || self.known.contains_key(&name) || tree.what(&name) == Some(EntryKind::File) {
                self.visit(name, std::fs::symlink_metadata(path).ok());
            }
        }
        self.active = active;
    }

    fn name(&self, path: &AbsPath) -> Option<Vec<u8>> {
        path.as_path().strip_prefix(&self.root).ok().map(|relative| git_bytes(relative.as_os_str()))
    }
}

fn change(root: &AbsPath, path: &[u8], before: State, after: State, tree: &Tree) -> Change {
    let parents = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    let is_new = before == State::Absent;
    let new = parents.take_while(|parent| is_new && tree.position(parent).is_none()).count();
    Change { path: root.join(os_string(path)), before, after, new_directories: u32::try_from(new).unwrap_or(0) }
}

/// Marks new files whose content may have been somewhere else before, and is not there any more: to delete them could destroy
/// the only copy. That is what a file older than the command tells, and a removed file of which there is no image.
fn keep_moved(changes: &mut [Change], began: SystemTime) {
    let is_gone = |change: &&Change| change.after == State::Absent;
    let removed: HashSet<Id> = changes.iter().filter(is_gone).filter_map(|change| Some(change.before.content()?.0)).collect();
    let lost = changes.iter().filter(is_gone).any(|change| matches!(change.before, State::Unknown { .. }));
    for change in changes.iter_mut().filter(|change| change.before == State::Absent) {
        let is_covered = change.after.content().is_none_or(|(id, _)| removed.contains(&id));
        if !is_covered && (lost || look::is_older(&change.path, began)) {
            change.before = State::unknown(MOVED);
        }
    }
}

fn all_files(tree: &Tree, nodes: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for node in &tree.nodes()[nodes] {
        let names = node.listing.iter().filter(|(_, kind)| *kind == EntryKind::File);
        files.extend(names.map(|(name, _)| node.listing.path(name)));
    }
    files
}

/// Reads the stat data of files, on several threads if there are many.
fn stat_all(root: &AbsPath, paths: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Option<Metadata>)> {
    let ask = |path: Vec<u8>| {
        let metadata = std::fs::symlink_metadata(root.join(os_string(&path))).ok();
        (path, metadata)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    if paths.len() < 1000 || threads == 1 {
        return paths.into_iter().map(ask).collect();
    }
    let mut parts: Vec<Vec<Vec<u8>>> = Vec::new();
    let size = paths.len().div_ceil(threads);
    let mut paths = paths.into_iter();
    loop {
        let part: Vec<_> = paths.by_ref().take(size).collect();
        if part.is_empty() {
            break;
        }
        parts.push(part);
    }
    std::thread::scope(|scope| {
        let ask = &ask;
        let works: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || part.into_iter().map(ask).collect::<Vec<_>>())).collect();
        works.into_iter().filter_map(|work| work.join().ok()).flatten().collect()
    })
}
