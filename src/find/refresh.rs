//! Looks again at what may have changed in a worktree and makes the next tree from it. All that it reads it reads once,
//! what has gone gives its watches back before what is new takes any, what is only read again keeps them meanwhile, and
//! listings that are as they were stay the same.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::Arc,
};

use super::{
    listing::{self, EntryKind, Listing},
    tree::Tree,
    walk::{self, Bounds, Enter},
};
use crate::{
    file::names::{self, Directory, Names},
    git::ignore::{Found, Rules},
    stdx::paths::AbsPath,
};

/// What has to be looked at again; paths relative to the root, whose own is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Directories whose names may have changed.
    pub names: BTreeSet<Vec<u8>>,
    /// Directories of which nothing is known any more, nor of what lies below them.
    pub all: BTreeSet<Vec<u8>>,
}

impl Dirty {
    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { names: BTreeSet::new(), all: BTreeSet::from([Vec::new()]) }
    }

    /// Whether there is nothing to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.all.is_empty()
    }
}

/// Who keeps the watches.
pub trait Watches: Enter {
    /// The directory is no longer at this path: its watch is not needed, unless it has moved elsewhere meanwhile.
    fn leave(&self, watch: i32, directory: &[u8]);

    /// Whether no more watches are to be had.
    fn is_full(&self) -> bool;
}

impl Watches for walk::Unwatched {
    fn leave(&self, _: i32, _: &[u8]) {}

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
    /// How many names the tree holds.
    entries: usize,
    top: Arc<Rules>,
    inside: HashMap<Vec<u8>, Option<Arc<Rules>>>,
    gone: BTreeSet<Vec<u8>>,
    fresh: BTreeSet<Vec<u8>>,
}

/// The next tree.
///
/// # Errors
/// When the root itself cannot be read.
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
        inside: HashMap::new(),
        gone: BTreeSet::new(),
        fresh: BTreeSet::new(),
    };
    if dirty.all.contains(&b""[..]) {
        refresh.again(b"")?;
    } else {
        // Parents come first in this order.
        for directory in &dirty.names {
            refresh.names(directory)?;
        }
        for directory in &dirty.all {
            refresh.again(directory)?;
        }
    }
    refresh.finish()
}

impl Refresh<'_> {
    /// The rules inside a directory, read again but once.
    fn rules(&mut self, directory: &[u8]) -> Option<Arc<Rules>> {
        if let Some(known) = self.inside.get(directory) {
            return known.clone();
        }
        let path = self.root.join(names::as_path(directory));
        let rules = match listing::split(directory) {
            None => Some(self.top.enter(path.as_path(), Found::UNKNOWN).unwrap_or_else(|| self.top.switched_off())),
            Some((parent, _)) => self.rules(parent).and_then(|above| above.enter(path.as_path(), Found::UNKNOWN)),
        };
        self.inside.insert(directory.to_vec(), rules.clone());
        rules
    }

    fn rules_above(&mut self, directory: &[u8]) -> Option<Arc<Rules>> {
        match listing::split(directory) {
            None => Some(Arc::clone(&self.top)),
            Some((parent, _)) => self.rules(parent),
        }
    }

    /// Reads the names of a directory.
    fn names(&mut self, directory: &[u8]) -> io::Result<()> {
        if !self.is_named(directory) {
            return self.parent(directory);
        }
        let Some(place) = self.tree.position(directory) else { return Ok(()) };
        let Some(above) = self.rules_above(directory) else {
            self.gone.insert(directory.to_vec());
            return Ok(());
        };
        let path = self.root.join(names::as_path(directory));
        let held = self.tree.nodes()[place].listing.len();
        let room = (self.bounds.entries + held).saturating_sub(self.entries);
        let read = Directory::open(&path).and_then(|opened| walk::read(&opened, self.root, directory, &above, &mut Names::default(), room));
        let read = match read {
            Ok(read) if read.rules.is_some() => read,
            Err(error) if directory.is_empty() => return Err(error),
            // It has gone, or nobody may enter it any more. If it is named still, the walk will tell.
            Ok(_) | Err(_) => {
                return self.again(directory);
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
        self.gone.extend(before.difference(&after).cloned());
        self.fresh.extend(after.difference(&before).cloned());
        Ok(())
    }

    /// Forgets a directory and all below it, and reads it if it is there.
    fn again(&mut self, directory: &[u8]) -> io::Result<()> {
        if !self.is_named(directory) {
            return self.parent(directory);
        }
        self.gone.insert(directory.to_vec());
        self.fresh.insert(directory.to_vec());
        Ok(())
    }

    fn is_named(&self, directory: &[u8]) -> bool {
        directory.is_empty() || self.tree.what(directory) == Some(EntryKind::Directory)
    }

    /// For a directory that has gone, or one that nobody might enter and that is therefore not named: what its parent names
    /// that was not named before is read.
    fn parent(&mut self, directory: &[u8]) -> io::Result<()> {
        let Some((parent, _)) = listing::split(directory) else { return Ok(()) };
        // One that was never there has no say.
        if self.tree.position(directory).is_some() && self.gone.insert(directory.to_vec()) {
            self.names(parent)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Tree> {
        let mut cut = if self.fresh.contains(&b""[..]) { None } else { self.tree.cut };
        let gone = topmost(&self.gone);
        let fresh = topmost(&self.fresh);
        let is_gone = |directory: &[u8]| is_below(directory, &gone);
        let rules: Vec<_> = fresh.iter().map(|directory| (directory.clone(), self.rules_above(directory))).collect();
        let mut nodes = self.tree.into_nodes();
        // What happens while a directory is read again is told, if only it stays watched; where watches are short, it is not.
        let stays_watched = |directory: &[u8]| !self.watches.is_full() && is_below(directory, &fresh);
        let mut perhaps_gone = Vec::new();
        nodes.retain(|node| {
            let directory = node.listing.directory();
            let stays = !is_gone(directory);
            if !stays && stays_watched(directory) {
                perhaps_gone.push((node.watch, node.listing.clone()));
            } else if !stays {
                self.watches.leave(node.watch, directory);
            }
            stays
        });
        let mut closed = Vec::new();
        for (directory, above) in rules {
            // Below a directory that was forgotten and is not read again there is nothing to read.
            let has_parent = listing::split(&directory).is_none_or(|(parent, _)| !is_gone(parent));
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
                // It went between its parent's reading and its own; the parent is told of that too.
                Err(error) => tracing::trace!(%error, "a directory has gone again"),
            }
        }
        let mut tree = close(Tree::new(nodes, cut), &closed);
        for (watch, listing) in perhaps_gone {
            if tree.get(listing.directory()).is_none_or(|node| node.watch != watch) {
                self.watches.leave(watch, listing.directory());
            }
        }
        tree.share(self.old);
        Ok(tree)
    }
}

/// Takes directories that may not be entered out of the names of their parents.
#[must_use]
pub fn close(mut tree: Tree, closed: &[Vec<u8>]) -> Tree {
    for directory in closed {
        let Some((parent, name)) = listing::split(directory) else { continue };
        if let Some(place) = tree.position(parent) {
            let node = &mut tree.nodes_mut()[place];
            node.listing = node.listing.without(name);
        }
    }
    tree
}

/// The directories that lie below no other of them, each with nothing.
fn topmost(directories: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    directories.iter().filter(|directory| !listing_parents(directory).any(|above| directories.contains(above))).cloned().collect()
}

fn is_below(directory: &[u8], tops: &BTreeSet<Vec<u8>>) -> bool {
    !tops.is_empty() && (tops.contains(directory) || listing_parents(directory).any(|above| tops.contains(above)))
}

/// All directories above a path, the root last.
fn listing_parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(listing::split(path).map(|(parent, _)| parent), |above| listing::split(above).map(|(parent, _)| parent))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{Mutex, atomic::AtomicI32},
    };

    use super::*;

    /// Gives a number to each directory, and remembers whose was given back.
    #[derive(Default)]
    struct Recorded {
        next: AtomicI32,
        numbers: Mutex<HashMap<Vec<u8>, i32>>,
        left: Mutex<Vec<String>>,
        is_full: bool,
    }

    impl Enter for Recorded {
        fn enter(&self, _: &AbsPath, directory: &[u8]) -> i32 {
            let next = || self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            *self.numbers.lock().unwrap().entry(directory.to_vec()).or_insert_with(next)
        }
    }

    impl Watches for Recorded {
        fn leave(&self, watch: i32, directory: &[u8]) {
            assert_eq!(self.numbers.lock().unwrap().get(directory), Some(&watch));
            self.left.lock().unwrap().push(String::from_utf8_lossy(directory).into_owned());
        }

        fn is_full(&self) -> bool {
            self.is_full
        }
    }

    #[test]
    fn what_is_read_again_keeps_its_watch_unless_they_are_short() {
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
