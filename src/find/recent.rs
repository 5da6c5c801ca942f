//! The files of a project that were read or changed last, whoever did so. In memory only: it makes lists better, and
//! nothing depends on it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::listing::path_bytes;
use crate::stdx::paths::AbsPath;

/// How many files are remembered.
const CAPACITY: usize = 100;
/// The length limit of a remembered path, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// The files of one project that were used last.
#[derive(Debug, Default)]
pub struct Recent {
    // Paths relative to the top of whichever worktree, the last used one in front. Held for a look-up or an insert.
    paths: Mutex<VecDeque<Vec<u8>>>,
}

impl Recent {
    /// Notes that a file (a real path) in a worktree was read or changed. What lies outside of it is not noted.
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

    /// The files, relative to a worktree's top; the last used one first.
    #[must_use]
    pub fn list(&self) -> Vec<Vec<u8>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_used_comes_first_and_few_are_kept() {
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
