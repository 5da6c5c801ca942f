//! Repositories below the top of a worktree. Those that are there are protected like the one at the top; those that a
//! command makes are named after it.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    git_files::{modules, protected},
    listing::Listing,
    repository::Repository,
};

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

/// The git directories of nested repositories.
#[must_use]
pub fn git_directories(worktree: &Path, repositories: &[(PathBuf, u64)]) -> Vec<PathBuf> {
    let nested = repositories.iter().map(|(directory, _)| directory).filter(|directory| *directory != worktree);
    nested.map(|directory| directory.join(".git")).filter(|entry| entry.is_dir() && !entry.is_symlink()).collect()
}

/// The repositories that were in a worktree before a command.
#[derive(Debug)]
pub struct Before {
    /// The top of the worktree.
    pub worktree: PathBuf,
    /// What is known of the worktree, so that only what has changed is read again.
    pub listing: Arc<Mutex<Listing>>,
    /// Directories with an entry `.git`, and its inode, and bare repositories.
    pub repositories: HashSet<(PathBuf, u64)>,
    /// The worktree's own git directory, and those of its submodules. git takes what lies there for a submodule's when it is
    /// made.
    pub modules: Option<(PathBuf, HashSet<PathBuf>)>,
}

impl Before {
    /// The directories below the worktree that have got another `.git` since.
    #[must_use]
    pub fn new_repositories(&self) -> Vec<PathBuf> {
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = listing.repositories_now(&self.worktree).into_iter();
        // What was at the top is put back.
        let has_git = fs::symlink_metadata(self.worktree.join(".git")).is_ok();
        let is_new = |found: &(PathBuf, u64)| (!has_git || found.0 != self.worktree) && !self.repositories.contains(found);
        let mut new: Vec<_> = now.filter(is_new).map(|found| found.0).collect();
        if let Some((own, before)) = &self.modules {
            new.extend(modules(own).into_iter().filter(|path| !before.contains(path)));
        }
        new.sort();
        new
    }
}

#[cfg(test)]
mod tests {
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
        let mut found = git_directories(&top, &repositories);
        found.sort();
        assert_eq!(found, ["deep/er/.git", "old/.git"].map(|name| top.join(name)));

        let repositories = repositories.into_iter().collect();
        let modules = Some((top.join(".git"), HashSet::new()));
        let before = Before { worktree: top.clone(), listing: Arc::new(Mutex::new(listing)), repositories, modules };
        assert!(before.new_repositories().is_empty());
        fs::create_dir_all(top.join("plain/sub/.git")).unwrap();
        fs::create_dir_all(top.join("new/deep/.git")).unwrap();
        fs::write(top.join("new/.git"), "").unwrap();
        fs::rename(top.join("old"), top.join("moved")).unwrap();
        fs::create_dir_all(top.join("old/.git")).unwrap();
        for name in ["bare/objects", "bare/refs", "half/objects", ".git/modules/a/b"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        for name in ["bare/HEAD", "half/HEAD", ".git/modules/a/b/HEAD"] {
            fs::write(top.join(name), "").unwrap();
        }
        let expected = [".git/modules/a/b", "bare", "moved", "new", "new/deep", "old", "plain/sub"].map(|name| top.join(name));
        assert_eq!(before.new_repositories(), expected);
    }
}
