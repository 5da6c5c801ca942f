//! Tests with real files, and comparisons with ripgrep.

mod as_ripgrep;
mod limits;
mod unsaved;

use std::{
    fs,
    path::{Path, PathBuf},
};

use polytree_protocol::text::{TextContext, TextItem, TextMatch};

use super::{Filter, Options, Place, Query, Stop, Targets, find, search::Summary};
use crate::{
    overlay::{Document, Overlay},
    stdx::paths::AbsPath,
};

/// A directory that looks like a repository.
struct Tree {
    _keep: tempfile::TempDir,
    root: AbsPath,
    overlay: Overlay,
}

impl Tree {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = AbsPath::new(keep.path()).unwrap().real().unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        Self { _keep: keep, root, overlay: Overlay::default() }
    }

    /// A directory with these files.
    fn of(files: &[(&str, &str)]) -> Self {
        let tree = Self::new();
        files.iter().for_each(|(path, text)| tree.write(Path::new(path), text.as_bytes()));
        tree
    }

    /// Writes a file, with its directories.
    fn write(&self, path: &Path, text: &[u8]) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn announce(&self, path: &str, text: &str) {
        self.overlay.announce(Document { path: self.root.join(path), version: 1, text: text.into(), connection: 1 });
    }

    fn place(&self) -> Place {
        Place { directory: self.root.clone(), from: self.root.clone() }
    }

    fn targets(&self) -> Targets {
        Targets::select(&self.place(), &Filter::default(), &self.overlay, None, &Stop::default())
    }

    fn find(&self, options: &Options, filter: &Filter, limit: u64) -> (Vec<TextItem>, Summary) {
        self.find_in(&self.place(), options, filter, limit)
    }

    fn find_in(&self, place: &Place, options: &Options, filter: &Filter, limit: u64) -> (Vec<TextItem>, Summary) {
        let targets = Targets::select(place, filter, &self.overlay, None, &Stop::default());
        let found = find(place, &targets, &Query::new(options).unwrap(), &self.overlay, &Stop::default(), limit);
        (items(&found.items), found.summary)
    }

    /// The paths and lines of a plain search.
    fn lines(&self, pattern: &str) -> Vec<String> {
        let (items, _) = self.find(&plain(pattern), &Filter::default(), 1000);
        items.iter().filter_map(matched).map(|found| format!("{}:{}:{}", found.path, found.line, found.text)).collect()
    }
}

fn plain(pattern: &str) -> Options {
    Options { pattern: pattern.to_owned(), ..Options::default() }
}

/// Parses items that are followed by commas.
fn items(found: &[u8]) -> Vec<TextItem> {
    let mut json = found.to_vec();
    if json.len() > 1 {
        assert_eq!(json.pop(), Some(b','));
    }
    json.push(b']');
    serde_json::from_slice(&json).unwrap()
}

fn matched(item: &TextItem) -> Option<&TextMatch> {
    if let TextItem::Match(found) = item { Some(found) } else { None }
}

/// The sort key of results.
fn place(item: &TextItem) -> (PathBuf, u64) {
    match item {
        TextItem::Match(TextMatch { path, line, .. }) | TextItem::Context(TextContext { path, line, .. }) => (path.into(), *line),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_fields_of_a_match() {
    let tree = Tree::of(&[("a/ü.txt", "one\r\n\tzwei Wörter: wort, Wort\r\n"), ("b", "x")]);
    let (items, summary) = tree.find(&Options { context: 1, ..plain("wort") }, &Filter::default(), 10);
    expect_test::expect![[r#"
        [
          {
            "type": "context",
            "path": "a/ü.txt",
            "line": 1,
            "text": "one"
          },
          {
            "type": "match",
            "path": "a/ü.txt",
            "line": 2,
            "column": 15,
            "text": "\tzwei Wörter: wort, Wort",
            "submatches": [
              {
                "start": 15,
                "end": 19,
                "utf16": {
                  "start": 14,
                  "end": 18
                }
              },
              {
                "start": 21,
                "end": 25,
                "utf16": {
                  "start": 20,
                  "end": 24
                }
              }
            ]
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&items).unwrap());
    assert_eq!(summary, Summary { files: 2, matches: 1, ..Summary::default() });
}

#[test]
fn a_part_of_the_directory_and_a_single_file() {
    let tree = Tree::of(&[("a/x", "hit"), ("a/b/y", "hit"), ("gone/z", "hit"), (".gitignore", "gone"), ("c", "hit")]);
    let from = |path: &str| {
        let place = Place { directory: tree.root.clone(), from: tree.root.join(path) };
        let (items, _) = tree.find_in(&place, &plain("hit"), &Filter::default(), 10);
        items.iter().map(place_of).collect::<Vec<_>>()
    };
    assert_eq!(from("."), ["a/b/y", "a/x", "c"]);
    assert_eq!(from("a"), ["a/b/y", "a/x"]);
    assert_eq!((from("c"), from("gone/z")), (vec!["c".to_owned()], vec!["gone/z".to_owned()]));
    // Patterns are relative to the directory.
    let filter = Filter::new(&tree.root, &["a/*".to_owned()], &["a/b".to_owned()], &[]).unwrap();
    let place = Place { directory: tree.root.clone(), from: tree.root.join("a") };
    let (items, _) = tree.find_in(&place, &plain("hit"), &filter, 10);
    assert_eq!(items.iter().map(place_of).collect::<Vec<_>>(), ["a/x"]);
}

fn place_of(item: &TextItem) -> String {
    place(item).0.to_str().unwrap().to_owned()
}

#[test]
fn files_of_every_kind() {
    let tree = Tree::new();
    let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(order).collect()
    };
    tree.write(Path::new("little"), &utf16("ä hit\n", u16::to_le_bytes));
    tree.write(Path::new("big"), &utf16("ö hit\n", u16::to_be_bytes));
    tree.write(Path::new("latin1"), b"caf\xE9 hit\n");
    tree.write(Path::new("binary"), b"a hit\n\0");
    tree.write(Path::new("marked"), b"\xEF\xBB\xBFhit");
    tree.write(Path::new("long"), format!("{}hit\nhit", "x".repeat(3_000_000)).as_bytes());
    tree.write(Path::new("large"), format!("{}hit\n", "nothing\n".repeat(100_000)).as_bytes());
    tree.write(Path::new("empty"), b"");
    let (items, summary) = tree.find(&plain("hit"), &Filter::default(), 100);
    let lines: Vec<_> = items
        .iter()
        .filter_map(matched)
        .map(|found| (found.path.as_str(), found.line, found.column, found.text.len(), found.before, found.lossy))
        .collect();
    let cut = 3_000_003 - (256 + 3);
    assert_eq!(
        lines,
        [
            ("big", 1, 3, 6, None, None),
            ("large", 100_001, 1, 3, None, None),
            ("latin1", 1, 6, 10, None, Some(true)),
            ("little", 1, 3, 6, None, None),
            ("long", 1, 3_000_001, 259, Some(cut), None),
            ("long", 2, 1, 3, None, None),
            ("marked", 1, 1, 3, None, None),
        ]
    );
    assert_eq!((summary.files, summary.unreadable), (8, 0));
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_skipped() {
    let tree = Tree::of(&[("a", "hit")]);
    std::os::unix::fs::symlink(tree.root.join("a"), tree.root.join("link")).unwrap();
    std::os::unix::fs::symlink(&tree.root, tree.root.join("circle")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.root.join("pipe").as_path(), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(tree.lines("hit"), ["a:1:hit"]);
}
