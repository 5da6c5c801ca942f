//! Rereads changed directories and builds the next tree. Each directory is read once. Watches of removed directories
//! are released before new ones are added, directories that are only reread keep theirs, and unchanged listings stay
//! shared.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::Arc,
};

use super::{
    listing::{self, EntryKind, Listing},
    tree::Tree,
    walk::{self, AddWatch, Bounds},
};
use crate::{
    file::names::{self, Directory, Names},
    git::ignore::{Found, Rules},
    stdx::paths::AbsPath,
};

/// The directories to reread, as paths relative to the root, whose own path is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Directories whose entries may have changed.
    pub names: BTreeSet<Vec<u8>>,
    /// Directories to reread recursively.
    pub all: BTreeSet<Vec<u8>>,
}

impl Dirty {
    pub fn everything() -> Self {
        Self { names: BTreeSet::new(), all: BTreeSet::from([Vec::new()]) }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.all.is_empty()
    }
}

pub trait Watches: AddWatch {
    /// Removes the watch of a directory that is no longer at this path, unless the watch has moved to another path
    /// meanwhile.
    fn remove_watch(&self, watch: i32, directory: &[u8]);

    /// Whether no more watches can be added.
    fn is_full(&self) -> bool;
}

impl Watches for walk::NoWatches {
    fn remove_watch(&self, _: i32, _: &[u8]) {}

    fn is_full(&self) -> bool {
        true
    }
}

struct Refresh<'a> {
    root: &'a AbsPath,
    bounds: Bounds,
    watches: &'a dyn Watches,
    is_over: &'a (dyn Fn() -> bool + Sync),
    old: &'a Tree,
    tree: Tree,
    /// The number of names in the tree.
    entries: usize,
    top: Arc<Rules>,
    rules_by_directory: HashMap<Vec<u8>, Option<Arc<Rules>>>,
    removed: BTreeSet<Vec<u8>>,
    to_read: BTreeSet<Vec<u8>>,
}

/// Builds the next tree.
pub fn refresh(
    root: &AbsPath,
    old: &Tree,
    dirty: &Dirty,
    bounds: Bounds,
    watches: &dyn Watches,
    is_over: &(dyn Fn() -> bool + Sync),
) -> io::Result<Tree> {
    let mut refresh = Refresh {
        root,
        bounds,
        watches,
        is_over,
        old,
        tree: old.clone(),
        entries: old.entries(),
        top: Rules::above(root),
        rules_by_directory: HashMap::new(),
        removed: BTreeSet::new(),
        to_read: BTreeSet::new(),
    };
    if dirty.all.contains(&b""[..]) {
        refresh.reread(b"")?;
    } else {
        // Sorted: parents come first.
        for directory in &dirty.names {
            refresh.names(directory)?;
        }
        for directory in &dirty.all {
            refresh.reread(directory)?;
        }
    }
    refresh.finish()
}

impl Refresh<'_> {
    /// The rules in a directory, read at most once.
    fn rules(&mut self, directory: &[u8]) -> Option<Arc<Rules>> {
        if let Some(known) = self.rules_by_directory.get(directory) {
            return known.clone();
        }
        let path = self.root.join(names::as_path(directory));
        let rules = match listing::split(directory) {
            None => Some(self.top.enter(path.as_path(), Found::UNKNOWN).unwrap_or_else(|| self.top.without_rules())),
            Some((parent, _)) => self.rules(parent).and_then(|above| above.enter(path.as_path(), Found::UNKNOWN)),
        };
        self.rules_by_directory.insert(directory.to_vec(), rules.clone());
        rules
    }

    fn rules_above(&mut self, directory: &[u8]) -> Option<Arc<Rules>> {
        match listing::split(directory) {
            None => Some(Arc::clone(&self.top)),
            Some((parent, _)) => self.rules(parent),
        }
    }

    /// Rereads the entries of a directory.
    fn names(&mut self, directory: &[u8]) -> io::Result<()> {
        if !self.is_named(directory) {
            return self.reread_parent(directory);
        }
        let Some(place) = self.tree.position(directory) else { return Ok(()) };
        let Some(above) = self.rules_above(directory) else {
            self.removed.insert(directory.to_vec());
            return Ok(());
        };
        let path = self.root.join(names::as_path(directory));
        let held = self.tree.nodes()[place].listing.len();
        let remaining = (self.bounds.entries + held).saturating_sub(self.entries);
        let read =
            Directory::open(&path).and_then(|opened| walk::read(&opened, self.root, directory, &above, &mut Names::default(), remaining));
        let read = match read {
            Ok(read) if read.rules.is_some() => read,
            Err(error) if directory.is_empty() => return Err(error),
            // It was removed or cannot be entered any more. If its parent still lists it, the walk handles it.
            Ok(_) | Err(_) => {
                return self.reread(directory);
            }
        };
        let node = &mut self.tree.nodes_mut()[place];
        let before = std::mem::replace(&mut node.listing, read.listing);
        node.stamp = read.stamp;
        self.entries = self.entries + node.listing.len() - held;
        let after = node.listing.clone();
        if read.cut {
            self.tree.cut = self.tree.cut.or(Some(super::tree::Cut::Entries));
        }
        let directories = |listing: &Listing| {
            let names = listing.iter().filter(|(_, what)| *what == EntryKind::Directory).map(|(name, _)| listing.path(name));
            names.collect::<BTreeSet<_>>()
        };
        let (before, after) = (directories(&before), directories(&after));
        self.removed.extend(before.difference(&after).cloned());
        self.to_read.extend(after.difference(&before).cloned());
        Ok(())
    }

    /// Drops a directory with its contents, and reads it again if it exists.
    fn reread(&mut self, directory: &[u8]) -> io::Result<()> {
        if !self.is_named(directory) {
            return self.reread_parent(directory);
        }
        self.removed.insert(directory.to_vec());
        self.to_read.insert(directory.to_vec());
        Ok(())
    }

    fn is_named(&self, directory: &[u8]) -> bool {
        directory.is_empty() || self.tree.what(directory) == Some(EntryKind::Directory)
    }

    /// For a directory that is not listed, because it was removed or could not be entered: rereads its parent.
    fn reread_parent(&mut self, directory: &[u8]) -> io::Result<()> {
        let Some((parent, _)) = listing::split(directory) else { return Ok(()) };
        // Ignores a directory that was never in the tree.
        if self.tree.position(directory).is_some() && self.removed.insert(directory.to_vec()) {
            self.names(parent)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Tree> {
        let mut cut = if self.to_read.contains(&b""[..]) { None } else { self.tree.cut };
        let removed = topmost(&self.removed);
        let to_read = topmost(&self.to_read);
        let is_removed = |directory: &[u8]| is_below(directory, &removed);
        let rules: Vec<_> = to_read.iter().map(|directory| (directory.clone(), self.rules_above(directory))).collect();
        let mut nodes = self.tree.into_nodes();
        // A directory keeps its watch while it is reread, so that no change is missed; except when there are no free
        // watches.
        let stays_watched = |directory: &[u8]| !self.watches.is_full() && is_below(directory, &to_read);
        let mut maybe_removed = Vec::new();
        nodes.retain(|node| {
            let directory = node.listing.directory();
            let stays = !is_removed(directory);
            if !stays && stays_watched(directory) {
                maybe_removed.push((node.watch, node.listing.clone()));
            } else if !stays {
                self.watches.remove_watch(node.watch, directory);
            }
            stays
        });
        let mut closed = Vec::new();
        for (directory, above) in rules {
            // Skip directories whose parent is removed.
            let has_parent = listing::split(&directory).is_none_or(|(parent, _)| !is_removed(parent));
            let Some(above) = above.filter(|_| has_parent) else { continue };
            let held: usize = nodes.iter().map(|node| node.listing.len()).sum();
            let bounds = Bounds { entries: self.bounds.entries.saturating_sub(held), ..self.bounds };
            match walk::walk(self.root, &directory, above, bounds, self.watches, self.is_over) {
                Ok(walked) => {
                    cut = cut.or(walked.cut);
                    closed.extend(walked.closed);
                    nodes.extend(walked.nodes);
                }
                Err(error) if directory.is_empty() => return Err(error),
                // It was removed after its parent was read; the parent gets an event for that too.
                Err(error) => tracing::trace!(%error, "a directory was removed while reading"),
            }
        }
        let mut tree = remove_closed(Tree::new(nodes, cut), &closed);
        for (watch, listing) in maybe_removed {
            if tree.get(listing.directory()).is_none_or(|node| node.watch != watch) {
                self.watches.remove_watch(watch, listing.directory());
            }
        }
        tree.share(self.old);
        Ok(tree)
    }
}

/// Removes directories that cannot be entered from the listings of their parents.
pub fn remove_closed(mut tree: Tree, closed: &[Vec<u8>]) -> Tree {
    for directory in closed {
        let Some((parent, name)) = listing::split(directory) else { continue };
        if let Some(place) = tree.position(parent) {
            let node = &mut tree.nodes_mut()[place];
            node.listing = node.listing.without(name);
        }
    }
    tree
}

/// The directories that are not inside another one of them.
fn topmost(directories: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    directories.iter().filter(|directory| !parents(directory).any(|above| directories.contains(above))).cloned().collect()
}

fn is_below(directory: &[u8], tops: &BTreeSet<Vec<u8>>) -> bool {
    !tops.is_empty() && (tops.contains(directory) || parents(directory).any(|above| tops.contains(above)))
}

/// All parents of a path, the root last.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(listing::split(path).map(|(parent, _)| parent), |above| listing::split(above).map(|(parent, _)| parent))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{Mutex, atomic::AtomicI32},
    };

    use super::*;

    /// Assigns a number to each directory, and records the removed ones.
    #[derive(Default)]
    struct Recorded {
        next: AtomicI32,
        numbers: Mutex<HashMap<Vec<u8>, i32>>,
        left: Mutex<Vec<String>>,
        is_full: bool,
    }

    impl AddWatch for Recorded {
        fn add_watch(&self, _: &AbsPath, directory: &[u8]) -> i32 {
            let next = || self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            *self.numbers.lock().unwrap().entry(directory.to_vec()).or_insert_with(next)
        }
    }

    impl Watches for Recorded {
        fn remove_watch(&self, watch: i32, directory: &[u8]) {
            assert_eq!(self.numbers.lock().unwrap().get(directory), Some(&watch));
            self.left.lock().unwrap().push(String::from_utf8_lossy(directory).into_owned());
        }

        fn is_full(&self) -> bool {
            self.is_full
        }
    }

    #[test]
    fn a_reread_directory_keeps_its_watch_unless_watches_are_exhausted() {
        for (is_full, expected) in [(false, &["b", "b/c"][..]), (true, &["", "a", "b", "b/c"][..])] {
            let place = tempfile::tempdir().unwrap();
            let root = AbsPath::new(place.path()).unwrap().real().unwrap();
            fs::create_dir_all(root.join("a")).unwrap();
            fs::create_dir_all(root.join("b/c")).unwrap();
            let watches = Recorded { is_full, ..Recorded::default() };
            let walked = walk::walk(&root, b"", Rules::above(&root), Bounds::REPOSITORY, &watches, &|| false).unwrap();
            let old = Tree::new(walked.nodes, walked.cut);
            fs::remove_dir_all(root.join("b")).unwrap();
            let tree = refresh(&root, &old, &Dirty::everything(), Bounds::REPOSITORY, &watches, &|| false).unwrap();
            let directories: Vec<_> = tree.nodes().iter().map(|node| node.listing.directory()).collect();
            assert_eq!(directories, [&b""[..], b"a"]);
            assert_eq!(*watches.left.lock().unwrap(), expected);
        }
    }
}
