//! All files in a directory, recursively, as every search sees them: with hidden files, without `.git` and ignored
//! files, and with symbolic links, which are never followed. They come from the file index if there is one, otherwise
//! from a walk.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    listing::{EntryKind, is_within},
    refresh::remove_closed,
    tree::Tree,
    walk::{self, Bounds, NoWatches},
};
use crate::{file::names::as_path, git::ignore::Rules, stdx::paths::AbsPath};

/// The files in a directory, recursively.
#[derive(Debug, Clone)]
pub struct Files {
    /// The root of the tree, a real path.
    root: AbsPath,
    tree: Arc<Tree>,
    /// The directory, relative to the root.
    directory: Vec<u8>,
}

impl Files {
    /// The files of a tree with this root in a directory; `None` if the tree does not contain the directory.
    pub fn of_tree(root: AbsPath, tree: Arc<Tree>, directory: Vec<u8>) -> Option<Self> {
        tree.position(&directory)?;
        Some(Self { root, tree, directory })
    }

    /// Walks a directory. Ends early, with the files found so far, when `is_over` returns true.
    pub fn walk(root: &AbsPath, bounds: Bounds, is_over: &(dyn Fn() -> bool + Sync)) -> io::Result<Self> {
        let walked = walk::walk(root, b"", Rules::above(root), bounds, &NoWatches, is_over)?;
        let tree = remove_closed(Tree::new(walked.nodes, walked.cut), &walked.closed);
        Ok(Self { root: root.clone(), tree: Arc::new(tree), directory: Vec::new() })
    }

    /// Whether the list was truncated by a limit.
    pub fn is_cut(&self) -> bool {
        self.tree.cut.is_some()
    }

    /// The number of directories that could not be read.
    pub fn unreadable(&self) -> usize {
        self.tree.nodes()[self.tree.below(&self.directory)].iter().filter(|node| node.is_unreadable()).count()
    }

    /// Visits every entry recursively by its absolute path, a directory before its contents. Entries for which `keep`
    /// returns false are skipped, directories with their contents.
    pub fn visit(&self, keep: impl FnMut(&Path, EntryKind) -> bool, mut visit: impl FnMut(&Path, EntryKind)) {
        self.each(keep, |path, kind, _| visit(path, kind));
    }

    /// The files that `keep` accepts, see [`Files::visit`]; far smaller than their paths.
    pub fn select(&self, keep: impl FnMut(&Path, EntryKind) -> bool) -> Vec<FileNumber> {
        let mut selected = Vec::new();
        self.each(keep, |_, kind, number| {
            if kind == EntryKind::File {
                selected.push(number);
            }
        });
        selected
    }

    /// The absolute path of a file.
    pub fn path(&self, FileNumber { node, name }: FileNumber) -> PathBuf {
        let listing = &self.tree.nodes()[node as usize].listing;
        let mut path = self.root.as_path().to_owned();
        path.push(as_path(&listing.path(listing.get(name as usize).0)));
        path
    }

    fn each(&self, mut keep: impl FnMut(&Path, EntryKind) -> bool, mut visit: impl FnMut(&Path, EntryKind, FileNumber)) {
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let nodes = self.tree.nodes();
        // A directory comes directly before its contents, so one path is enough to skip them.
        let mut skipped: Option<&[u8]> = None;
        let mut path = PathBuf::new();
        for index in self.tree.below(&self.directory) {
            let listing = &nodes[index].listing;
            let (directory, node) = (listing.directory(), number(index));
            if skipped.is_some_and(|top| is_within(directory, top)) {
                continue;
            }
            self.root.as_path().clone_into(&mut path);
            // Joining an empty path would add a separator.
            if !directory.is_empty() {
                path.push(as_path(directory));
            }
            if directory != self.directory {
                if !keep(&path, EntryKind::Directory) {
                    skipped = Some(directory);
                    continue;
                }
                visit(&path, EntryKind::Directory, FileNumber { node, name: 0 });
            }
            for (name, (text, kind)) in listing.iter().enumerate().filter(|(_, (_, kind))| *kind == EntryKind::File) {
                path.push(as_path(text));
                if keep(&path, kind) {
                    visit(&path, kind, FileNumber { node, name: number(name) });
                }
                path.pop();
            }
        }
    }
}

/// A file in a list.
#[derive(Debug, Clone, Copy)]
pub struct FileNumber {
    /// The index of its directory in the tree.
    node: u32,
    /// The index of its name in the directory.
    name: u32,
}

/// A file with its modification time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    pub path: PathBuf,
    /// 1970 if it is not known.
    pub modified: SystemTime,
}

impl Dated {
    /// Reads the modification time of a file; symbolic links are not followed.
    pub fn now(path: &Path) -> Self {
        let modified = path.symlink_metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { path: path.to_owned(), modified }
    }
}

/// Sorts the newest first, and files of equal age by path, so that the order is deterministic.
pub fn newest_first(files: &mut [Dated]) {
    files.sort_by(|one, other| other.modified.cmp(&one.modified).then_with(|| one.path.cmp(&other.path)));
}
