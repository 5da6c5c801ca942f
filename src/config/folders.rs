//! Walks the directories with settings: from the root of the worktree down, and folders of agents or commands. Links out
//! of the worktree are not followed.

use crate::stdx::paths::AbsPath;

/// The limits of walking a folder of agents, commands or plugins.
const MAX_DEPTH: usize = 16;
const MAX_FILES: usize = 2000;

/// The directories from the worktree down to `directory`, both included; only `directory` if it is elsewhere.
pub fn from_root(worktree: &AbsPath, directory: &AbsPath) -> Vec<AbsPath> {
    let mut directories: Vec<_> = directory.ancestors().take_while(|ancestor| ancestor.is_within(worktree)).collect();
    directories.reverse();
    if directories.is_empty() { vec![directory.clone()] } else { directories }
}

/// Whether the path, with links resolved, is below the directory (a real path). False if it cannot be reached.
pub fn stays_within(path: &AbsPath, directory: &AbsPath) -> bool {
    path.real().is_ok_and(|real| real.is_within(directory))
}

/// All files below a folder, sorted by path, without those that lead out of `fence`.
pub fn files(folder: &AbsPath, fence: Option<&AbsPath>) -> Vec<AbsPath> {
    let mut found = Vec::new();
    let inside = |path: &AbsPath| fence.is_none_or(|fence| stays_within(path, fence));
    if folder.as_path().is_dir() && inside(folder) {
        walk(folder, &inside, 0, &mut found);
    }
    found
}

fn walk(folder: &AbsPath, inside: &dyn Fn(&AbsPath) -> bool, depth: usize, found: &mut Vec<AbsPath>) {
    let Ok(entries) = std::fs::read_dir(folder.as_path()) else { return };
    let mut paths: Vec<_> = entries.flatten().filter_map(|entry| Some((entry.file_type().ok()?, folder.join(entry.file_name())))).collect();
    paths.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (kind, path) in paths {
        if found.len() >= MAX_FILES {
            tracing::warn!(%folder, "more than {MAX_FILES} files: the rest is ignored");
            return;
        }
        if kind.is_symlink() && !inside(&path) {
            continue;
        }
        if path.as_path().is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, inside, depth + 1, found);
            }
        } else if path.as_path().is_file() {
            found.push(path);
        }
    }
}

/// The Markdown files of agents or commands (`kind`) in a folder, with their names. The plural is a folder too, and
/// stands above the other.
pub fn definitions(folder: &AbsPath, kind: &str, fence: Option<&AbsPath>) -> Vec<(String, AbsPath)> {
    let folders = [folder.join(kind), folder.join(format!("{kind}s"))];
    folders.iter().flat_map(|folder| markdown(folder, fence)).collect()
}

/// All Markdown files below a folder with their names: the relative path without the extension.
pub fn markdown(folder: &AbsPath, fence: Option<&AbsPath>) -> Vec<(String, AbsPath)> {
    let named = |path: AbsPath| Some((path.relative_to(folder).strip_suffix(".md")?.to_owned(), path));
    files(folder, fence).into_iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_root_down() {
        let root = AbsPath::new("/w").unwrap();
        let text = |paths: Vec<AbsPath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(text(from_root(&root, &root.join("a/b"))), "/w /w/a /w/a/b");
        assert_eq!(text(from_root(&root, &root)), "/w");
        assert_eq!(text(from_root(&root, &AbsPath::new("/x/y").unwrap())), "/x/y");
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_ends() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
        std::fs::write(root.join("a.md").as_path(), "").unwrap();
        std::os::unix::fs::symlink(".", root.join("loop").as_path()).unwrap();
        assert_eq!(markdown(&root, Some(&root))[0].0, "a");
        assert!(markdown(&root, Some(&root)).len() <= MAX_DEPTH + 1);
    }
}
