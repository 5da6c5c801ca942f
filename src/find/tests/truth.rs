//! After any changes of a tree the index equals a new walk, ripgrep's walker, and git.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::PathBuf};

use proptest::prelude::*;

use super::support::{Place, git, names, seen, walked};
use crate::{
    find::{
        tree::{Cut, Tree},
        walk::{self, Bounds, NoWatches},
    },
    git::ignore::Rules,
    stdx::paths::AbsPath,
};

#[derive(Debug, Clone)]
enum Step {
    Write(Path),
    Rules(Path, Vec<&'static str>),
    Make(Path),
    Remove(Path),
    Rename(Path, Path),
    Link(Path),
    Exclude(&'static str),
}

type Path = Vec<&'static [u8]>;

const PATTERNS: &[&str] = &["*.log", "/a", "b/", "!keep.log", "a/b", "**/c", "d*", "!a", "*", "/b/*.log", "# no", "a/**", "[ab]", "\\!x"];

fn path() -> impl Strategy<Value = Path> {
    let directory = prop::sample::select(vec![&b"a"[..], b"b", b"c", b"\xff", b"sp ace"]);
    let name = prop::sample::select(vec![&b"x.log"[..], b"keep.log", b"a", b"d1", b"\xfe.rs", b"new\nline", b"e\xcc\x81"]);
    (prop::collection::vec(directory, 0..4), name).prop_map(|(mut path, name)| {
        path.push(name);
        path
    })
}

fn step() -> impl Strategy<Value = Step> {
    let parent = || {
        path().prop_map(|mut path| {
            path.pop();
            path
        })
    };
    let patterns = || prop::collection::vec(prop::sample::select(PATTERNS), 0..4);
    prop_oneof![
        6 => path().prop_map(Step::Write),
        2 => (parent(), patterns()).prop_map(|(path, patterns)| Step::Rules(path, patterns)),
        1 => path().prop_map(Step::Make),
        2 => prop_oneof![path(), parent()].prop_map(Step::Remove),
        2 => (prop_oneof![path(), parent()], prop_oneof![path(), parent()]).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => path().prop_map(Step::Link),
        1 => prop::sample::select(PATTERNS).prop_map(Step::Exclude),
    ]
}

/// Applies a step, if possible.
fn take(place: &Place, step: &Step, rules_file: &str) {
    let full = |path: &Path| path.iter().fold(place.root.as_path().to_owned(), |path, name| path.join(OsStr::from_bytes(name)));
    let in_parent = |path: PathBuf| {
        let _ = fs::create_dir_all(path.parent().unwrap());
        path
    };
    // A step that fails because of existing files is fine.
    let _ = match step {
        Step::Write(path) => fs::write(in_parent(full(path)), "x"),
        Step::Rules(path, patterns) => fs::write(in_parent(full(path).join(rules_file)), patterns.join("\n")),
        Step::Make(path) => fs::create_dir_all(full(path)),
        Step::Remove(path) if path.is_empty() => Ok(()),
        Step::Remove(path) => fs::remove_file(full(path)).or_else(|_| fs::remove_dir_all(full(path))),
        Step::Rename(from, to) if from.is_empty() || to.is_empty() => Ok(()),
        Step::Rename(from, to) => fs::rename(full(from), in_parent(full(to))),
        // Later steps write through this link, so its target must be inside the test's directory.
        Step::Link(path) => std::os::unix::fs::symlink(place.root.join("../beside"), in_parent(full(path))),
        Step::Exclude(pattern) => fs::write(place.root.join(".git/info/exclude"), pattern),
    };
}

fn run(rounds: &[Vec<Step>], watches: usize, in_git: bool, git_rules: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let place = Place::new(watches);
        fs::create_dir(place.root.join("../beside")).unwrap();
        if in_git {
            git(place.root.as_path(), &["init", "--quiet"]);
        }
        for round in rounds {
            for step in round {
                take(&place, step, if git_rules { ".gitignore" } else { ".ignore" });
            }
            let now = walked(&place.root);
            assert_eq!(now, seen(&place.root), "a walk sees what the walker sees");
            if in_git && git_rules {
                let files = git(place.root.as_path(), &["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
                let files: Vec<&[u8]> = files.split(|byte| *byte == 0).filter(|path| !path.is_empty()).collect();
                let own: Vec<&[u8]> = now.iter().map(Vec::as_slice).filter(|path| !path.ends_with(b"/")).collect();
                assert_eq!(own, files.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>(), "and git");
            }
            if watches > 1000 {
                assert_eq!(place.names().await, now, "all changes are in the index");
                place.settled().await;
            } else {
                place.until(async || place.names().await == now).await;
            }
        }
        place.tasks.cancel();
        place.tasks.finished().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn with_watches(rounds in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..5), in_git: bool, git_rules: bool) {
        run(&rounds, 100_000, in_git, git_rules);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn with_few_watches_or_none(rounds in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..4), watches in 0..6usize, in_git: bool) {
        run(&rounds, watches, in_git, true);
    }
}

#[test]
fn a_limit_cuts_off_the_deepest_directories() {
    let place = tempfile::tempdir().unwrap();
    let root = AbsPath::new(place.path()).unwrap().real().unwrap();
    for top in ["a", "b", "c"] {
        fs::create_dir_all(root.join(format!("{top}/d/e"))).unwrap();
        for directory in ["", "d/", "d/e/"] {
            fs::write(root.join(format!("{top}/{directory}file")), "").unwrap();
        }
    }
    let walked = |entries, depth| {
        let bounds = Bounds { entries, depth, ..Bounds::REPOSITORY };
        let walked = walk::walk(&root, b"", Rules::above(&root), bounds, &NoWatches, &|| false).unwrap();
        let names = names(&Tree::new(walked.nodes, None)).into_iter().map(|name| String::from_utf8(name).unwrap());
        (names.collect::<Vec<_>>(), walked.cut)
    };
    let two_levels = ["a/", "a/d/", "a/file", "b/", "b/d/", "b/file", "c/", "c/d/", "c/file"].map(str::to_owned).to_vec();
    assert_eq!(walked(9, 9), (two_levels.clone(), Some(Cut::Entries)));
    assert_eq!(walked(100, 1), (two_levels, Some(Cut::Depth)));
    assert_eq!((walked(3, 9).0, walked(18, 9).1), (["a/", "b/", "c/"].map(str::to_owned).to_vec(), None));
    // Small directories are read recursively; nothing is read twice or lost.
    assert_eq!(walked(1_000_000, 9).0, walked(18, 9).0);
}

#[tokio::test]
async fn unreadable_ignore_files_hide_their_directory() {
    let place = Place::new(1000);
    for path in ["closed/in", "open/in", "open/deeper/in"] {
        place.write(path, "");
    }
    let nested = format!("{}x", "{".repeat(100));
    place.write("closed/.gitignore", &nested);
    assert_eq!(walked(&place.root), seen(&place.root));
    assert!(!walked(&place.root).iter().any(|path| path.starts_with(b"closed")));
    assert_eq!(place.names().await, seen(&place.root));
    place.write("open/deeper/.ignore", &nested);
    fs::remove_file(place.root.join("closed/.gitignore")).unwrap();
    place.until(async || place.names().await == seen(&place.root)).await;
    // In the root: then no rules apply.
    place.write(".ignore", &nested);
    place.until(async || place.names().await == seen(&place.root)).await;
    place.write(".gitignore", "*");
    assert_eq!(walked(&place.root), seen(&place.root));
}

#[tokio::test]
async fn a_repository_within_a_repository_has_its_own_rules() {
    let place = Place::new(1000);
    git(place.root.as_path(), &["init", "--quiet"]);
    place.write(".gitignore", "*.log\nout/\n");
    place.write("inner/a.log", "");
    place.write("inner/out/x", "");
    assert_eq!(place.names().await, seen(&place.root));
    place.settled().await;
    git(place.root.join("inner").as_path(), &["init", "--quiet"]);
    let now = seen(&place.root);
    assert!(now.contains(&b"inner/a.log"[..]), "the outer rules end there");
    place.until(async || place.names().await == now).await;
    fs::remove_dir_all(place.root.join("inner/.git")).unwrap();
    let now = seen(&place.root);
    place.until(async || place.names().await == now).await;
    // A linked worktree uses `info/exclude` of the common git directory.
    git(place.root.as_path(), &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    git(place.root.as_path(), &["worktree", "add", "--quiet", "../linked"]);
    place.write(".git/info/exclude", "secret");
    let linked = place.root.join("../linked");
    fs::write(linked.join("secret"), "").unwrap();
    fs::write(linked.join("shown"), "").unwrap();
    assert_eq!(walked(&linked), seen(&linked));
    assert_eq!(walked(&linked), [b"shown".to_vec()].into());
}
