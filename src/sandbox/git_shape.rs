//! Whether a git directory still is one, and links in it. Where `HEAD`, `objects` or `refs` is missing or leads elsewhere,
//! git takes another repository: one above, or one that the worktree itself has become. And git reads and writes through
//! links: `git commit` writes its message to where `COMMIT_EDITMSG` leads.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::entries::{Entry, entries, put_back, remove};

/// What git needs beside `HEAD` to take a directory for a repository.
const NEEDED: [&str; 2] = ["objects", "refs"];
/// Directories of a git directory that are large, protected as a whole, or looked at by themselves.
const SKIPPED: [&str; 5] = ["annex", "hooks", "lfs", "modules", "worktrees"];
/// Directories of `objects` in which a link would have git read objects from elsewhere.
const OF_OBJECTS: [&str; 2] = ["info", "pack"];

/// A git directory, or a part of one, as it was.
#[derive(Debug)]
pub struct Shape {
    root: PathBuf,
    /// `HEAD`, where git took the directory for a repository.
    head: Option<BTreeMap<PathBuf, Entry>>,
    /// The directories that git needs and that were there.
    needed: Vec<PathBuf>,
    links: HashSet<PathBuf>,
}

impl Shape {
    /// As it is now; `None` where there is no directory.
    #[must_use]
    pub fn of(root: PathBuf) -> Option<Self> {
        if !is_directory(&root) {
            return None;
        }
        let head = root.join("HEAD");
        let head = if is_head(&head) { entries(&head, &mut u64::MAX.clone()).ok() } else { None };
        let needed = NEEDED.map(|name| root.join(name)).into_iter().filter(|path| head.is_some() && is_directory(path)).collect();
        let links = links(&root).into_iter().collect();
        Some(Self { root, head, needed, links })
    }

    /// Removes links that were not there, and puts back what git needs; gives the paths of that. The content of a directory
    /// that was removed stays lost.
    ///
    /// # Errors
    /// When something cannot be put back.
    pub fn restore(&self) -> io::Result<BTreeSet<PathBuf>> {
        if !self.root.parent().is_some_and(|parent| fs::canonicalize(parent).is_ok_and(|real| real == *parent)) {
            // It has gone with what it was in, and nothing is done where a link leads.
            return Ok(BTreeSet::new());
        }
        let head = self.root.join("HEAD");
        let mut changed = BTreeSet::new();
        make(&self.root, &mut changed)?;
        for link in links(&self.root) {
            if !self.links.contains(&link) && (link != head || !is_head(&link)) {
                remove(&link)?;
                changed.insert(link);
            }
        }
        for path in &self.needed {
            make(path, &mut changed)?;
        }
        if let Some(before) = self.head.as_ref().filter(|_| !is_head(&head)) {
            put_back(&head, before)?;
            changed.insert(head);
        }
        Ok(changed)
    }
}

/// Makes a directory of what is none.
fn make(path: &Path, changed: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if !is_directory(path) {
        remove(path)?;
        fs::create_dir(path)?;
        changed.insert(path.to_owned());
    }
    Ok(())
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Whether git takes it for the `HEAD` of a repository: the name of a reference, a link to one, or the name of a commit.
fn is_head(path: &Path) -> bool {
    if let Ok(target) = fs::read_link(path) {
        return target.starts_with("refs") && !target.components().any(|part| part == Component::ParentDir);
    }
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    let Some(content) = is_file.then(|| fs::read(path).ok()).flatten() else { return false };
    match content.strip_prefix(b"ref:") {
        Some(name) => name.trim_ascii_start().starts_with(b"refs/"),
        None => content.len() >= 40 && content[..40].iter().all(u8::is_ascii_hexdigit),
    }
}

/// The links in a git directory, but for those where git keeps objects.
fn links(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = waiting.pop() {
        let is_top = directory == root;
        let is_objects = directory.ends_with("objects") && (is_top || directory.parent() == Some(root));
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            let is_one_of = |names: &[&str]| names.iter().any(|other| name == *other);
            if kind.is_symlink() {
                found.push(entry.path());
            } else if kind.is_dir() && !(is_top && is_one_of(&SKIPPED)) && (!is_objects || is_one_of(&OF_OBJECTS)) {
                waiting.push(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_git_takes_for_a_head() {
        let keep = tempfile::tempdir().unwrap();
        let head = keep.path().join("HEAD");
        let hash = "0123456789abcdef0123456789abcdef01234567\n";
        for (text, expected) in [("ref: refs/heads/main\n", true), ("ref:\trefs/x", true), (hash, true), ("ref: ../x", false), ("", false)]
        {
            fs::write(&head, text).unwrap();
            assert_eq!(is_head(&head), expected, "{text}");
        }
        for (target, expected) in [("refs/heads/main", true), ("refs/../config", false), ("../outside", false), ("/etc/passwd", false)] {
            fs::remove_file(&head).unwrap();
            symlink(target, &head).unwrap();
            assert_eq!(is_head(&head), expected, "{target}");
        }
    }

    #[test]
    fn links_are_removed_and_what_git_needs_is_put_back() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let git = top.join(".git");
        for name in ["objects/pack", "objects/ab", "refs/heads", "logs/refs", "lfs/objects"] {
            fs::create_dir_all(git.join(name)).unwrap();
        }
        write(&git.join("HEAD"), "ref: refs/heads/main\n");
        write(&top.join("outside/mine"), "mine");
        symlink("../outside/mine", git.join("old")).unwrap();
        let shape = Shape::of(git.clone()).unwrap();
        assert!(shape.restore().unwrap().is_empty());

        fs::remove_file(git.join("HEAD")).unwrap();
        fs::rename(git.join("refs"), git.join("other")).unwrap();
        for name in ["HEAD", "COMMIT_EDITMSG", "logs/refs/heads", "objects/pack/a.pack", "refs"] {
            symlink("../outside", git.join(name)).unwrap();
        }
        // There git writes nothing, or everything that belongs there is a link.
        for name in ["objects/ab/cd", "lfs/objects/x"] {
            symlink("../outside", git.join(name)).unwrap();
        }
        let changed = shape.restore().unwrap();
        let changed: Vec<_> = changed.iter().map(|path| path.strip_prefix(&git).unwrap().display().to_string()).collect();
        assert_eq!(changed, ["COMMIT_EDITMSG", "HEAD", "logs/refs/heads", "objects/pack/a.pack", "refs"]);
        assert_eq!(fs::read_to_string(git.join("HEAD")).unwrap(), "ref: refs/heads/main\n");
        assert!(git.join("refs").is_dir() && git.join("old").exists() && shape.restore().unwrap().is_empty());

        // A branch of git's own making is one.
        fs::write(git.join("HEAD"), "ref: refs/heads/other\n").unwrap();
        assert!(shape.restore().unwrap().is_empty());
        fs::rename(&git, top.join("aside")).unwrap();
        symlink("outside", &git).unwrap();
        let expected = [git.clone(), git.join("objects"), git.join("refs"), git.join("HEAD")];
        assert_eq!(shape.restore().unwrap(), BTreeSet::from(expected));
        assert_eq!(fs::read_dir(top.join("outside")).unwrap().count(), 1);
    }
}
