//! Compares the files of a directory with ripgrep's walker.

use std::fs;

use super::walker::walker;
use crate::{
    find::{files::Files, listing::EntryKind, walk::Bounds},
    git::ignore::is_visible,
    stdx::paths::AbsPath,
};

/// The names in the list, which must be those of the walker.
fn names(root: &AbsPath) -> Vec<String> {
    let mut names: Vec<_> = walker(root, |_| true)
        .build()
        .map(|entry| AbsPath::new(entry.unwrap().path()).unwrap().relative_to(root))
        .filter(|name| name != ".")
        .collect();
    names.sort();
    let mut listed = Vec::new();
    let files = Files::walk(root, Bounds::SEARCH, &|| false).unwrap();
    files.visit(|_, _| true, |path, _| listed.push(AbsPath::new(path).unwrap().relative_to(root)));
    listed.sort();
    assert_eq!(listed, names);
    names
}

#[test]
fn ignore_files_apply_inside_and_outside_git() {
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
    let seen = |path: &str| is_visible(&project, &project.join(path));
    let expected = [true, false, true, true, false, false, true, false];
    assert_eq!(["new", "new.log", ".new", "src/a/new", "src/deep/a/new", ".git/new", "src/new.log.txt", "../new"].map(seen), expected);
    fs::create_dir_all(project.join(".git")).unwrap();
    assert_eq!(names(&project), [".gitignore", ".hidden", "src", "src/b"]);
    assert_eq!(names(&project.join("src")), ["b"]);
}

#[test]
fn skipped_directories_are_not_visited() {
    let directory = tempfile::tempdir().unwrap();
    let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
    for path in ["a/x", "out/deep/x", "out-b/x", "out.c", "z"] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), "").unwrap();
    }
    let mut visited = Vec::new();
    let files = Files::walk(&root, Bounds::SEARCH, &|| false).unwrap();
    let keep = |path: &std::path::Path, what| what == EntryKind::File || path != root.join("out").as_path();
    files.visit(keep, |path, _| visited.push(AbsPath::new(path).unwrap().relative_to(&root)));
    visited.sort();
    assert_eq!(visited, ["a", "a/x", "out-b", "out-b/x", "out.c", "z"]);
}
