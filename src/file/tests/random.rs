//! Random repositories: after any sequence of changes the results equal git's own, each patch applies, and the ignored
//! names are those of git.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, os::unix::fs::symlink};

use proptest::prelude::*;

use super::support::{Sandbox, ask, ask_os, checkout, command, expected, git, head, read_as, status, wait};
use crate::{
    file::{
        list,
        read::{Body, Form},
    },
    git::path::{git_bytes, os_string},
    stdx::paths::AbsPath,
};

const PATHS: [&[u8]; 16] = [
    b"a.txt",
    b"b c",
    b"d/e.txt",
    b"d/f/g.txt",
    b"d/f/h.log",
    b"\xc3\xbc.txt",
    b"q\"uo'te",
    b"new\nline\t",
    b"\xff\xfe.x",
    b"-dash",
    b":colon",
    b"*star",
    b"x.log",
    b"d",
    b"a => b",
    b"? x",
];
const PLACES: [&str; 4] = [".gitignore", "d/.gitignore", "d/f/.gitignore", ".git/info/exclude"];
const PATTERNS: [&str; 8] = ["*.log\n", "!h.log\n", "/d\n", "f/\n", "*\n!*/\n", "e.txt\n\\*star\n", "\\:colon\n", ""];

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, bool),
    Append(usize),
    Delete(usize),
    Rename(usize, usize),
    Mode(usize, u32),
    Link(usize, usize),
    Stage(usize),
    StageAll,
    Untrack(usize),
    Intend(usize),
    Ignore(usize, usize),
    Commit,
    Conflict(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    prop_oneof![
        6 => (path(), 0..7usize, any::<bool>()).prop_map(|(path, content, end)| Step::Write(path, content, end)),
        2 => path().prop_map(Step::Append),
        2 => path().prop_map(Step::Delete),
        3 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (path(), prop::sample::select(vec![0o644, 0o755])).prop_map(|(path, mode)| Step::Mode(path, mode)),
        1 => (path(), path()).prop_map(|(at, to)| Step::Link(at, to)),
        3 => path().prop_map(Step::Stage),
        2 => Just(Step::StageAll),
        1 => path().prop_map(Step::Untrack),
        1 => path().prop_map(Step::Intend),
        2 => (0..PLACES.len(), 0..PATTERNS.len()).prop_map(|(place, pattern)| Step::Ignore(place, pattern)),
        3 => Just(Step::Commit),
        1 => path().prop_map(Step::Conflict),
    ]
}

fn content(number: usize, is_terminated: bool) -> Vec<u8> {
    let mut text = match number {
        0 => return Vec::new(),
        1 => return b"\0binary\n\0".to_vec(),
        2 => "gr\u{fc}n\r\nzwei\r\n".repeat(3),
        number => (0..12).map(|line| format!("line {} of {number}\n", if line == 5 { number } else { line })).collect(),
    };
    if !is_terminated {
        text.pop();
    }
    text.into_bytes()
}

/// Steps that are impossible (a parent that is a file, nothing to stage) fail and change nothing.
fn take(root: &AbsPath, step: &Step) {
    let at = |path: usize| root.join(os_string(PATHS[path]));
    let quiet = |args: &[Vec<u8>]| drop(command("git").current_dir(root).args(args.iter().map(|arg| os_string(arg))).output().unwrap());
    let git_on = |args: &[&str], path: usize| {
        let path = [b":(literal)", PATHS[path]].concat();
        quiet(&args.iter().map(|arg| arg.as_bytes().to_vec()).chain([b"--".to_vec(), path]).collect::<Vec<_>>());
    };
    let make_parent = |path: usize| drop(fs::create_dir_all(at(path).parent().unwrap()));
    match step {
        Step::Write(path, number, is_terminated) => {
            make_parent(*path);
            drop(fs::write(at(*path), content(*number, *is_terminated)));
        }
        Step::Append(path) => {
            if let Ok(mut text) = fs::read(at(*path)) {
                text.extend(b"one more\n");
                drop(fs::write(at(*path), text));
            }
        }
        Step::Delete(path) => drop(fs::remove_file(at(*path)).or_else(|_| fs::remove_dir_all(at(*path)))),
        Step::Rename(from, to) => {
            make_parent(*to);
            drop(fs::rename(at(*from), at(*to)));
        }
        Step::Mode(path, mode) => {
            if at(*path).as_path().is_file() {
                drop(fs::set_permissions(at(*path), fs::Permissions::from_mode(*mode)));
            }
        }
        Step::Link(path, to) => drop(symlink(os_string(PATHS[*to]), at(*path))),
        Step::Stage(path) => git_on(&["add"], *path),
        Step::StageAll => quiet(&[b"add".to_vec(), b"-A".to_vec()]),
        Step::Untrack(path) => git_on(&["rm", "-r", "-q", "--cached"], *path),
        Step::Intend(path) => git_on(&["add", "-N"], *path),
        Step::Ignore(place, pattern) => {
            let place = root.join(PLACES[*place]);
            drop(fs::create_dir_all(place.parent().unwrap()));
            drop(fs::write(place, PATTERNS[*pattern]));
        }
        Step::Commit => {
            // Committing fails with a conflict.
            if command("git").current_dir(root).args(["ls-files", "-u"]).output().unwrap().stdout.is_empty() {
                git(root, &["commit", "--quiet", "--allow-empty", "--message=x"]);
            }
        }
        Step::Conflict(path) => conflict(root, PATHS[*path]),
    }
}

/// Three versions of a file in the index, as after a failed merge.
fn conflict(root: &AbsPath, path: &[u8]) {
    use std::io::Write as _;
    if head(root).is_none_or(|head| !head.contains_key(path)) {
        return;
    }
    let id = |text: &str| {
        let mut child = command("git")
            .current_dir(root)
            .args(["hash-object", "-w", "--stdin"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let mut input = format!("0 {}\t", "0".repeat(40)).into_bytes();
    input.extend(path);
    input.push(0);
    for stage in 1..=3 {
        input.extend(format!("100644 {} {stage}\t", id(&format!("version {stage}\n"))).as_bytes());
        input.extend(path);
        input.push(0);
    }
    let mut child =
        command("git").current_dir(root).args(["update-index", "-z", "--index-info"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Applying the patches of all files to the last commit gives the files on disk.
fn patches_give_the_files(root: &AbsPath) {
    let before = head(root).unwrap_or_default();
    let renames: BTreeMap<String, String> = status(root)
        .iter()
        .filter_map(|line| {
            line.strip_prefix("R ")?.split_once(" <- ").map(|(to, from)| (to.rsplitn(3, ' ').last().unwrap().to_owned(), from.to_owned()))
        })
        .collect();
    for path in PATHS {
        let Ok(name) = std::str::from_utf8(path) else { continue };
        let at = root.join(name);
        if !at.as_path().symlink_metadata().is_ok_and(|metadata| metadata.is_file()) || at.real().unwrap() != at {
            continue;
        }
        let now = fs::read(&at).unwrap();
        let read = read_as(root, name, Form::Patch).unwrap();
        assert_eq!(read.version, blake3::hash(&now));
        let shown = path.escape_ascii().to_string();
        let from = renames.get(&shown).unwrap_or(&shown);
        let old = before.iter().find(|(path, _)| path.escape_ascii().to_string() == *from);
        let old = old.filter(|(_, (mode, _))| *mode != 0o120_000);
        match read.body {
            Body::Patch(patch) => {
                let place = tempfile::tempdir().unwrap();
                if let Some((path, (_, content))) = old {
                    let at = place.path().join(os_string(path));
                    fs::create_dir_all(at.parent().unwrap()).unwrap();
                    fs::write(at, content).unwrap();
                } else if before.contains_key(path) {
                    symlink(os_string(&before[path].1), place.path().join(name)).unwrap();
                }
                fs::write(place.path().join(".patch"), &patch).unwrap();
                let output = command("git").current_dir(place.path()).args(["apply", "--whitespace=nowarn", ".patch"]).output().unwrap();
                assert!(output.status.success(), "{patch}\n{}", String::from_utf8_lossy(&output.stderr));
                assert_eq!(fs::read(place.path().join(name)).unwrap(), now, "{patch}");
                let context = patch.lines().filter(|line| line.starts_with(' ')).count();
                let removed = patch.lines().filter(|line| line.starts_with('-') && !line.starts_with("---")).count();
                let has_old_lines =
                    old.is_none_or(|(_, (_, content))| content.split_inclusive(|byte| *byte == b'\n').count() == context + removed);
                assert!(has_old_lines, "the whole file is context: {patch}");
            }
            Body::Text { text, .. } => {
                assert_eq!(text.as_bytes(), now);
                // If a directory of that name was staged, git lists its contents.
                let staged = ask_os(root, &[b"ls-files".to_vec(), b"-z".to_vec(), b"--".to_vec(), [b":(literal)", path].concat()]);
                let is_staged = staged.split(|byte| *byte == 0).any(|known| known == path);
                let is_same = old.is_some_and(|(_, (_, content))| *content == now || content.contains(&0));
                assert!(is_same || (old.is_none() && (!is_staged || now.is_empty())), "{name:?} differs");
            }
            Body::Bytes { bytes, .. } => assert_eq!(bytes, now),
        }
    }
}

fn ignored_is_what_git_ignores(root: &AbsPath) {
    for directory in ["", "d", "d/f"] {
        let at = root.join(directory);
        if at.real().ok() != Some(at.clone()) || !at.as_path().is_dir() {
            continue;
        }
        let entries = wait(list::list(&checkout(root, root), directory)).unwrap();
        let names = fs::read_dir(&at).unwrap().filter(|entry| entry.as_ref().unwrap().file_name() != ".git").count();
        assert_eq!(entries.len(), names);
        for entry in entries {
            let path = git_bytes(entry.path.as_path().as_os_str());
            let by_git = ask_os(root, &[b"check-ignore".to_vec(), b"--".to_vec(), path]);
            assert_eq!(entry.is_ignored, !by_git.is_empty(), "{entry:?}");
        }
    }
}

/// The status of a subdirectory is a subset with relative paths; a file that was moved into it is new.
fn below_is_a_part(root: &AbsPath) {
    let directory = root.join("d");
    if !directory.as_path().symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    let path = |line: &str| line[2..].split(" +").next().unwrap().to_owned();
    let mut all: Vec<String> =
        status(root).iter().map(|line| path(line)).filter_map(|path| path.strip_prefix("d/").map(str::to_owned)).collect();
    let renamed_away: Vec<String> = String::from_utf8(ask(root, &["diff", "--name-only", "--no-renames", "--relative=d", "HEAD"]))
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect();
    let here = status(&directory);
    // A file that was moved out of the directory is deleted.
    all.extend(renamed_away.into_iter().filter(|gone| here.iter().any(|line| line.starts_with("D ") && path(line) == *gone)));
    all.sort();
    all.dedup();
    let mut found: Vec<String> = here.iter().map(|line| path(line)).collect();
    found.sort();
    assert_eq!(found, all, "{here:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn results_equal_gits_own(steps in prop::collection::vec(step(), 4..40)) {
        let sandbox = Sandbox::new();
        let root = sandbox.make_directory("repository");
        git(&root, &["init", "--quiet"]);
        for step in &steps {
            take(&root, step);
        }
        let expected = expected(&root);
        prop_assert_eq!(status(&root), &expected[..]);
        // The same with other index formats; the last one is left to git.
        for form in ["--index-version=4", "--index-version=3", "--untracked-cache", "--split-index"] {
            git(&root, &["update-index", form]);
            prop_assert_eq!(status(&root), &expected[..], "{}", form);
        }
        patches_give_the_files(&root);
        ignored_is_what_git_ignores(&root);
        if head(&root).is_some() {
            below_is_a_part(&root);
        }
    }
}
