//! The one place that builds a walker over a project's files: hidden files are part of a project, git's own directory
//! is not, what ignore files name is left out, and symbolic links are named but never followed.

pub mod rules;

mod tails;

use std::path::Path;

use ignore::{DirEntry, WalkBuilder};

use crate::stdx::paths::AbsPath;

/// Deeper nesting is no pattern of a person, and reading it takes a stack as deep.
const MAX_NESTED: usize = 32;
/// A longer ignore file is none of a person either.
const MAX_BYTES: u64 = 1024 * 1024;

/// Whether a line of patterns nests its braces deeper than the library that reads it can bear.
#[must_use]
pub fn is_too_nested(patterns: &[u8]) -> bool {
    let mut depth = 0usize;
    patterns.iter().any(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'\n' => depth = 0,
            _ => {}
        }
        depth > MAX_NESTED
    })
}

/// Whether the ignore files of a directory can be read without harm.
fn has_sound_rules(directory: &Path) -> bool {
    [".gitignore", ".ignore", ".git/info/exclude"].iter().all(|name| {
        let path = directory.join(name);
        match std::fs::metadata(&path) {
            Err(_) => true,
            Ok(metadata) if !metadata.is_file() || metadata.len() > MAX_BYTES => false,
            Ok(_) => std::fs::read(&path).is_ok_and(|text| !is_too_nested(&text)),
        }
    })
}

/// A walker below `root` over everything that `keep` does not leave out; what it leaves out is not entered.
///
/// Inside a repository the ignore files from its top downwards count. Elsewhere only those from `root` downwards do:
/// an ignore file in the home directory, as people have who keep their settings in git, says nothing about a project.
#[must_use]
pub fn walker(root: &AbsPath, keep: impl Fn(&DirEntry) -> bool + Send + Sync + 'static) -> WalkBuilder {
    let in_repository = root.ancestors().any(|directory| directory.join(".git").as_path().exists());
    let sound = root.ancestors().all(|directory| has_sound_rules(directory.as_path()));
    let mut builder = WalkBuilder::new(root);
    builder
        .standard_filters(sound)
        .hidden(false)
        .parents(sound && in_repository)
        .require_git(in_repository)
        .follow_links(false)
        // Otherwise rules of the user's global ignore file are taken relative to the process directory.
        .current_dir(root.as_path())
        .filter_entry(move |entry| {
            let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.depth() == 0 || (entry.file_name() != ".git" && keep(entry) && (!is_directory || has_sound_rules(entry.path())))
        });
    builder
}

/// Whether a walk below `root` would come by a file at this path if there was one.
#[must_use]
pub fn sees(root: &AbsPath, path: &AbsPath) -> bool {
    let Ok(relative) = path.as_path().strip_prefix(root) else { return false };
    let directories = relative.ancestors().skip(1);
    !relative.components().any(|name| name.as_os_str() == ".git")
        && directories.into_iter().all(|directory| has_sound_rules(root.join(directory).as_path()))
        && !walker(root, |_| true).build_matchers().iter_mut().any(|rules| rules.matched(relative, false).is_ignore())
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
        let seen = |path: &str| sees(&project, &project.join(path));
        let expected = [true, false, true, true, false, false, true, false];
        assert_eq!(["new", "new.log", ".new", "src/a/new", "src/deep/a/new", ".git/new", "src/new.log.txt", "../new"].map(seen), expected);
        fs::create_dir_all(project.join(".git")).unwrap();
        assert_eq!(names(&project), [".gitignore", ".hidden", "src", "src/b"]);
        assert_eq!(names(&project.join("src")), ["b"]);
    }
}
