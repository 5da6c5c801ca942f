//! What makes git, or polytree, run programs: git's settings and hooks, the files that say where a repository is, and
//! polytree's own files in the worktree. A command that may write the worktree must not change them. Where they cannot be
//! mounted read-only, they are kept before the command and put back after it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    entries::{Entry, MAX_BYTES, entries, put_back},
    git_shape::Shape,
    repository::{ALTERNATES, Repository},
};

/// The files of a git directory by which git runs programs, or reads from elsewhere: settings, hooks, the files that lead to
/// other git directories, what chooses filters without being seen in a diff, remotes in the old form, and object stores.
const TRUSTED: [&str; 10] =
    ["config", "config.worktree", "hooks", "commondir", "gitdir", "worktrees", "info/attributes", "remotes", "branches", ALTERNATES];

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
    let own = directories(repository).into_iter().flat_map(|directory| TRUSTED.map(|name| directory.join(name)));
    paths.extend(own.filter(|path| !repository.own.starts_with(path)));
    paths.push(repository.common.join("polytree-id"));
    paths
}

/// The git directories of a repository: that of the worktree, the one that all worktrees share, and those of submodules.
#[must_use]
pub fn directories(repository: &Repository) -> Vec<PathBuf> {
    let mut found = vec![repository.own.clone()];
    if !repository.is_main() {
        found.push(repository.common.clone());
    }
    found.extend(modules(&repository.own));
    found
}

/// The git directories of the submodules of the worktree with this one.
#[must_use]
pub fn modules(own: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    modules_below(&own.join("modules"), MAX_DEPTH, &mut found);
    found
}

fn modules_below(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(|_| depth > 0) {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let is_one = fs::symlink_metadata(path.join("HEAD")).is_ok();
        modules_below(&if is_one { path.join("modules") } else { path.clone() }, depth - 1, found);
        if is_one {
            found.push(path);
        }
    }
}

/// What was at some paths, to be compared and put back.
#[derive(Debug, Default)]
pub struct Snapshot {
    paths: Vec<(PathBuf, BTreeMap<PathBuf, Entry>)>,
    shapes: Vec<Shape>,
}

impl Snapshot {
    /// Keeps what is at these paths now, and the shape of these git directories.
    ///
    /// # Errors
    /// When it is too much, or cannot be read.
    pub fn take(paths: Vec<PathBuf>, directories: Vec<PathBuf>) -> io::Result<Self> {
        let mut left = MAX_BYTES;
        let kept = paths.into_iter().map(|path| {
            let entries = entries(&path, &mut left)?;
            Ok((path, entries))
        });
        Ok(Self { paths: kept.collect::<io::Result<_>>()?, shapes: directories.into_iter().filter_map(Shape::of).collect() })
    }

    /// Puts back what has changed, and gives the paths of that.
    ///
    /// # Errors
    /// When something cannot be put back.
    pub fn restore(&self) -> io::Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        let mut failure = None;
        // A link in place of a git directory has gone before something is put into it.
        for restored in self.shapes.iter().map(Shape::restore) {
            match restored {
                Ok(restored) => changed.extend(restored),
                Err(error) => failure = Some(error),
            }
        }
        for (path, before) in &self.paths {
            // What has become too much has changed.
            let after = entries(path, &mut MAX_BYTES.clone()).ok();
            if after.as_ref() == Some(before) {
                continue;
            }
            if !changed.contains(path) {
                changed.push(path.clone());
            }
            // One that cannot be put back does not keep the others from it.
            if let Err(error) = put_back(path, before) {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(changed), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::{super::entries::MAX_FILES, *};

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
        let snapshot = Snapshot::take(protected(&top, Some(&repository), &[".polytree"]), directories(&repository)).unwrap();
        assert!(snapshot.restore().unwrap().is_empty());

        write(&git.join("config"), "[core]\nfsmonitor = evil\n");
        write(&git.join("modules/a/b/config"), "evil");
        write(&git.join("modules/a/b/commondir"), "evil");
        write(&git.join("info/attributes"), "evil");
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
            ".git/info/attributes",
            ".git/modules/a/b/commondir",
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
        let repository = Repository::of(&top.join("tree"), &[]).unwrap();
        let snapshot = Snapshot::take(protected(&top.join("tree"), Some(&repository), &[]), directories(&repository)).unwrap();
        fs::rename(&git, top.join("tree/aside")).unwrap();
        symlink(&other, &git).unwrap();
        assert_eq!(snapshot.restore().unwrap(), [git.clone(), git.join("config")]);
        assert!(!git.is_symlink() && fs::read_to_string(git.join("config")).unwrap() == "[core]\n");
        assert_eq!(fs::read_to_string(other.join("config")).unwrap(), "mine");
        assert!(other.join("hooks/h").exists());
        // Nor where the worktree itself has become one.
        fs::rename(top.join("tree"), top.join("aside")).unwrap();
        fs::create_dir(other.join(".git")).unwrap();
        symlink(&other, top.join("tree")).unwrap();
        assert!(snapshot.restore().unwrap_err().to_string().ends_with("has become a link"));
        assert_eq!(fs::read_dir(other.join(".git")).unwrap().count(), 0);
    }

    #[test]
    fn another_name_for_a_file_that_is_trusted_is_no_way_to_change_it_later() {
        let keep = tempfile::tempdir().unwrap();
        let git = keep.path().canonicalize().unwrap().join(".git");
        write(&git.join("config"), "[core]\n");
        let snapshot = Snapshot::take(vec![git.join("config")], Vec::new()).unwrap();
        fs::hard_link(git.join("config"), git.join("COMMIT_EDITMSG")).unwrap();
        assert_eq!(snapshot.restore().unwrap(), [git.join("config")]);
        write(&git.join("COMMIT_EDITMSG"), "[core]\nfsmonitor = evil\n");
        assert_eq!(fs::read_to_string(git.join("config")).unwrap(), "[core]\n");
    }

    #[test]
    fn a_git_entry_that_a_command_makes_is_removed() {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let (tree, home) = (top.join("tree"), top.join("home"));
        fs::create_dir_all(&tree).unwrap();
        write(&home.join("file"), "mine");
        let snapshot = Snapshot::take(protected(&tree, Repository::of(&tree, &[]).as_ref(), &[]), Vec::new()).unwrap();
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
