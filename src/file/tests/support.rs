//! Shared by the tests: short forms of the calls, and git's own results to compare with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use polytree_protocol::id::ProjectId;
use tokio::runtime::Builder;

use crate::{
    file::{
        Error,
        read::{self, Body, Content, Form},
        status::{self, ChangeKind},
    },
    git::{
        Checkout,
        path::{git_bytes, os_string},
    },
    overlay::Overlay,
    stdx::paths::AbsPath,
};

pub use crate::git::tests::support::{Sandbox, ask, ask_os, command, git};

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The changes, one per line: kind, path, added and removed lines, old path.
pub fn status(directory: &AbsPath) -> Vec<String> {
    wait(status::status(directory)).unwrap().iter().map(show).collect()
}

fn show(change: &status::Change) -> String {
    let path = |path: &PathBuf| git_bytes(path.as_os_str()).escape_ascii().to_string();
    let mark = if change.is_repository { "/" } else { "" };
    let (letter, from) = match &change.kind {
        ChangeKind::Added => ("A", String::new()),
        ChangeKind::Deleted => ("D", String::new()),
        ChangeKind::Modified => ("M", String::new()),
        ChangeKind::Renamed { from } => ("R", format!(" <- {}", path(from))),
    };
    format!("{letter} {}{mark} +{} -{}{from}", path(&change.path), change.added, change.removed)
}

pub fn checkout(directory: &AbsPath, worktree: &AbsPath) -> Checkout {
    Checkout {
        project: ProjectId::from_ulid(crate::stdx::ids::next()),
        directory: directory.clone(),
        worktree: worktree.clone(),
        git: None,
    }
}

pub fn read_as(root: &AbsPath, path: &str, form: Form) -> Result<Content, Error> {
    wait(read::read(&checkout(root, root), &Overlay::default(), path, form))
}

/// The text of a file, or its patch after a `P`.
pub fn read(root: &AbsPath, path: &str) -> String {
    match read_as(root, path, Form::Patch).unwrap().body {
        Body::Text { text, .. } => text,
        Body::Patch(patch) => format!("P{patch}"),
        Body::Bytes { mime, .. } => format!("B{mime}"),
    }
}

fn fields(output: &[u8]) -> Vec<Vec<u8>> {
    output.split(|byte| *byte == 0).filter(|field| !field.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The mode and content of a path.
type DiskEntry = (u32, Vec<u8>);

/// The expected status, from comparing the tree of the last commit with the files on disk. git only tells which files
/// are tracked, ignored or renamed, and counts lines.
pub fn expected(root: &AbsPath) -> Vec<String> {
    let head = head(root);
    let staged: BTreeSet<Vec<u8>> = fields(&ask(root, &["ls-files", "-z"])).into_iter().collect();
    let by_git = fields(&ask(root, &["status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames"]));
    let of = |mark: &[u8]| by_git.iter().filter_map(|entry| entry.strip_prefix(mark).map(<[u8]>::to_vec)).collect::<BTreeSet<_>>();
    let untracked = of(b"? ");
    let conflicts: BTreeSet<Vec<u8>> =
        of(b"u ").iter().map(|entry| entry.splitn(10, |byte| *byte == b' ').last().unwrap().to_vec()).collect();
    let base = if head.is_some() { "HEAD" } else { "4b825dc642cb6eb9a060e54bf8d69288fbee4904" };
    let head = head.unwrap_or_default();
    let counts = numstat(root, base, "--no-renames");
    let mut lines = BTreeMap::new();
    for path in head.keys().chain(&staged).chain(&untracked).collect::<BTreeSet<_>>() {
        let here = if staged.contains(path) || untracked.contains(path) { on_disk(root, path) } else { None };
        let before = head.get(path);
        let conflict = conflicts.contains(path);
        if before == here.as_ref() && !conflict {
            // Only the index differs, except for files that were removed from it and left on disk.
            if staged.contains(path) || before.is_none() {
                continue;
            }
        }
        let count = match (before, &here) {
            (None, Some((_, content))) => (count(content), 0),
            (Some((_, content)), Some(now)) if !staged.contains(path) => between(root, content, &now.1),
            _ => counts.get(path).copied().unwrap_or_default(),
        };
        let letter = match (before, &here) {
            (_, Some(_)) if conflict => "M",
            (None, _) => "A",
            (_, None) => "D",
            _ => "M",
        };
        lines.insert(path.clone(), format!("{letter} {} +{} -{}", path.escape_ascii(), count.0, count.1));
    }
    let renames = fields(&ask(root, &["diff", "--name-status", "-z", "-M", base]));
    let mut counts = numstat(root, base, "-M");
    for at in 0..renames.len() {
        if renames[at].first() == Some(&b'R') && renames[at].len() == 4 && renames[at][1..].iter().all(u8::is_ascii_digit) {
            let [from, to] = [&renames[at + 1], &renames[at + 2]];
            let (added, removed) = counts.remove(to).unwrap();
            if lines.get(from).is_some_and(|line| line.starts_with('D')) {
                lines.remove(from);
            }
            lines.insert(to.clone(), format!("R {} +{added} -{removed} <- {}", to.escape_ascii(), from.escape_ascii()));
        }
    }
    lines.into_values().collect()
}

/// The last commit; `None` before the first.
pub fn head(root: &AbsPath) -> Option<BTreeMap<Vec<u8>, DiskEntry>> {
    if ask(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).is_empty() {
        return None;
    }
    let entry = |entry: Vec<u8>| {
        let (head, path) = entry.split_at(entry.iter().position(|byte| *byte == b'\t').unwrap());
        let head = String::from_utf8(head.to_vec()).unwrap();
        let mode = u32::from_str_radix(&head[..6], 8).unwrap();
        let content = if mode == 0o160_000 { Vec::new() } else { ask(root, &["cat-file", "blob", head.rsplit(' ').next().unwrap()]) };
        (path[1..].to_vec(), (mode, content))
    };
    Some(fields(&ask(root, &["ls-tree", "-r", "-z", "HEAD"])).into_iter().map(entry).collect())
}

fn on_disk(root: &AbsPath, path: &[u8]) -> Option<DiskEntry> {
    let path = root.join(os_string(path));
    // Paths through a symbolic link do not belong to the repository.
    if path.parent()?.real().ok()? != path.parent()? {
        return None;
    }
    let metadata = path.as_path().symlink_metadata().ok()?;
    match () {
        () if metadata.is_symlink() => Some((0o120_000, git_bytes(fs::read_link(&path).ok()?.as_os_str()))),
        () if metadata.is_file() => Some((if metadata.mode() & 0o100 == 0 { 0o100_644 } else { 0o100_755 }, fs::read(&path).ok()?)),
        () => None,
    }
}

fn numstat(root: &AbsPath, base: &str, renames: &str) -> BTreeMap<Vec<u8>, (u64, u64)> {
    let output = ask(root, &["diff", "--numstat", "-z", renames, base]);
    let mut found = BTreeMap::new();
    let mut tokens = output.split(|byte| *byte == 0);
    while let Some(token) = tokens.next().filter(|token| !token.is_empty()) {
        let mut parts = token.splitn(3, |byte| *byte == b'\t');
        let mut number = || String::from_utf8(parts.next().unwrap().to_vec()).unwrap().parse().unwrap_or(0);
        let count = (number(), number());
        let path = parts.next().unwrap();
        let path = if path.is_empty() { tokens.nth(1).unwrap() } else { path };
        // A file in conflict is listed twice; its current state comes last.
        found.insert(path.to_vec(), count);
    }
    found
}

fn count(content: &[u8]) -> u64 {
    if content.contains(&0) {
        return 0;
    }
    content.split_inclusive(|byte| *byte == b'\n').count() as u64
}

fn between(root: &AbsPath, old: &[u8], new: &[u8]) -> (u64, u64) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("old"), old).unwrap();
    fs::write(directory.path().join("new"), new).unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let output = String::from_utf8(ask(root, &["diff", "--no-index", "--numstat", &path("old"), &path("new")])).unwrap();
    let mut numbers = output.split('\t').map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
