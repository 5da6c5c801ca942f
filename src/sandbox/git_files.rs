//! What makes git, or polytree, run programs: git's settings and hooks, the files that say where a repository is, and
//! polytree's own files in the worktree. A command that may write the worktree must not change them. Where they cannot be
//! mounted read-only, they are kept before the command and put back after it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::repository::{ALTERNATES, Repository};

/// So many files are kept of one place, and so many bytes of all.
const MAX_FILES: usize = 256;
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// How deep repositories of submodules are looked for.
const MAX_DEPTH: usize = 4;

/// The paths that a command in the worktree must not change, whether they are there or not. `also` are names of
/// polytree's own files at the top of the worktree.
#[must_use]
pub fn protected(worktree: &Path, repository: Option<&Repository>, also: &[&str]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = also.iter().map(|name| worktree.join(name)).collect();
    let entry = worktree.join(".git");
    // Also where it is not there: a command must not make one, by which other places would be opened and programs run.
    if !fs::symlink_metadata(&entry).is_ok_and(|found| found.is_dir()) {
        paths.push(entry);
    }
    let Some(repository) = repository else { return paths };
    paths.extend(["commondir", "gitdir", "config.worktree"].map(|name| repository.own.join(name)));
    paths.extend(
        ["config", "hooks", "worktrees", "polytree-id", ALTERNATES]
            .map(|name| repository.common.join(name))
            .into_iter()
            .filter(|path| !repository.own.starts_with(path)),
    );
    if repository.is_main() {
        submodules(&repository.common.join("modules"), MAX_DEPTH, &mut paths);
    }
    paths
}

/// The settings and hooks of the repositories that lie below.
fn submodules(directory: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(|_| depth > 0) {
        let path = entry.path();
        if path.join("HEAD").is_file() {
            paths.extend(["config", "hooks", "config.worktree", ALTERNATES].map(|name| path.join(name)));
            submodules(&path.join("modules"), depth - 1, paths);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            submodules(&path, depth - 1, paths);
        }
    }
}

/// A file system entry as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Directory(u32),
    File(u32, Vec<u8>),
    Link(PathBuf),
    /// Something that is not kept, such as a socket.
    Other,
}

/// What was at some paths, to be compared and put back.
#[derive(Debug, Default)]
pub struct Snapshot {
    paths: Vec<(PathBuf, BTreeMap<PathBuf, Entry>)>,
}

impl Snapshot {
    /// Keeps what is at these paths now.
    ///
    /// # Errors
    /// When it is too much, or cannot be read.
    pub fn take(paths: Vec<PathBuf>) -> io::Result<Self> {
        let mut left = MAX_BYTES;
        let kept = paths.into_iter().map(|path| {
            let entries = entries(&path, &mut left)?;
            Ok((path, entries))
        });
        Ok(Self { paths: kept.collect::<io::Result<_>>()? })
    }

    /// Puts back what has changed, and gives the paths of that.
    ///
    /// # Errors
    /// When something cannot be put back.
    pub fn restore(&self) -> io::Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        let mut failure = None;
        for (path, before) in &self.paths {
            // What has become too much has changed.
            let after = entries(path, &mut MAX_BYTES.clone()).ok();
            if after.as_ref() == Some(before) {
                continue;
            }
            changed.push(path.clone());
            // One that cannot be put back does not keep the others from it.
            if let Err(error) = put_back(path, before) {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(changed), Err)
    }
}

fn put_back(path: &Path, before: &BTreeMap<PathBuf, Entry>) -> io::Result<()> {
    // Nothing is removed or written where a link leads.
    if let Some(parent) = path.parent().filter(|parent| fs::canonicalize(parent).is_ok_and(|real| real != *parent)) {
        return Err(io::Error::other(format!("{} has become a link", parent.display())));
    }
    remove(path)?;
    before.iter().try_for_each(|(path, entry)| put(path, entry))
}

fn entries(path: &Path, left: &mut u64) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(error),
        };
        let mode = metadata.mode() & 0o7777;
        let entry = if metadata.is_symlink() {
            Entry::Link(fs::read_link(&path)?)
        } else if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
            Entry::Directory(mode)
        } else if metadata.is_file() {
            *left = left.checked_sub(metadata.len()).ok_or_else(too_much)?;
            Entry::File(mode, fs::read(&path)?)
        } else {
            Entry::Other
        };
        found.insert(path, entry);
        if found.len() > MAX_FILES {
            return Err(too_much());
        }
    }
    Ok(found)
}

fn too_much() -> io::Error {
    io::Error::other("git's settings and hooks are too large to be kept while a command runs")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn put(path: &Path, entry: &Entry) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match entry {
        Entry::Directory(mode) => {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Entry::File(mode, content) => {
            fs::write(path, content)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Entry::Link(target) => symlink(target, path),
        Entry::Other => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_was_changed_made_or_removed_is_put_back() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let git = top.join(".git");
        write(&git.join("config"), "[core]\n");
        write(&git.join("hooks/pre-commit"), "#!/bin/sh\n");
        fs::set_permissions(git.join("hooks/pre-commit"), fs::Permissions::from_mode(0o755)).unwrap();
        write(&git.join("modules/a/b/HEAD"), "x");
        write(&git.join("modules/a/b/config"), "y");
        let repository = Repository::of(&top, &[]).unwrap();
        let snapshot = Snapshot::take(protected(&top, Some(&repository), &[".polytree"])).unwrap();
        assert!(snapshot.restore().unwrap().is_empty());

        write(&git.join("config"), "[core]\nfsmonitor = evil\n");
        write(&git.join("modules/a/b/config"), "evil");
        write(&git.join("hooks/post-checkout"), "evil");
        fs::remove_file(git.join("hooks/pre-commit")).unwrap();
        write(&top.join(".polytree/settings"), "evil");
        write(&git.join("polytree-id"), "evil");
        write(&git.join("objects/info/alternates"), "/\n");
        symlink("/elsewhere", git.join("commondir")).unwrap();
        let mut changed: Vec<_> =
            snapshot.restore().unwrap().iter().map(|path| path.strip_prefix(&top).unwrap().display().to_string()).collect();
        changed.sort();
        let expected = [
            ".git/commondir",
            ".git/config",
            ".git/hooks",
            ".git/modules/a/b/config",
            ".git/objects/info/alternates",
            ".git/polytree-id",
            ".polytree",
        ];
        assert_eq!(changed, expected);
        assert_eq!(fs::read_to_string(git.join("config")).unwrap(), "[core]\n");
        assert_eq!(fs::metadata(git.join("hooks/pre-commit")).unwrap().mode() & 0o777, 0o755);
        assert!(!git.join("hooks/post-checkout").exists() && !top.join(".polytree").exists());
        assert!(snapshot.restore().unwrap().is_empty());
    }

    #[test]
    fn nothing_is_written_or_removed_where_a_link_leads() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let (git, other) = (top.join("tree/.git"), top.join("other"));
        write(&git.join("config"), "[core]\n");
        write(&other.join("config"), "mine");
        write(&other.join("hooks/h"), "mine");
        let snapshot = Snapshot::take(protected(&top.join("tree"), Repository::of(&top.join("tree"), &[]).as_ref(), &[])).unwrap();
        fs::rename(&git, top.join("tree/aside")).unwrap();
        symlink(&other, &git).unwrap();
        assert!(snapshot.restore().unwrap_err().to_string().ends_with("has become a link"));
        assert_eq!(fs::read_to_string(other.join("config")).unwrap(), "mine");
        assert!(other.join("hooks/h").exists());
    }

    #[test]
    fn a_git_entry_that_a_command_makes_is_removed() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let (tree, home) = (top.join("tree"), top.join("home"));
        fs::create_dir_all(&tree).unwrap();
        write(&home.join("file"), "mine");
        let snapshot = Snapshot::take(protected(&tree, Repository::of(&tree, &[]).as_ref(), &[])).unwrap();
        let entry = tree.join(".git");
        symlink(&home, &entry).unwrap();
        assert_eq!(snapshot.restore().unwrap(), [entry.as_path()]);
        write(&entry, "gitdir: ../home\n");
        assert_eq!(snapshot.restore().unwrap(), [entry.as_path()]);
        for number in 0..=MAX_FILES {
            write(&entry.join(format!("objects/{number}")), "");
        }
        assert_eq!(snapshot.restore().unwrap(), [entry.as_path()]);
        assert!(fs::symlink_metadata(&entry).is_err() && home.join("file").exists());
    }

    #[test]
    fn a_linked_worktree_keeps_the_file_that_leads_to_its_repository() {
        let top = Path::new("/top");
        let (own, tree) = (top.join("main/.git/worktrees/w"), top.join("w"));
        let repository = Repository { own, common: top.join("main/.git") };
        let paths = protected(&tree, Some(&repository), &[]);
        for name in ["w/.git", "main/.git/config", "main/.git/hooks", "main/.git/polytree-id", "main/.git/worktrees/w/commondir"] {
            assert!(paths.contains(&top.join(name)), "{name}");
        }
        assert!(!paths.contains(&top.join("main/.git/worktrees")), "its own directory lies there");
    }
}
