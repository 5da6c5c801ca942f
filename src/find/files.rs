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
    listing::What,
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
    pub fn visit(&self, mut keep: impl FnMut(&Path, What) -> bool, mut visit: impl FnMut(&Path, What)) {
        let nodes = self.tree.nodes();
        // A directory comes directly before all that is below it, so this is enough to skip that.
        let mut left_out: Option<&[u8]> = None;
        let mut path = PathBuf::new();
        for node in &nodes[self.tree.below(&self.directory)] {
            let directory = node.listing.directory();
            if left_out.is_some_and(|top| super::listing::is_within(directory, top)) {
                continue;
            }
            self.root.as_path().clone_into(&mut path);
            // Joining nothing would add a separator.
            if !directory.is_empty() {
                path.push(as_path(directory));
            }
            if directory != self.directory {
                if !keep(&path, What::Directory) {
                    left_out = Some(directory);
                    continue;
                }
                visit(&path, What::Directory);
            }
            for (name, what) in node.listing.iter().filter(|(_, what)| *what == What::File) {
                path.push(as_path(name));
                if keep(&path, what) {
                    visit(&path, what);
                }
                path.pop();
            }
        }
    }
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
