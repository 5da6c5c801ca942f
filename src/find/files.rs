//! All files below a directory, as every search sees them: hidden files are part of a project, git's own directory is
//! not, what ignore files name is left out, and symbolic links are named but never followed. They come from the index of
//! names where there is one, and else from a walk of their own.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    listing::{EntryKind, is_within},
    refresh::close,
    tree::Tree,
    walk::{self, Bounds, Unwatched},
};
use crate::{file::names::as_path, git::ignore::Rules, stdx::paths::AbsPath};

/// The files below a directory.
#[derive(Debug, Clone)]
pub struct Files {
    /// The top of the tree, a real path.
    root: AbsPath,
    tree: Arc<Tree>,
    /// The directory, relative to the top.
    directory: Vec<u8>,
}

impl Files {
    /// Those of a tree with this top below a directory; `None` where the tree does not hold the directory.
    #[must_use]
    pub fn of_tree(root: AbsPath, tree: Arc<Tree>, directory: Vec<u8>) -> Option<Self> {
        tree.position(&directory)?;
        Some(Self { root, tree, directory })
    }

    /// Walks a directory. Ends early, with what was found, when `is_over` says so.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub fn walk(root: &AbsPath, bounds: Bounds, is_over: &(dyn Fn() -> bool + Sync)) -> io::Result<Self> {
        let walked = walk::walk(root, b"", Rules::above(root), bounds, &Unwatched, is_over)?;
        let tree = close(Tree::new(walked.nodes, walked.cut), &walked.closed);
        Ok(Self { root: root.clone(), tree: Arc::new(tree), directory: Vec::new() })
    }

    /// Whether there are more than may be listed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.tree.cut.is_some()
    }

    /// How many directories could not be read.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.tree.nodes()[self.tree.below(&self.directory)].iter().filter(|node| node.is_unreadable()).count()
    }

    /// Visits every entry below the directory by its absolute path: a directory before what is in it. `keep` says of each
    /// whether it counts; nothing below a directory that does not is visited.
    pub fn visit(&self, keep: impl FnMut(&Path, EntryKind) -> bool, mut visit: impl FnMut(&Path, EntryKind)) {
        self.each(keep, |path, kind, _| visit(path, kind));
    }

    /// The files that count, see [`Files::visit`]; far smaller than their paths.
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
    #[must_use]
    pub fn path(&self, FileNumber { node, name }: FileNumber) -> PathBuf {
        let listing = &self.tree.nodes()[node as usize].listing;
        let mut path = self.root.as_path().to_owned();
        path.push(as_path(&listing.path(listing.get(name as usize).0)));
        path
    }

    fn each(&self, mut keep: impl FnMut(&Path, EntryKind) -> bool, mut visit: impl FnMut(&Path, EntryKind, FileNumber)) {
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let nodes = self.tree.nodes();
        // A directory comes directly before all that is below it, so this is enough to skip that.
        let mut left_out: Option<&[u8]> = None;
        let mut path = PathBuf::new();
        for index in self.tree.below(&self.directory) {
            let listing = &nodes[index].listing;
            let (directory, node) = (listing.directory(), number(index));
            if left_out.is_some_and(|top| is_within(directory, top)) {
                continue;
            }
            self.root.as_path().clone_into(&mut path);
            // Joining nothing would add a separator.
            if !directory.is_empty() {
                path.push(as_path(directory));
            }
            if directory != self.directory {
                if !keep(&path, EntryKind::Directory) {
                    left_out = Some(directory);
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
    /// The number of its directory in the tree.
    node: u32,
    /// The number of its name in the directory.
    name: u32,
}

/// A file with the time of its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// The absolute path.
    pub path: PathBuf,
    /// When it was changed last; long ago where nobody knows.
    pub modified: SystemTime,
}

impl Dated {
    /// The file at a path as it is now; a link counts by itself.
    #[must_use]
    pub fn now(path: &Path) -> Self {
        let modified = path.symlink_metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { path: path.to_owned(), modified }
    }
}

/// Newest first; files of equal age by path, so that the order is always the same.
pub fn newest_first(files: &mut [Dated]) {
    files.sort_by(|one, other| other.modified.cmp(&one.modified).then_with(|| one.path.cmp(&other.path)));
}
