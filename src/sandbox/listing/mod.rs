//! The files of a worktree that rules keep from commands. Read once and then held: as long as a directory has the times
//! that it had, its names are those that were read. Directories that tools make by the thousand are looked at too, since
//! a secret may lie in any of them.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{error::Unconfined, place::Verdict};

/// The most directories that are looked through.
const MAX_DIRECTORIES: usize = 50_000;
/// Times are not finer than this everywhere: a directory that was changed a moment ago is read again.
const RECENT: Duration = Duration::from_millis(20);
/// Stands for any name: whether a rule is about everything in a directory.
const ANY: &str = "\u{fffd}";

/// A file or directory that something is said of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// What is said.
    pub verdict: Verdict,
}

/// What decides: the rules, and the places that are private whatever they say.
pub struct Judge<'a> {
    /// What the rules say of a path relative to the worktree, with `/` between its names.
    pub rules: &'a (dyn Fn(&str) -> Verdict + Sync),
    /// Files and directories that are hidden and fixed.
    pub private: &'a HashSet<PathBuf>,
}

/// The times of a directory's content and of itself, and its inode.
type Stamp = (i64, i64, i64, i64, u64);

/// A directory as it was read.
#[derive(Debug, Default)]
pub struct Listing {
    stamp: Option<Stamp>,
    /// The inode of the entry `.git`.
    git: Option<u64>,
    kept: Vec<(OsString, Verdict)>,
    below: Vec<(OsString, Listing)>,
    /// Something in it or below it is hidden.
    hides: bool,
}

impl Listing {
    /// Brings it up to date.
    ///
    /// # Errors
    /// When there are too many directories.
    pub fn refresh(&mut self, worktree: &Path, judge: &Judge<'_>) -> Result<(), Unconfined> {
        let mut budget = MAX_DIRECTORIES;
        self.look(worktree, "", judge, &mut budget)
    }

    fn look(&mut self, directory: &Path, relative: &str, judge: &Judge<'_>, budget: &mut usize) -> Result<(), Unconfined> {
        *budget = budget.checked_sub(1).ok_or(Unconfined::TooLarge)?;
        let Ok(found) = fs::symlink_metadata(directory) else {
            // What cannot be looked at by us cannot be by a command either.
            *self = Self::default();
            return Ok(());
        };
        let stamp = stamp(&found);
        if self.stamp != Some(stamp) {
            self.read(directory, relative, judge);
            let is_recent = found.modified().is_ok_and(|time| SystemTime::now().duration_since(time).unwrap_or_default() < RECENT);
            self.stamp = (!is_recent).then_some(stamp);
        }
        self.hides = self.kept.iter().any(|(_, verdict)| verdict.hidden);
        for (name, below) in &mut self.below {
            below.look(&directory.join(&*name), &joined(relative, name), judge, budget)?;
            self.hides |= below.hides;
        }
        Ok(())
    }

    fn read(&mut self, directory: &Path, relative: &str, judge: &Judge<'_>) {
        let mut old: Vec<(OsString, Self)> = std::mem::take(&mut self.below);
        self.kept.clear();
        self.git = None;
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            if name == ".git" {
                // git's own files are judged as a whole.
                self.git = Some(entry.ino());
                continue;
            }
            // A link leads to what is judged by itself.
            if kind.is_symlink() {
                continue;
            }
            let path = joined(relative, &name);
            let verdict = if judge.private.contains(&entry.path()) {
                Verdict { hidden: true, fixed: true }
            } else if kind.is_dir() {
                (judge.rules)(&joined(&path, OsStr::new(ANY)))
            } else {
                (judge.rules)(&path)
            };
            if !verdict.is_free() {
                self.kept.push((name, verdict));
            } else if kind.is_dir() {
                let known = old.iter().position(|(other, _)| *other == name).map(|at| old.swap_remove(at).1);
                self.below.push((name, known.unwrap_or_default()));
            }
        }
    }

    /// Everything that something is said of.
    #[must_use]
    pub fn kept(&self, worktree: &Path) -> Vec<Kept> {
        let mut all = Vec::new();
        self.gather(worktree, &mut all);
        all
    }

    fn gather(&self, directory: &Path, all: &mut Vec<Kept>) {
        all.extend(self.kept.iter().map(|(name, verdict)| Kept { path: directory.join(name), verdict: *verdict }));
        for (name, below) in &self.below {
            below.gather(&directory.join(name), all);
        }
    }

    /// The directories with an entry `.git`, and its inode.
    #[must_use]
    pub fn repositories(&self, worktree: &Path) -> Vec<(PathBuf, u64)> {
        let mut all = Vec::new();
        self.gather_git(worktree, &mut all);
        all
    }

    fn gather_git(&self, directory: &Path, all: &mut Vec<(PathBuf, u64)>) {
        all.extend(self.git.map(|inode| (directory.to_owned(), inode)));
        for (name, below) in &self.below {
            below.gather_git(&directory.join(name), all);
        }
    }

    /// The same as it is now. Directories that have changed are read; of more than the most, the rest is left out.
    #[must_use]
    pub fn repositories_now(&self, worktree: &Path) -> Vec<(PathBuf, u64)> {
        let (mut all, mut budget) = (Vec::new(), MAX_DIRECTORIES);
        self.look_for_git(worktree, &mut budget, &mut all);
        all
    }

    fn look_for_git(&self, directory: &Path, budget: &mut usize, all: &mut Vec<(PathBuf, u64)>) {
        let (Some(left), Ok(found)) = (budget.checked_sub(1), fs::symlink_metadata(directory)) else { return };
        *budget = left;
        if self.stamp == Some(stamp(&found)) {
            all.extend(self.git.map(|inode| (directory.to_owned(), inode)));
            self.below.iter().for_each(|(name, below)| below.look_for_git(&directory.join(name), budget, all));
            return;
        }
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name == ".git" {
                all.push((directory.to_owned(), entry.ino()));
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !self.kept.iter().any(|(other, _)| *other == name) {
                match self.below.iter().find(|(other, _)| *other == name) {
                    Some((_, below)) => below.look_for_git(&entry.path(), budget, all),
                    None => Self::default().look_for_git(&entry.path(), budget, all),
                }
            }
        }
    }

    /// The fewest paths that hold everything but what is hidden.
    ///
    /// # Errors
    /// When they are more than `most`, or a directory cannot be read.
    pub fn readable(&self, worktree: &Path, most: usize) -> Result<Vec<PathBuf>, Unconfined> {
        let mut paths = Vec::new();
        self.spare(worktree, most, &mut paths)?;
        Ok(paths)
    }

    fn spare(&self, directory: &Path, most: usize, paths: &mut Vec<PathBuf>) -> Result<(), Unconfined> {
        if !self.hides {
            paths.push(directory.to_owned());
        } else {
            for entry in fs::read_dir(directory).map_err(Unconfined::Io)? {
                let entry = entry.map_err(Unconfined::Io)?;
                let name = entry.file_name();
                if self.kept.iter().any(|(other, verdict)| *other == name && verdict.hidden) {
                    continue;
                }
                match self.below.iter().find(|(other, _)| *other == name) {
                    Some((_, below)) => below.spare(&entry.path(), most, paths)?,
                    None if entry.file_type().is_ok_and(|kind| kind.is_symlink()) => {}
                    None => paths.push(entry.path()),
                }
            }
        }
        if paths.len() > most { Err(Unconfined::TooMany) } else { Ok(()) }
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

fn stamp(found: &fs::Metadata) -> Stamp {
    (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec(), found.ino())
}

fn joined(directory: &str, name: &OsStr) -> String {
    let name = name.to_string_lossy();
    if directory.is_empty() { name.into_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

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
