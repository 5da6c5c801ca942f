//! The recently read or changed files of a project. In memory only: they improve the ranking, and nothing depends on
//! them.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::listing::path_bytes;
use crate::stdx::paths::AbsPath;

/// How many files are kept.
const CAPACITY: usize = 100;
/// Longer paths are not kept.
const MAX_PATH_BYTES: usize = 4096;

/// The recently used files of one project.
#[derive(Debug, Default)]
pub struct Recent {
    // Paths relative to the root of their worktree, the most recent first. Locked for a look-up or an insert.
    paths: Mutex<VecDeque<Vec<u8>>>,
}

impl Recent {
    /// Records that a file (a real path) was read or changed. Files outside the worktree are ignored.
    pub fn note(&self, worktree: &AbsPath, file: &AbsPath) {
        let Ok(relative) = file.as_path().strip_prefix(worktree.as_path()) else { return };
        let path = path_bytes(relative);
        if path.is_empty() || path.len() > MAX_PATH_BYTES {
            return;
        }
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.retain(|known| *known != path);
        paths.push_front(path);
        paths.truncate(CAPACITY);
    }

    /// The paths relative to the root of a worktree, most recent first.
    pub fn list(&self) -> Vec<Vec<u8>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_recent_file_comes_first_and_the_list_is_bounded() {
        let recent = Recent::default();
        let top = AbsPath::new("/home/ann/tree").unwrap();
        for number in 0..200 {
            recent.note(&top, &top.join(format!("src/{number}")));
        }
        recent.note(&top, &top.join("src/150"));
        recent.note(&top, &AbsPath::new("/home/ann/other").unwrap());
        recent.note(&top, &top);
        let list = recent.list();
        assert_eq!((list.len(), &list[0][..], &list[1][..]), (CAPACITY, &b"src/150"[..], &b"src/199"[..]));
        assert_eq!(list.iter().filter(|path| **path == b"src/150").count(), 1);
    }
}
