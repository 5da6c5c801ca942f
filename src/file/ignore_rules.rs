//! The one place that builds a walker over a project's files: hidden files are part of a project, git's own directory
//! is not, what ignore files name is left out, and symbolic links are named but never followed.

use ignore::{DirEntry, WalkBuilder};

use crate::stdx::paths::AbsPath;

/// A walker below `root` over everything that `keep` does not leave out; what it leaves out is not entered.
///
/// Inside a repository the ignore files from its top downwards count. Elsewhere only those from `root` downwards do:
/// an ignore file in the home directory, as people have who keep their settings in git, says nothing about a project.
#[must_use]
pub fn walker(root: &AbsPath, keep: impl Fn(&DirEntry) -> bool + Send + Sync + 'static) -> WalkBuilder {
    let in_repository = root.ancestors().any(|directory| directory.join(".git").as_path().exists());
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(false)
        .parents(in_repository)
        .require_git(in_repository)
        .follow_links(false)
        // Otherwise rules of the user's global ignore file are taken relative to the process directory.
        .current_dir(root.as_path())
        .filter_entry(move |entry| entry.depth() == 0 || (entry.file_name() != ".git" && keep(entry)));
    builder
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(root: &AbsPath) -> Vec<String> {
        let mut names: Vec<_> = walker(root, |_| true)
            .build()
            .map(|entry| AbsPath::new(entry.unwrap().path()).unwrap().relative_to(root))
            .filter(|name| name != ".")
            .collect();
        names.sort();
        names
    }

    #[test]
    fn ignore_files_count_inside_and_outside_of_git() {
        let directory = tempfile::tempdir().unwrap();
        let home = AbsPath::new(directory.path()).unwrap().real().unwrap();
        let project = home.join("project");
        fs::create_dir_all(project.join("src/deep")).unwrap();
        for (path, text) in [
            (".gitignore", "*\n"),
            ("project/.gitignore", "*.log\n/src/deep\n"),
            ("project/.hidden", ""),
            ("project/a.log", ""),
            ("project/src/b", ""),
            ("project/src/deep/c", ""),
            ("project/src/d.log", ""),
        ] {
            fs::write(home.join(path), text).unwrap();
        }
        assert_eq!(names(&project), [".gitignore", ".hidden", "src", "src/b"]);
        assert_eq!(names(&project.join("src")), ["b", "d.log", "deep", "deep/c"]);
        fs::create_dir_all(project.join(".git")).unwrap();
        assert_eq!(names(&project), [".gitignore", ".hidden", "src", "src/b"]);
        assert_eq!(names(&project.join("src")), ["b"]);
    }
}
