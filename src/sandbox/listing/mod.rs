//! The files of a worktree that rules keep from commands. Read once and then held: as long as a directory has the times
//! that it had, its names are those that were read. In a large worktree the system tells which directories have changed.
//! Directories that tools make by the thousand are looked at too, since a secret may lie in any of them.

mod directory;
mod judge;
mod watches;

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

pub use self::judge::{Judge, Kept};
use self::{
    directory::{Directory, Look},
    judge::ANY,
    watches::Watches,
};
use super::error::Unconfined;

/// The most directories that are looked through.
const MAX_DIRECTORIES: usize = 200_000;
/// Looking at the times of fewer directories than this takes no millisecond, and no watch.
const WATCHED_FROM: usize = 500;

/// The directories of a worktree as they were read.
#[derive(Debug)]
pub struct Listing {
    top: Directory,
    /// How many directories there are.
    count: usize,
    /// With so many directories they are watched.
    watched_from: usize,
    watches: Option<Watches>,
    /// Watching was tried and there were too many.
    is_unwatchable: bool,
}

impl Default for Listing {
    fn default() -> Self {
        Self { top: Directory::default(), count: 0, watched_from: WATCHED_FROM, watches: None, is_unwatchable: false }
    }
}

impl Listing {
    /// Brings it up to date.
    ///
    /// # Errors
    /// When there are too many directories.
    pub fn refresh(&mut self, worktree: &Path, judge: &Judge<'_>) -> Result<(), Unconfined> {
        let changed = self.watches.as_mut().and_then(Watches::changed);
        if let Some(changed) = changed
            && self.look_at(worktree, &changed, judge).is_ok()
        {
            return Ok(());
        }
        self.look(worktree, judge)
    }

    /// Looks at all directories.
    fn look(&mut self, worktree: &Path, judge: &Judge<'_>) -> Result<(), Unconfined> {
        self.unwatch();
        let is_large = self.count >= self.watched_from && !self.is_unwatchable;
        self.watches = is_large.then(|| Watches::new(worktree, self.count)).flatten();
        let mut look = Look { judge, budget: MAX_DIRECTORIES, watches: self.watches.as_mut(), is_full: false, device: None };
        let looked = self.top.look(worktree, Path::new(""), &mut look);
        let (budget, is_full) = (look.budget, look.is_full);
        self.count = MAX_DIRECTORIES - budget;
        if looked.is_err() || is_full {
            self.is_unwatchable = self.watches.is_some();
            self.unwatch();
        }
        looked
    }

    /// Looks at what has changed.
    fn look_at(&mut self, worktree: &Path, changed: &BTreeSet<PathBuf>, judge: &Judge<'_>) -> Result<(), Unconfined> {
        let budget = MAX_DIRECTORIES.saturating_sub(self.count);
        let mut look = Look { judge, budget, watches: self.watches.as_mut(), is_full: false, device: None };
        for path in changed {
            self.top.look_at(worktree, Path::new(""), path.iter(), &mut look)?;
        }
        let is_full = look.is_full;
        self.count += budget - look.budget;
        if let Some(watches) = &mut self.watches {
            watches.settle();
        }
        if is_full {
            self.is_unwatchable = true;
            self.unwatch();
        }
        Ok(())
    }

    fn unwatch(&mut self) {
        if self.watches.take().is_some() {
            self.top.unwatch();
        }
    }

    /// Everything that something is said of.
    #[must_use]
    pub fn kept(&self, worktree: &Path) -> Vec<Kept> {
        let mut all = Vec::new();
        self.top.gather(worktree, &mut all);
        all
    }

    /// The directories with an entry `.git`, and its inode, and bare repositories.
    #[must_use]
    pub fn repositories(&self, worktree: &Path) -> Vec<(PathBuf, u64)> {
        let mut all = Vec::new();
        self.top.gather_git(worktree, &mut all);
        all
    }

    /// The same as it is now. Directories that have changed are read; of more than the most, the rest is left out.
    #[must_use]
    pub fn repositories_now(&mut self, worktree: &Path) -> Vec<(PathBuf, u64)> {
        let (mut all, mut budget) = (Vec::new(), MAX_DIRECTORIES);
        let changed = self.watches.as_mut().and_then(Watches::changed);
        self.top.look_for_git(worktree, Path::new(""), changed.as_ref(), &mut budget, &mut all);
        all
    }

    /// The fewest paths that hold everything but what is hidden.
    ///
    /// # Errors
    /// When they are more than `most`, or a directory cannot be read.
    pub fn readable(&self, worktree: &Path, most: usize) -> Result<Vec<PathBuf>, Unconfined> {
        let mut paths = Vec::new();
        self.top.spare(worktree, most, &mut paths)?;
        Ok(paths)
    }
}

/// The fewest paths that hold everything below `root` but the private ones, which need not be there.
///
/// # Errors
/// When a directory cannot be read.
pub fn without(root: &Path, private: &HashSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
    if private.contains(root) || root.ancestors().any(|above| private.contains(above)) {
        return Ok(Vec::new());
    }
    if !private.iter().any(|path| path.starts_with(root)) {
        return Ok(vec![root.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            paths.extend(without(&entry.path(), private)?);
        }
    }
    Ok(paths)
}

/// The directories between the worktree and something kept that a command must not rename: their names are why something is
/// said of it, so that under another name the next command could open it.
#[must_use]
pub fn named_by(kept: &Kept, worktree: &Path, judge: &Judge<'_>) -> Vec<PathBuf> {
    let Ok(relative) = kept.path.strip_prefix(worktree) else { return Vec::new() };
    let mut names: Vec<String> = relative.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let above: Vec<&Path> = relative.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
    if kept.path.is_dir() {
        names.push(ANY.to_owned());
    }
    let is_private = judge.private.contains(&kept.path);
    let matters = |above: &Path| {
        let depth = above.iter().count();
        let below = names[depth..].join("/");
        // Renamed where it is, and moved to the top.
        let moved = [names[..depth - 1].iter().map(|name| format!("{name}/")).collect::<String>(), String::new()];
        is_private || moved.iter().any(|before| (judge.rules)(&format!("{before}{ANY}/{below}")) != kept.verdict)
    };
    above.into_iter().filter(|above| matters(above)).map(|above| worktree.join(above)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sandbox::place::Verdict;

    fn rules(path: &str) -> Verdict {
        let name = path.rsplit('/').next().unwrap();
        Verdict { hidden: name == ".env" || path.starts_with("keys/"), fixed: path.starts_with("fixed/") }
    }

    struct Tree(tempfile::TempDir, Listing, HashSet<PathBuf>);

    impl Tree {
        fn new(files: &[&str]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap(), Listing::default(), HashSet::new());
            files.iter().for_each(|file| tree.write(file));
            tree
        }

        fn write(&self, file: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }

        fn refresh(&mut self) {
            self.1.refresh(self.0.path(), &Judge { rules: &rules, private: &self.2 }).unwrap();
        }

        fn shown(&self, paths: impl IntoIterator<Item = PathBuf>) -> String {
            let mut names: Vec<String> =
                paths.into_iter().map(|path| path.strip_prefix(self.0.path()).unwrap().to_string_lossy().into_owned()).collect();
            names.sort();
            names.join(" ")
        }

        fn kept(&self) -> String {
            self.shown(self.1.kept(self.0.path()).into_iter().map(|kept| kept.path))
        }

        fn readable(&self) -> String {
            self.shown(self.1.readable(self.0.path(), 100).unwrap())
        }
    }

    #[test]
    fn what_the_rules_hide_is_left_out_and_everything_else_is_there() {
        let mut tree = Tree::new(&["a", "sub/b", "sub/deep/.env", "sub/deep/c", "other/d/e", "keys/k", "fixed/f", ".git/x/.env"]);
        std::os::unix::fs::symlink("sub/deep/.env", tree.0.path().join("link")).unwrap();
        tree.2.insert(tree.0.path().join("other/d"));
        tree.refresh();
        assert_eq!(tree.kept(), "fixed keys other/d sub/deep/.env");
        assert_eq!(tree.readable(), ".git a fixed sub/b sub/deep/c");
    }

    #[test]
    fn a_tree_without_secrets_is_one_path() {
        let mut tree = Tree::new(&["a", "sub/b"]);
        tree.refresh();
        assert_eq!(tree.1.readable(tree.0.path(), 1).unwrap(), [tree.0.path()]);
    }

    #[test]
    fn what_is_made_or_removed_is_seen() {
        let mut tree = Tree::new(&["a", "sub/deep/c"]);
        tree.refresh();
        assert_eq!(tree.kept(), "");
        tree.write("sub/deep/.env");
        tree.refresh();
        assert_eq!(tree.kept(), "sub/deep/.env");
        tree.write("new/.env");
        fs::remove_file(tree.0.path().join("sub/deep/.env")).unwrap();
        tree.refresh();
        assert_eq!(tree.kept(), "new/.env");
    }

    #[test]
    fn too_many_siblings_are_refused() {
        let files: Vec<String> = (0..20).map(|number| format!("f{number}")).chain([".env".to_owned()]).collect();
        let mut tree = Tree::new(&files.iter().map(String::as_str).collect::<Vec<_>>());
        tree.refresh();
        assert!(matches!(tree.1.readable(tree.0.path(), 19), Err(Unconfined::TooMany)));
        assert_eq!(tree.1.readable(tree.0.path(), 20).unwrap().len(), 20);
    }

    const NAMES: [&str; 9] = ["a", "b", "x", "deep", "keys", "fixed", ".env", ".git", "f"];

    fn paths() -> impl Strategy<Value = PathBuf> {
        prop::collection::vec(prop::sample::select(&NAMES[..]), 1..4).prop_map(|names| names.into_iter().collect())
    }

    fn change(top: &Path, what: u8, one: &Path, other: &Path) {
        let (one, other, aside) = (top.join(one), top.join(other), top.join("aside"));
        // Many of these fail, which is all the same.
        let _ = match what {
            0 | 1 => fs::create_dir_all(&one),
            2 | 3 => one.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&one, "x")),
            4 | 5 => fs::rename(&one, &other),
            6 => fs::remove_file(&one),
            7 => fs::remove_dir_all(&one),
            _ => fs::rename(&one, &aside).and_then(|()| fs::create_dir(&one)).and_then(|()| fs::rename(&aside, one.join("x"))),
        };
    }

    proptest! {
        /// What is known after each step is what somebody sees who has not looked before.
        #[test]
        fn what_is_told_is_the_same_as_what_is_looked_at(
            steps in prop::collection::vec((prop::collection::vec((0u8..9, paths(), paths()), 0..4), any::<bool>()), 1..30)
        ) {
            let tree = Tree::new(&["a/x/deep/f", "b/x/f", "a/.env", "c/.git/config"]);
            let top = tree.0.path();
            let judge = Judge { rules: &rules, private: &HashSet::from([top.join("b/keys")]) };
            let mut told = Listing { watched_from: 0, ..Listing::default() };
            told.refresh(top, &judge).unwrap();
            for (changes, looks_for_git) in steps {
                changes.iter().for_each(|(what, one, other)| change(top, *what, one, other));
                let mut fresh = Listing::default();
                fresh.refresh(top, &judge).unwrap();
                let repositories = |mut all: Vec<(PathBuf, u64)>| {
                    all.sort();
                    all
                };
                let expected = repositories(fresh.repositories(top));
                if looks_for_git {
                    // It does not know the rules.
                    let kept = fresh.kept(top);
                    let mut now = told.repositories_now(top);
                    now.retain(|(path, _)| !kept.iter().any(|kept| path.starts_with(&kept.path)));
                    prop_assert_eq!(&repositories(now), &expected);
                }
                prop_assert!(told.watches.as_mut().is_some_and(|watches| watches.changed().is_some()), "it is not told");
                told.refresh(top, &judge).unwrap();
                prop_assert_eq!(&repositories(told.repositories(top)), &expected);
                let kept = |listing: &Listing| tree.shown(listing.kept(top).into_iter().map(|kept| kept.path));
                prop_assert_eq!(kept(&told), kept(&fresh));
                prop_assert_eq!(tree.shown(told.readable(top, 1000).unwrap()), tree.shown(fresh.readable(top, 1000).unwrap()));
            }
        }
    }

    #[test]
    fn directories_whose_names_a_rule_needs_are_found() {
        let tree = Tree::new(&["a/b/.env", "keys/deep/k.pem", "a/keys/k", "x/private/y/z"]);
        let top = tree.0.path();
        let rules = |path: &str| Verdict {
            hidden: path.ends_with(".env") || path.starts_with("keys/") && path.ends_with(".pem") || path.contains("/private/y/"),
            fixed: false,
        };
        let private = HashSet::from([top.join("a/keys/k")]);
        let judge = Judge { rules: &rules, private: &private };
        for (path, expected) in
            [("a/b/.env", ""), ("keys/deep/k.pem", "keys keys/deep"), ("a/keys/k", "a a/keys"), ("x/private/y", "x/private"), ("none", "")]
        {
            let fixed = path == "a/keys/k";
            let kept = Kept { path: top.join(path), verdict: Verdict { hidden: true, fixed } };
            assert_eq!(tree.shown(named_by(&kept, top, &judge)), expected, "{path}");
        }
    }

    #[test]
    fn private_places_are_spared() {
        let tree = Tree::new(&["bin/cargo", "credentials", "git/db/x"]);
        let top = tree.0.path();
        let private = HashSet::from([top.join("credentials"), top.join("git/missing")]);
        assert_eq!(tree.shown(without(top, &private).unwrap()), "bin git/db");
        assert_eq!(tree.shown(without(&top.join("bin"), &private).unwrap()), "bin");
        assert!(without(&top.join("credentials"), &private).unwrap().is_empty());
    }
}
