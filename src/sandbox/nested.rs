//! Repositories below the top of a worktree. Those that are there are protected like the one at the top; those that a
//! command makes are named after it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{git_files::protected, listing::Listing, repository::Repository, spec::Cover};

/// The paths below the worktree that a command must not change because a nested repository is there.
#[must_use]
pub fn protected_below(worktree: &Path, repositories: &[(PathBuf, u64)]) -> Vec<PathBuf> {
    let nested = repositories.iter().map(|(directory, _)| directory).filter(|directory| *directory != worktree);
    nested.flat_map(|directory| protected_at(directory, worktree)).collect()
}

/// The paths below `root`, which is writable, that a command must not change because a repository is in `directory`.
#[must_use]
pub fn protected_at(directory: &Path, root: &Path) -> Vec<PathBuf> {
    let paths = protected(directory, Repository::of(directory, &[]).as_ref(), &[]);
    // What lies outside is not writable.
    paths.into_iter().filter(|path| path.starts_with(root)).collect()
}

/// What keeps the git directories of nested repositories in their places.
#[must_use]
pub fn pins(worktree: &Path, repositories: &[(PathBuf, u64)]) -> Vec<(Cover, PathBuf)> {
    let nested = repositories.iter().map(|(directory, _)| directory).filter(|directory| *directory != worktree);
    nested
        .map(|directory| directory.join(".git"))
        .filter(|entry| entry.is_dir() && !entry.is_symlink())
        .map(|entry| (Cover::Pin, entry))
        .collect()
}

/// The repositories that were in a worktree before a command.
#[derive(Debug)]
pub struct Before {
    /// The top of the worktree.
    pub worktree: PathBuf,
    /// What is known of the worktree, so that only what has changed is read again.
    pub listing: Arc<Mutex<Listing>>,
    /// Directories with an entry `.git`, and its inode.
    pub repositories: HashSet<(PathBuf, u64)>,
}

impl Before {
    /// The directories below the worktree that have got another `.git` since.
    #[must_use]
    pub fn new_repositories(&self) -> Vec<PathBuf> {
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = listing.repositories_now(&self.worktree).into_iter();
        let mut new: Vec<_> =
            now.filter(|found| found.0 != self.worktree && !self.repositories.contains(found)).map(|found| found.0).collect();
        new.sort();
        new
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{listing::Judge, place::Verdict},
        *,
    };

    #[test]
    fn what_is_there_is_protected_and_what_is_made_is_named() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        for name in [".git", "old/.git/hooks", "deep/er/.git/hooks", "plain/sub"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        fs::create_dir(top.join("link")).unwrap();
        fs::write(top.join("link/.git"), "gitdir: ../elsewhere\n").unwrap();
        let mut listing = Listing::default();
        let rules = |_: &str| Verdict::default();
        listing.refresh(&top, &Judge { rules: &rules, private: &HashSet::new() }).unwrap();
        let repositories = listing.repositories(&top);
        let paths = protected_below(&top, &repositories);
        for name in ["old/.git/hooks", "old/.git/config", "deep/er/.git/hooks", "link/.git"] {
            assert!(paths.contains(&top.join(name)), "{name}: {paths:?}");
        }
        assert!(!paths.iter().any(|path| path.starts_with(top.join(".git"))), "{paths:?}");
        let mut pinned = pins(&top, &repositories);
        pinned.sort();
        assert_eq!(pinned, ["deep/er/.git", "old/.git"].map(|name| (Cover::Pin, top.join(name))));

        let repositories = repositories.into_iter().collect();
        let before = Before { worktree: top.clone(), listing: Arc::new(Mutex::new(listing)), repositories };
        assert!(before.new_repositories().is_empty());
        fs::create_dir_all(top.join("plain/sub/.git")).unwrap();
        fs::create_dir_all(top.join("new/deep/.git")).unwrap();
        fs::write(top.join("new/.git"), "").unwrap();
        fs::rename(top.join("old"), top.join("moved")).unwrap();
        fs::create_dir_all(top.join("old/.git")).unwrap();
        assert_eq!(before.new_repositories(), ["moved", "new", "new/deep", "old", "plain/sub"].map(|name| top.join(name)));
    }
}
