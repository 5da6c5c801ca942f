//! Directory listings.

use std::fs;

use super::support::{Sandbox, checkout, git, wait};
use crate::{
    file::{Error, list},
    stdx::paths::AbsPath,
};

fn names(root: &AbsPath, path: &str) -> Vec<String> {
    let mark = |entry: &list::Entry| {
        let kind = if entry.is_directory { "/" } else { "" };
        format!("{}{kind}{}{}", entry.shown, if entry.is_symlink { "@" } else { "" }, if entry.is_ignored { " !" } else { "" })
    };
    wait(list::list(&checkout(root, root), path)).unwrap().iter().map(mark).collect()
}

#[test]
fn directories_come_first_and_ignored_names_are_marked() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    for (path, text) in [
        (".gitignore", "*.log\ntarget/\n"),
        ("sub/.gitignore", "!keep.log\ninner\n"),
        ("sub/keep.log", ""),
        ("sub/other.log", ""),
        ("sub/inner", ""),
        ("target/x", ""),
        ("tracked.log", ""),
        ("AGENTS.md", ""),
        ("a10.txt", ""),
        ("a2.txt", ""),
        (".DS_Store", ""),
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    fs::write(root.join(".git/info/exclude"), "a2.txt\n").unwrap();
    git(&root, &["add", "-f", "tracked.log"]);
    std::os::unix::fs::symlink("sub", root.join("way")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("broken")).unwrap();
    let expected = ["sub/", "target/ !", "way/@", ".gitignore", "a2.txt !", "a10.txt", "AGENTS.md", "broken@", "file", "tracked.log"];
    assert_eq!(names(&root, ""), expected);
    assert_eq!(names(&root, "."), expected);
    assert_eq!(names(&root, "sub"), ["sub/.gitignore", "sub/inner !", "sub/keep.log", "sub/other.log !"]);
    assert_eq!(names(&root, "target"), ["target/x !"]);
    assert_eq!(names(&root, "way"), names(&root, "sub"));
}

#[test]
fn outside_git_nothing_is_ignored() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("plain");
    fs::write(root.join(".gitignore"), "*\n").unwrap();
    assert_eq!(names(&root, ""), [".gitignore"]);
    // A broken repository can still be listed.
    fs::write(root.join(".git"), "gitdir: nowhere\n").unwrap();
    assert_eq!(names(&root, ""), [".gitignore"]);
}

#[test]
fn there_is_a_limit() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("many");
    for number in 0..10_000 {
        fs::write(root.join(format!("{number}")), "").unwrap();
    }
    assert_eq!(names(&root, "").len(), 10_000);
    for number in 10_000..10_003 {
        fs::write(root.join(format!("{number}")), "").unwrap();
    }
    assert!(matches!(wait(list::list(&checkout(&root, &root), "")), Err(Error::TooLarge { limit: 10_000, .. })));
}
