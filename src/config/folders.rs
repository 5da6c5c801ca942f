//! Walks the directories with settings: from the root of the worktree down, and folders of agents or commands. Links out
//! of the worktree are not followed.

use std::collections::HashSet;

use crate::stdx::paths::AbsPath;

/// The limits of walking a folder of agents, commands or plugins.
const MAX_DEPTH: usize = 16;
const MAX_FILES: usize = 2000;
const MAX_ENTRIES: usize = 20_000;

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

/// All files below a folder, sorted by path, without those that lead out of `fence`. A directory to which several links lead
/// counts once.
pub fn files(folder: &AbsPath, fence: Option<&AbsPath>) -> Vec<AbsPath> {
    let mut walk = Walk { fence, seen: HashSet::new(), entries: 0, found: Vec::new() };
    if folder.as_path().is_dir() && walk.is_inside(folder) {
        walk.directory(folder, 0);
    }
    walk.found.sort();
    walk.found
}

struct Walk<'a> {
    fence: Option<&'a AbsPath>,
    /// The real paths of the directories: links that lead to each other would multiply them.
    seen: HashSet<AbsPath>,
    entries: usize,
    found: Vec<AbsPath>,
}

impl Walk<'_> {
    fn is_inside(&self, path: &AbsPath) -> bool {
        self.fence.is_none_or(|fence| stays_within(path, fence))
    }

    fn directory(&mut self, folder: &AbsPath, depth: usize) {
        let Ok(real) = folder.real() else { return };
        if depth > MAX_DEPTH || !self.seen.insert(real) {
            return;
        }
        let Ok(entries) = std::fs::read_dir(folder.as_path()) else { return };
        let entries = entries.flatten().filter_map(|entry| Some((entry.file_type().ok()?.is_symlink(), folder.join(entry.file_name()))));
        let mut paths: Vec<_> = entries.take(MAX_ENTRIES).collect();
        // What is really here has its name from here, and not from a link to it.
        paths.sort();
        for (is_link, path) in paths {
            self.entries += 1;
            if self.entries > MAX_ENTRIES || self.found.len() >= MAX_FILES {
                tracing::warn!(%folder, "more than {MAX_FILES} files or {MAX_ENTRIES} entries: the rest is ignored");
                return;
            }
            if is_link && !self.is_inside(&path) {
                continue;
            }
            if path.as_path().is_dir() {
                self.directory(&path, depth + 1);
            } else if path.as_path().is_file() {
                self.found.push(path);
            }
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
    fn links_multiply_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
        std::fs::write(root.join("a.md").as_path(), "").unwrap();
        std::fs::create_dir(root.join("z").as_path()).unwrap();
        std::fs::write(root.join("z/b.md").as_path(), "").unwrap();
        for number in 0..8 {
            std::os::unix::fs::symlink(".", root.join(format!("loop{number}")).as_path()).unwrap();
            std::os::unix::fs::symlink("z", root.join(format!("link{number}")).as_path()).unwrap();
        }
        let names: Vec<_> = markdown(&root, Some(&root)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "z/b"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_of_links_to_elsewhere_counts() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
        std::fs::create_dir_all(root.join("elsewhere").as_path()).unwrap();
        std::fs::write(root.join("elsewhere/c.md").as_path(), "").unwrap();
        std::fs::create_dir(root.join("agent").as_path()).unwrap();
        std::os::unix::fs::symlink("../elsewhere", root.join("agent/mine").as_path()).unwrap();
        assert_eq!(markdown(&root.join("agent"), None)[0].0, "mine/c");
        assert_eq!(markdown(&root.join("agent"), Some(&root.join("agent"))), []);
    }
}
