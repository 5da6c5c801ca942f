//! Results and their order, compared with a naive search.

use std::sync::Arc;

use proptest::prelude::*;

use super::support::Place;
use crate::find::{
    listing::{EntryKind, Listing},
    query::{self, Query},
    search::{Request, search},
    tree::{NO_WATCH, Node, Tree},
};

fn tree(paths: &[String]) -> Arc<Tree> {
    let mut directories = std::collections::BTreeMap::<&str, std::collections::BTreeMap<&str, EntryKind>>::new();
    directories.entry("").or_default();
    for path in paths {
        let (mut path, mut what) = (path.as_str(), EntryKind::File);
        while !path.is_empty() {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            directories.entry(directory).or_default().insert(name, what);
            (path, what) = (directory, EntryKind::Directory);
        }
    }
    let nodes = directories.into_iter().map(|(directory, names)| Node {
        listing: Listing::new(directory.as_bytes(), names.into_iter().map(|(name, what)| (name.as_bytes(), what)).collect()),
        stamp: 0,
        watch: NO_WATCH,
    });
    Arc::new(Tree::new(nodes.collect(), None))
}

fn request(query: &str, limit: usize) -> Request {
    Request { directory: Vec::new(), query: Query::parse(query).unwrap(), limit, what: None, recent: Vec::new() }
}

fn found(paths: &[String], request: Request) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(search(tree(paths), request)).unwrap()
}

fn files(found: Vec<String>) -> Vec<String> {
    found.into_iter().filter(|path| !path.ends_with('/')).collect()
}

/// A word of a query and its meaning.
#[derive(Debug, Clone)]
struct Word {
    kind: char,
    negative: bool,
    text: String,
}

impl Word {
    fn written(&self) -> String {
        let Self { kind, negative, text } = self;
        let negation = if *negative { "!" } else { "" };
        match kind {
            '\'' => format!("{negation}'{text}"),
            '^' => format!("{negation}^{text}"),
            '$' => format!("{negation}{text}$"),
            '=' => format!("{negation}^{text}$"),
            // A negated word is a substring, as in fzf.
            _ => format!("{negation}{text}"),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let has_capital = self.text.chars().any(char::is_uppercase);
        let path = if has_capital { path.to_owned() } else { path.to_lowercase() };
        let text = self.text.as_str();
        let does = match self.kind {
            '\'' => path.contains(text),
            '^' => path.starts_with(text),
            '$' => path.ends_with(text),
            '=' => path == text,
            _ if self.negative => path.contains(text),
            _ => {
                let mut rest = path.chars();
                text.chars().all(|c| rest.any(|other| other == c))
            }
        };
        does != self.negative
    }
}

fn word() -> impl Strategy<Value = Word> {
    (prop::sample::select(vec!['~', '~', '\'', '^', '$', '=']), prop::bool::weighted(0.2), "[abAB_./]{1,3}")
        .prop_map(|(kind, negative, text)| Word { kind, negative, text })
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("d[abA]{1,2}/(d[ab_]/){0,2}f[abAB_.]{1,4}|f[abAB.]{1,5}", 1..25)
        .prop_map(|paths| paths.into_iter().collect())
}

proptest! {
    #[test]
    fn the_same_files_as_a_naive_search(paths in paths(), groups in prop::collection::vec(prop::collection::vec(word(), 1..3), 1..4)) {
        let text = groups.iter().map(|group| group.iter().map(Word::written).collect::<Vec<_>>().join(" | ")).collect::<Vec<_>>().join("  ");
        let mut own = files(found(&paths, request(&text, 1000)));
        own.sort();
        let expected: Vec<String> = paths.iter().filter(|path| groups.iter().all(|group| group.iter().any(|word| word.matches(path)))).cloned().collect();
        prop_assert_eq!(own, expected, "{:?}", text);
    }

    #[test]
    fn a_limit_returns_the_best_results(paths in paths(), query in "[abd.]{0,3}", limit in 1..8usize, recent in any::<prop::sample::Index>()) {
        let recent = vec![paths[recent.index(paths.len())].clone().into_bytes()];
        let all = found(&paths, Request { recent: recent.clone(), ..request(&query, 1000) });
        let best = found(&paths, Request { recent, ..request(&query, limit) });
        prop_assert_eq!(&best[..], &all[..limit.min(all.len())]);
    }
}

fn check(paths: &[&str], query: &str, expected: &[&str]) {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(files(found(&paths, request(query, 1000))), expected, "{query:?}");
}

#[test]
fn the_order_is_as_expected() {
    check(&["session/other.rs", "lib/session.rs"], "session", &["lib/session.rs", "session/other.rs"]);
    check(&["src/obsession.rs", "src/the_session.rs"], "session", &["src/the_session.rs", "src/obsession.rs"]);
    check(&["a/deep/down/main.rs", "a/main.rs"], "main", &["a/main.rs", "a/deep/down/main.rs"]);
    check(&["x/aXbXc.rs", "x/abc.rs"], "abc", &["x/abc.rs", "x/aXbXc.rs"]);
    check(&["src/Makefile.am", "Makefile"], "makefile", &["Makefile", "src/Makefile.am"]);
    check(
        &["src/session/store.rs", "src/store/session_notes.rs", "docs/stores.md"],
        "session store",
        &["src/session/store.rs", "src/store/session_notes.rs"],
    );
    check(&["src/api/find.rs", "src/find/api_notes.rs"], "api/find", &["src/api/find.rs"]);
    check(&["caf\u{e9}.md", "coffee.md"], "cafe", &["caf\u{e9}.md"]);
    check(&["with space.md", "withspace.md"], "with\\ space", &["with space.md"]);
    check(&["README.md", "src/readme.txt"], "README", &["README.md"]);
    check(&["a.rs", "b.md"], ".rs$ | .md$", &["a.rs", "b.md"]);
    check(&["a.rs"], "| ' ! |", &["a.rs"]);
}

#[test]
fn recent_files_come_first_and_an_empty_query_has_an_order() {
    let paths: Vec<String> = ["z.md", "b/c/d.md", "b/a.md", "a.md"].map(str::to_owned).into();
    let recent = vec![b"b/c/d.md".to_vec(), b"gone.md".to_vec()];
    let all = found(&paths, Request { recent: recent.clone(), ..request("", 1000) });
    assert_eq!(all, ["b/c/d.md", "b/", "a.md", "z.md", "b/c/", "b/a.md"]);
    assert_eq!(found(&paths, Request { recent, ..request("md", 2) }), ["b/c/d.md", "a.md"]);
    assert_eq!(found(&paths, Request { what: Some(EntryKind::Directory), ..request("", 10) }), ["b/", "b/c/"]);
    assert_eq!(found(&paths, Request { what: Some(EntryKind::Directory), ..request("c$", 10) }), ["b/c/"]);
    assert_eq!(found(&paths, Request { what: Some(EntryKind::File), directory: b"b".to_vec(), ..request("", 10) }), ["a.md", "c/d.md"]);
    assert_eq!(found(&paths, Request { directory: b"b".to_vec(), ..request("^c", 10) }), ["c/", "c/d.md"]);
}

#[test]
fn long_queries_are_rejected() {
    assert_eq!(Query::parse(&"x".repeat(1001)).unwrap_err(), query::Error::Long(1001));
    assert_eq!(Query::parse(&"x ".repeat(33)).unwrap_err(), query::Error::Words(33));
    assert!(Query::parse("' ! | ^ $").unwrap().is_empty());
}

#[tokio::test]
async fn names_that_are_not_utf8_are_shown_lossily() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new(100);
    std::fs::write(place.root.join(std::ffi::OsStr::from_bytes(b"odd\xff.rs")), "").unwrap();
    std::fs::write(place.root.join("new\nline"), "").unwrap();
    assert_eq!(place.find("", "odd").await, ["odd\u{fffd}.rs"]);
    assert_eq!(place.find("", "newline").await, ["new\nline"]);
}
