//! A directory as it was read, with what rules say of its entries.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    judge::{ANY, Judge, Kept},
    watches::{Full, Watches},
};
use crate::sandbox::{error::Unconfined, place::Verdict};

/// Times are not finer than this everywhere: a directory that was changed a moment ago is read again.
const RECENT: Duration = Duration::from_millis(20);

/// The times of a directory's content and of itself, its inode, and its device.
type Stamp = (i64, i64, i64, i64, u64, u64);

/// A look at directories.
pub struct Look<'a> {
    /// What decides.
    pub judge: &'a Judge<'a>,
    /// So many more directories are looked at.
    pub budget: usize,
    /// What tells of changes from now on.
    pub watches: Option<&'a mut Watches>,
    /// Not everything can be watched.
    pub is_full: bool,
    /// The device of the worktree, once it is known.
    pub device: Option<u64>,
}

/// What a directory has of a repository: the entry `.git`, or all that makes it a bare one.
#[derive(Default)]
struct Git {
    entry: Option<u64>,
    objects: Option<u64>,
    head: bool,
    refs: bool,
}

impl Git {
    fn note(&mut self, name: &OsStr, inode: u64) {
        match name.as_encoded_bytes() {
            b".git" => self.entry = Some(inode),
            b"objects" => self.objects = Some(inode),
            b"HEAD" => self.head = true,
            b"refs" => self.refs = true,
            _ => {}
        }
    }

    /// The inode of what stays the same as long as the repository does.
    fn found(&self) -> Option<u64> {
        self.entry.or(self.objects.filter(|_| self.head && self.refs))
    }
}

/// What is known of a directory.
#[derive(Debug, Default)]
pub struct Directory {
    /// `None` where it has to be read again.
    stamp: Option<Stamp>,
    /// Its inode, as its parent names it; 0 before it was looked at.
    inode: u64,
    /// The number of its watch.
    watch: Option<i32>,
    /// The inode of the entry `.git`, or of `objects` in a bare repository.
    git: Option<u64>,
    kept: Vec<(OsString, Verdict)>,
    below: Vec<(OsString, Directory)>,
    /// Something in it or below it is hidden.
    pub hides: bool,
    /// Something is said of what is in it or below it, or there is a repository.
    tells: bool,
}

impl Directory {
    /// Brings it and all below up to date.
    pub fn look(&mut self, directory: &Path, relative: &Path, look: &mut Look<'_>) -> Result<(), Unconfined> {
        look.budget = look.budget.checked_sub(1).ok_or(Unconfined::TooLarge)?;
        let inode = self.inode;
        // Before it is read: what changes after this is told.
        self.watch(directory, relative, look);
        let Ok(found) = fs::symlink_metadata(directory) else {
            // What cannot be looked at by us cannot be by a command either.
            self.forget(relative, look);
            *self = Self { inode, ..Self::default() };
            return Ok(());
        };
        // Nobody tells what happens in a file system that is mounted here.
        look.is_full |= *look.device.get_or_insert(found.dev()) != found.dev();
        let stamp = stamp(&found);
        if self.stamp != Some(stamp) {
            self.read(directory, relative, look);
            let is_recent = found.modified().is_ok_and(|time| SystemTime::now().duration_since(time).unwrap_or_default() < RECENT);
            self.stamp = (!is_recent).then_some(stamp);
        }
        for (name, below) in &mut self.below {
            below.look(&directory.join(&*name), &relative.join(&*name), look)?;
        }
        self.sum_up();
        Ok(())
    }

    /// Brings one of the directories below up to date, and what is new in it.
    pub fn look_at(
        &mut self,
        directory: &Path,
        relative: &Path,
        mut rest: std::path::Iter<'_>,
        look: &mut Look<'_>,
    ) -> Result<(), Unconfined> {
        if let Some(name) = rest.next() {
            // What has gone was seen in what it was in.
            if let Some((name, below)) = self.below.iter_mut().find(|(other, _)| *other == name) {
                below.look_at(&directory.join(&*name), &relative.join(&*name), rest, look)?;
            }
        } else {
            // Its watch may have ended; of one that has not, it is the same again.
            self.watch = None;
            self.watch(directory, relative, look);
            self.stamp = None;
            self.read(directory, relative, look);
            for (name, below) in self.below.iter_mut().filter(|(_, below)| below.is_new()) {
                below.look(&directory.join(&*name), &relative.join(&*name), look)?;
            }
        }
        self.sum_up();
        Ok(())
    }

    fn is_new(&self) -> bool {
        self.stamp.is_none() && self.watch.is_none()
    }

    fn sum_up(&mut self) {
        self.hides = self.kept.iter().any(|(_, verdict)| verdict.hidden) || self.below.iter().any(|(_, below)| below.hides);
        self.tells = !self.kept.is_empty() || self.git.is_some() || self.below.iter().any(|(_, below)| below.tells);
    }

    fn watch(&mut self, directory: &Path, relative: &Path, look: &mut Look<'_>) {
        if let Some(watches) = look.watches.as_mut().filter(|_| self.watch.is_none() && !look.is_full) {
            match watches.add(directory, relative) {
                Ok(watch) => self.watch = watch,
                Err(Full) => look.is_full = true,
            }
        }
    }

    /// It has gone.
    fn forget(&self, relative: &Path, look: &mut Look<'_>) {
        if let Some(watches) = &mut look.watches {
            watches.remove(self.watch, relative);
            self.below.iter().for_each(|(name, below)| below.forget(&relative.join(name), look));
        }
    }

    /// The watches are no more.
    pub fn unwatch(&mut self) {
        self.watch = None;
        self.below.iter_mut().for_each(|(_, below)| below.unwatch());
    }

    fn read(&mut self, directory: &Path, relative: &Path, look: &mut Look<'_>) {
        let mut old: Vec<(OsString, Self)> = std::mem::take(&mut self.below);
        let shown = relative.to_string_lossy();
        self.kept.clear();
        let mut git = Git::default();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            git.note(&name, entry.ino());
            if name == ".git" {
                // git's own files are judged as a whole.
                continue;
            }
            // A link leads to what is judged by itself.
            if kind.is_symlink() {
                continue;
            }
            let path = joined(&shown, &name);
            let verdict = if look.judge.private.contains(&entry.path()) {
                Verdict { hidden: true, fixed: true }
            } else if kind.is_dir() {
                (look.judge.rules)(&joined(&path, OsStr::new(ANY)))
            } else {
                (look.judge.rules)(&path)
            };
            if !verdict.is_free() {
                self.kept.push((name, verdict));
            } else if kind.is_dir() {
                let is_it = |(other, known): &(OsString, Self)| *other == name && known.inode == entry.ino();
                let known = old.iter().position(is_it).map(|at| old.swap_remove(at).1);
                self.below.push((name, known.unwrap_or_else(|| Self { inode: entry.ino(), ..Self::default() })));
            }
        }
        self.git = git.found();
        old.iter().for_each(|(name, gone)| gone.forget(&relative.join(name), look));
    }

    /// Adds everything that something is said of.
    pub fn gather(&self, directory: &Path, all: &mut Vec<Kept>) {
        all.extend(self.kept.iter().map(|(name, verdict)| Kept { path: directory.join(name), verdict: *verdict }));
        for (name, below) in self.below.iter().filter(|(_, below)| below.tells) {
            below.gather(&directory.join(name), all);
        }
    }

    /// Adds the directories with an entry `.git`, and its inode, and bare repositories.
    pub fn gather_git(&self, directory: &Path, all: &mut Vec<(PathBuf, u64)>) {
        all.extend(self.git.map(|inode| (directory.to_owned(), inode)));
        for (name, below) in self.below.iter().filter(|(_, below)| below.tells) {
            below.gather_git(&directory.join(name), all);
        }
    }

    /// The same as it is now. What has changed is read; of more than the most, the rest is left out. `changed` are the
    /// directories that have, where that is told.
    pub fn look_for_git(
        &self,
        directory: &Path,
        relative: &Path,
        changed: Option<&BTreeSet<PathBuf>>,
        budget: &mut usize,
        all: &mut Vec<(PathBuf, u64)>,
    ) {
        let Some(left) = budget.checked_sub(1) else { return };
        *budget = left;
        let is_same = match changed {
            Some(changed) => !changed.contains(relative) && !self.is_new(),
            None => fs::symlink_metadata(directory).is_ok_and(|found| self.stamp == Some(stamp(&found))),
        };
        if is_same {
            all.extend(self.git.map(|inode| (directory.to_owned(), inode)));
            for (name, below) in &self.below {
                let relative = relative.join(name);
                let has_changed =
                    |changed: &BTreeSet<PathBuf>| changed.range(relative.clone()..).next().is_some_and(|path| path.starts_with(&relative));
                if below.tells || changed.is_none_or(has_changed) {
                    below.look_for_git(&directory.join(name), &relative, changed, budget, all);
                }
            }
            return;
        }
        let mut git = Git::default();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            git.note(&name, entry.ino());
            if name == ".git" {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !self.kept.iter().any(|(other, _)| *other == name) {
                let known = self.below.iter().find(|(other, below)| *other == name && below.inode == entry.ino());
                known.map_or(&Self::default(), |(_, below)| below).look_for_git(&entry.path(), &relative.join(&name), changed, budget, all);
            }
        }
        all.extend(git.found().map(|inode| (directory.to_owned(), inode)));
    }

    /// Adds the fewest paths that hold everything but what is hidden.
    pub fn spare(&self, directory: &Path, most: usize, paths: &mut Vec<PathBuf>) -> Result<(), Unconfined> {
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

fn stamp(found: &fs::Metadata) -> Stamp {
    (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec(), found.ino(), found.dev())
}

fn joined(directory: &str, name: &OsStr) -> String {
    let name = name.to_string_lossy();
    if directory.is_empty() { name.into_owned() } else { format!("{directory}/{name}") }
}
