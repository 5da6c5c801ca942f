//! All directories of one worktree with their names: a sorted list of shared listings. A tree is an immutable snapshot;
//! the index task builds the next one.

use std::ops::Range;

use super::listing::{self, EntryKind, Listing};

pub const NO_WATCH: i32 = -1;
/// The stamp of a directory that may have changed within one tick of the clock after it was read, so it must be read
/// again.
pub const UNSURE: i64 = i64::MIN;
/// The stamp of a directory without read permission.
pub const UNREADABLE: i64 = 0;

#[derive(Debug, Clone)]
pub struct Node {
    pub listing: Listing,
    /// The state of the directory before it was read, derived from its modification time.
    pub stamp: i64,
    /// Its watch descriptor, or [`NO_WATCH`].
    pub watch: i32,
}

impl Node {
    /// Whether there is no read permission.
    pub fn is_unreadable(&self) -> bool {
        self.stamp == UNREADABLE
    }
}

/// Why an index is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The limit of names was reached.
    Entries,
    /// The limit of depth was reached.
    Depth,
    /// Reading timed out.
    Time,
}

impl Cut {
    /// The word for it in a diagnosis.
    pub fn word(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Depth => "depth",
            Self::Time => "time",
        }
    }
}

/// The directories of a worktree.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Why it is incomplete.
    pub cut: Option<Cut>,
}

impl Tree {
    /// The tree of these directories, in any order.
    pub fn new(mut nodes: Vec<Node>, cut: Option<Cut>) -> Self {
        // A stable sort is fast for nearly sorted input.
        nodes.sort_by(|one, other| listing::order(one.listing.directory(), other.listing.directory()));
        nodes.shrink_to_fit();
        Self { nodes, cut }
    }

    /// The directories in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// For changing listings, stamps and watches; the order must not change.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Takes the directories, to build another tree.
    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// The index of a directory.
    pub fn position(&self, directory: &[u8]) -> Option<usize> {
        self.nodes.binary_search_by(|node| listing::order(node.listing.directory(), directory)).ok()
    }

    /// The directory with this path.
    pub fn get(&self, directory: &[u8]) -> Option<&Node> {
        self.position(directory).map(|place| &self.nodes[place])
    }

    /// The range of a directory and its contents.
    pub fn below(&self, directory: &[u8]) -> Range<usize> {
        let Some(start) = self.position(directory) else { return 0..0 };
        let length = self.nodes[start..].partition_point(|node| listing::is_within(node.listing.directory(), directory));
        start..start + length
    }

    /// The type of the entry at a path.
    pub fn what(&self, path: &[u8]) -> Option<EntryKind> {
        let (directory, name) = listing::split(path)?;
        self.get(directory)?.listing.find(name).map(|(_, what)| what)
    }

    /// The number of names, files and directories.
    pub fn entries(&self) -> usize {
        self.nodes.iter().map(|node| node.listing.len()).sum()
    }

    /// The number of directories without a watch.
    pub fn unwatched(&self) -> usize {
        self.nodes.iter().filter(|node| node.watch == NO_WATCH).count()
    }

    /// The memory use in bytes, including shared memory.
    pub fn bytes(&self) -> usize {
        let shared: usize = self.nodes.iter().map(|node| node.listing.bytes()).sum();
        shared + self.nodes.capacity() * size_of::<Node>()
    }

    /// Replaces listings by equal ones of another tree, so that both share the memory.
    pub fn share(&mut self, other: &Self) {
        let mut others = other.nodes.iter().peekable();
        for node in &mut self.nodes {
            while others.next_if(|other| listing::order(other.listing.directory(), node.listing.directory()).is_lt()).is_some() {}
            if let Some(other) = others.peek()
                && !other.listing.is_same(&node.listing)
                && other.listing == node.listing
            {
                node.listing = other.listing.clone();
            }
        }
    }

    /// Calls `report` for every file that is in only one of two trees, with its path and whether it is in the later
    /// one.
    pub fn difference(&self, later: &Self, mut report: impl FnMut(Vec<u8>, bool)) {
        let (mut old, mut new) = (self.nodes.iter().peekable(), later.nodes.iter().peekable());
        loop {
            let directory = |node: Option<&&Node>| node.map(|node| node.listing.clone());
            let (before, after) = match (directory(old.peek()), directory(new.peek())) {
                (None, None) => return,
                (before, None) => (before, None),
                (None, after) => (None, after),
                (Some(before), Some(after)) => match listing::order(before.directory(), after.directory()) {
                    std::cmp::Ordering::Less => (Some(before), None),
                    std::cmp::Ordering::Greater => (None, Some(after)),
                    std::cmp::Ordering::Equal => (Some(before), Some(after)),
                },
            };
            if before.is_some() {
                old.next();
            }
            if after.is_some() {
                new.next();
            }
            let same = matches!((&before, &after), (Some(before), Some(after)) if before.is_same(after));
            if !same {
                names(before.as_ref(), after.as_ref(), &mut report);
            }
        }
    }
}

fn names(before: Option<&Listing>, after: Option<&Listing>, report: &mut impl FnMut(Vec<u8>, bool)) {
    let lacks =
        |listing: Option<&Listing>, name: &[u8]| !listing.is_some_and(|listing| matches!(listing.find(name), Some((_, EntryKind::File))));
    for (own, other, is_later) in [(before, after, false), (after, before, true)] {
        let Some(own) = own else { continue };
        for (name, _) in own.iter().filter(|(_, what)| *what == EntryKind::File) {
            if lacks(other, name) {
                report(own.path(name), is_later);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn tree(paths: &BTreeSet<String>) -> Tree {
        let mut directories: BTreeMap<&str, BTreeMap<&str, EntryKind>> = BTreeMap::from([("", BTreeMap::new())]);
        for path in paths {
            let mut path = path.as_str();
            let mut what = EntryKind::File;
            while !path.is_empty() {
                let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
                directories.entry(directory).or_default().insert(name, what);
                what = EntryKind::Directory;
                path = directory;
            }
        }
        let nodes = directories.iter().map(|(directory, names)| {
            let found = names.iter().map(|(name, what)| (name.as_bytes(), *what)).collect();
            Node { listing: Listing::new(directory.as_bytes(), found), stamp: 0, watch: NO_WATCH }
        });
        Tree::new(nodes.collect(), None)
    }

    fn paths() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("d[a-c]/(d[a-c]/){0,2}f[a-d]|f[a-d]", 0..20)
    }

    proptest! {
        #[test]
        fn differences_and_ranges(one in paths(), other in paths()) {
            let (before, after) = (tree(&one), tree(&other));
            let mut reported = BTreeSet::new();
            before.difference(&after, |path, is_later| assert!(reported.insert((String::from_utf8(path).unwrap(), is_later))));
            let expected = one.difference(&other).map(|path| (path.clone(), false)).chain(other.difference(&one).map(|path| (path.clone(), true)));
            prop_assert_eq!(reported, expected.collect());
            for path in &one {
                prop_assert_eq!(before.what(path.as_bytes()), Some(EntryKind::File));
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                let below = &before.nodes()[before.below(directory.as_bytes())];
                prop_assert_eq!(below.len(), before.nodes().iter().filter(|node| listing::is_within(node.listing.directory(), directory.as_bytes())).count());
            }
        }

        #[test]
        fn equal_listings_are_shared(one in paths(), other in paths()) {
            let (mine, mut yours) = (tree(&one), tree(&other));
            yours.share(&mine);
            prop_assert_eq!(yours.nodes().len(), tree(&other).nodes().len());
            for node in yours.nodes() {
                let alike = mine.get(node.listing.directory()).filter(|mine| mine.listing == node.listing);
                prop_assert_eq!(alike.is_some_and(|mine| mine.listing.is_same(&node.listing)), alike.is_some());
            }
            yours.difference(&tree(&other), |path, _| panic!("{path:?} was lost"));
        }
    }

    /// At most twelve bytes per file beside the paths, with eighteen files per directory, as in large repositories.
    #[test]
    fn memory_per_file_is_bounded() {
        let paths: BTreeSet<String> = (0..20_000)
            .map(|n| format!("packages/module-{:03}/source/{}/component_{n:05}.rs", n % 370, ["parser", "server", "client"][n % 3]))
            .collect();
        let tree = tree(&paths);
        assert_eq!(tree.nodes().len(), 1110 + 2 * 370 + 2);
        let limit = paths.iter().map(|path| path.len() + 12).sum::<usize>();
        assert!(tree.bytes() <= limit, "{} bytes and not {limit}", tree.bytes());
    }
}
