//! Compares searches with ripgrep, over random trees with ignore files at every level, unusual names and contents.
//! Intended differences are documented here.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    process::Command,
};

use base64::Engine as _;
use polytree_protocol::text::TextCase;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::find::text::excerpt::MAX_EXCERPT_BYTES;

/// A match or context line in a common form: path, line number, whether it is a match, text, and the submatches.
type Item = (PathBuf, u64, bool, String, Vec<(usize, String)>);

#[derive(Debug, Clone)]
struct Asked {
    options: Options,
    include: Vec<String>,
    exclude: Vec<String>,
    types: Vec<String>,
}

fn rg(root: &AbsPath, arguments: &[String]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the real ripgrep")]
    let mut command = Command::new("rg");
    command.current_dir(root.as_path()).args(["--no-config", "--hidden", "--glob", "!.git"]).args(arguments);
    let output = command.output().expect("these tests compare with ripgrep: install the package `ripgrep`");
    // Status 1 means that nothing was found.
    assert!(output.status.code().is_some_and(|code| code <= 1), "rg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn by_ripgrep(root: &AbsPath, asked: &Asked) -> Vec<Item> {
    let options = &asked.options;
    let mut arguments: Vec<String> = vec!["--json".into(), "--crlf".into()];
    arguments.push(match options.case {
        TextCase::Smart => "--smart-case".into(),
        TextCase::Sensitive => "--case-sensitive".into(),
        TextCase::Insensitive => "--ignore-case".into(),
    });
    for (is_set, flag) in [(options.fixed, "--fixed-strings"), (options.word, "--word-regexp"), (options.multiline, "--multiline")] {
        arguments.extend(is_set.then(|| flag.to_owned()));
    }
    arguments.push(format!("--context={}", options.context));
    arguments.extend(options.limit_per_file.map(|limit| format!("--max-count={limit}")));
    arguments.extend(asked.include.iter().map(|pattern| format!("--glob={pattern}")));
    arguments.extend(asked.exclude.iter().map(|pattern| format!("--glob=!{pattern}")));
    arguments.extend(asked.types.iter().map(|name| format!("--type={name}")));
    arguments.extend(["-e".into(), options.pattern.clone(), "./".into()]);
    // ripgrep's --glob includes ignored files; ours only narrows.
    let seen: BTreeSet<PathBuf> = rg(root, &["--files".into(), "--null".into()]).split('\0').map(PathBuf::from).collect();
    let mut items = Vec::new();
    for line in rg(root, &arguments).lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        if message["type"] != "match" && message["type"] != "context" {
            continue;
        }
        let data = &message["data"];
        let path = PathBuf::from(String::from_utf8_lossy(&bytes(&data["path"])).strip_prefix("./").unwrap());
        if !seen.contains(&path) {
            continue;
        }
        let whole = bytes(&data["lines"]);
        let text = whole.strip_suffix(b"\n").map_or(whole.as_slice(), |line| line.strip_suffix(b"\r").unwrap_or(line));
        let matches = data["submatches"].as_array().unwrap().iter().map(|found| {
            let place = |name: &str| usize::try_from(found[name].as_u64().unwrap()).unwrap().min(text.len());
            (
                String::from_utf8_lossy(&text[..place("start")]).len(),
                String::from_utf8_lossy(&text[place("start")..place("end")]).into_owned(),
            )
        });
        let matches = matches.collect();
        items.push((
            path,
            data["line_number"].as_u64().unwrap(),
            message["type"] == "match",
            String::from_utf8_lossy(text).into_owned(),
            matches,
        ));
    }
    items.sort();
    items
}

fn bytes(text: &Value) -> Vec<u8> {
    match (text["text"].as_str(), text["bytes"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (_, Some(bytes)) => base64::engine::general_purpose::STANDARD.decode(bytes).unwrap(),
        _ => panic!("{text}"),
    }
}

fn by_us(tree: &Tree, asked: &Asked) -> Vec<Item> {
    let filter = Filter::new(&tree.root, &asked.include, &asked.exclude, &asked.types).unwrap();
    let (items, summary) = tree.find(&asked.options, &filter, 1_000_000);
    assert_eq!((summary.truncated, summary.unreadable), (false, 0));
    let mut items: Vec<Item> = items
        .iter()
        .map(|item| match item {
            TextItem::Match(found) => {
                let places = found.submatches.iter().map(|place| {
                    let (start, end) = (usize::try_from(place.start).unwrap(), usize::try_from(place.end).unwrap());
                    (start, found.text[start..end].to_owned())
                });
                ((&found.path).into(), found.line, true, found.text.clone(), places.collect())
            }
            TextItem::Context(line) => ((&line.path).into(), line.line, false, line.text.clone(), Vec::new()),
            other => panic!("{other:?}"),
        })
        .collect();
    items.sort();
    items
}

/// Compares both results, without empty matches, which older versions of ripgrep report differently, and without
/// truncated text: for long lines only the ranges are compared.
fn compare(tree: &Tree, asked: &Asked) -> Result<(), TestCaseError> {
    let something = |mut items: Vec<Item>| {
        for (_, _, _, text, places) in &mut items {
            places.retain(|(_, what)| !what.is_empty());
            if text.len() > MAX_EXCERPT_BYTES - 4 {
                text.clear();
                places.clear();
            }
            // Version 13 ignores the text before a match within a line, and so word boundaries.
            if asked.options.pattern.contains("\\b") {
                places.clear();
            }
        }
        items
    };
    prop_assert_eq!(something(by_us(tree, asked)), something(by_ripgrep(&tree.root, asked)), "{:?}", asked);
    Ok(())
}

const NAMES: &[&str] = &[
    "a",
    "b.txt",
    ".hidden",
    "ü.rs",
    "sp ace.txt",
    "q\"uote",
    "-dash.txt",
    "new\nline.md",
    "x.log",
    "keep.log",
    "Makefile",
    "m.py",
    "d",
    "sub",
    "node_modules",
    ".dot",
    "ig",
    "[x].txt",
    "back\\slash",
    "ü",
];

const RULES: &[&str] = &[
    "*.log",
    "!keep.log",
    "/d",
    "sub/",
    "b.*",
    "**/ig",
    "# no rule",
    "",
    "/sub/*.txt",
    "ü*",
    "\\[x\\].txt",
    "a/**",
    "!a",
    "*.py",
    "sp ace.txt",
    ".hidden",
    "*/m.py",
    "!*.md",
];

const WORDS: &[&str] = &["foo", "Foo", "bar", "foo_bar", "ß", "日本", "x.y(", "\t", " ", " ", "z", "Ö", "foobar", "9"];

/// No directory is included by a pattern: ours then includes its contents, ripgrep does not.
const DIRECTORIES: &[&str] = &["a", "d", "sub", "node_modules", ".dot", "ig", "ü", "di r", "-"];

fn path() -> impl Strategy<Value = String> {
    let directories = prop::collection::vec(prop::sample::select(DIRECTORIES), 0..3);
    (directories, prop::sample::select(NAMES)).prop_map(|(mut names, name)| {
        names.push(name);
        names.join("/")
    })
}

fn line() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS), 0..6).prop_map(|words| words.concat())
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let lines = || prop::collection::vec(line(), 0..8);
    let plain = (lines(), any::<bool>()).prop_map(|(lines, ends)| (lines.join("\n") + if ends { "\n" } else { "" }).into_bytes());
    let windows = lines().prop_map(|lines| lines.iter().map(|line| format!("{line}\r\n")).collect::<String>().into_bytes());
    let latin = lines().prop_map(|lines| lines.iter().flat_map(|line| [line.as_bytes(), b"caf\xE9 foo\n"].concat()).collect());
    let utf16 = lines().prop_map(|lines| format!("\u{FEFF}{}", lines.join("\n")).encode_utf16().flat_map(u16::to_le_bytes).collect());
    let marked = lines().prop_map(|lines| format!("\u{FEFF}{}", lines.join("\n")).into_bytes());
    // The first three bytes are a special case.
    let binary = lines().prop_map(|lines| format!("bin{}\0{}", lines.join("\n"), lines.join("\n")).into_bytes());
    let large = (lines(), 0..3usize).prop_map(|(lines, more)| {
        let filler = "nothing to see here\n".repeat(3300 + more);
        format!("{}\n{filler}{}\n", lines.join("\n"), lines.join("\n")).into_bytes()
    });
    prop_oneof![8 => plain, 2 => windows, 1 => latin, 1 => utf16, 1 => marked, 1 => binary, 1 => large]
}

fn rules() -> impl Strategy<Value = Vec<(Vec<&'static str>, &'static str, Vec<&'static str>)>> {
    let directory = prop::collection::vec(prop::sample::select(&["a", "d", "sub", "ig", ".dot"][..]), 0..3);
    let name = prop::sample::select(&[".gitignore", ".gitignore", ".ignore"][..]);
    let file = (directory, name, prop::collection::vec(prop::sample::select(RULES), 0..4));
    prop::collection::vec(file, 0..4)
}

/// Patterns; those after the bar span lines.
fn pattern() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(
        &[
            "foo",
            "bar",
            "o",
            "[a-o]",
            "\\w",
            "日",
            "ß",
            "ö",
            "\\.",
            "(?:foo|ba)",
            "\\bfoo",
            "x\\.y\\(",
            "[^ \\r]",
            "\\d",
            "Foo",
            "(?i:FOO)",
            "é",
            "\\W",
        ][..],
    );
    let repeated =
        (atom, prop::sample::select(&["", "", "", "+", "*", "?", "{1,2}"][..])).prop_map(|(atom, times)| format!("{atom}{times}"));
    let sequence = prop::collection::vec(repeated, 1..4).prop_map(|parts| parts.concat());
    prop_oneof![
        6 => sequence.clone(),
        1 => sequence.clone().prop_map(|inner| format!("^{inner}")),
        1 => sequence.clone().prop_map(|inner| format!("{inner}$")),
        2 => (sequence.clone(), sequence).prop_map(|(one, other)| format!("{one}|{other}")),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let case = prop::sample::select(&[TextCase::Smart, TextCase::Sensitive, TextCase::Insensitive][..]);
    // Older versions handle words of other letters incorrectly.
    let of_words = |pattern: &str| pattern.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let regular = (pattern(), case.clone(), any::<bool>()).prop_map(move |(pattern, case, word)| {
        let word = word && of_words(&pattern);
        Options { pattern, case, word, ..Options::default() }
    });
    let fixed = prop::sample::select(&["foo", "x.y(", "Foo", "日本", "ß", "(", "\\w"][..]);
    let fixed = (fixed, case.clone(), any::<bool>()).prop_map(move |(pattern, case, word)| {
        let word = word && of_words(pattern);
        Options { pattern: pattern.to_owned(), fixed: true, case, word, ..Options::default() }
    });
    let over = prop::sample::select(&["foo\\n", "bar\\nfoo", "(?s)foo.{0,9}bar", "o\\s+b", "foo[^z]*z", "z\\n\\n", "^foo$"][..]);
    let over =
        (over, case).prop_map(|(pattern, case)| Options { pattern: pattern.to_owned(), case, multiline: true, ..Options::default() });
    let context = prop::sample::select(&[0, 0, 1, 2][..]);
    (prop_oneof![5 => regular, 2 => fixed, 1 => over], context, prop::option::weighted(0.2, 1..3u64)).prop_map(
        |(options, context, limit)| {
            // With both, versions differ in whether a match beyond the limit may appear as context.
            let limit_per_file = limit.filter(|_| context == 0 && !options.multiline);
            Options { context, limit_per_file, ..options }
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let globs = |patterns: &'static [&'static str]| prop::collection::vec(prop::sample::select(patterns).prop_map(str::to_owned), 0..3);
    let include =
        prop_oneof![2 => Just(Vec::new()), 1 => globs(&["*.txt", "/sub/**", "**/d/*.txt", "*.{rs,md}", "/a/*.py", "ü.rs", "[bx]*.*"])];
    let exclude = prop_oneof![2 => Just(Vec::new()), 1 => globs(&["*.txt", "sub", "/a", "**/ig/**", "d/", ".dot", "\\[x\\].txt"])];
    let types = prop_oneof![4 => Just(Vec::new()), 1 => globs(&["rust", "py", "md", "txt", "make"])];
    // ripgrep's patterns include files that its types exclude; ours narrow.
    (options(), include, exclude, types).prop_map(|(options, include, exclude, types)| {
        let types = if include.is_empty() { types } else { Vec::new() };
        Asked { options, include, exclude, types }
    })
}

/// Writes a file if the path is free.
fn try_write(tree: &Tree, path: &Path, content: &[u8]) {
    let path = tree.root.join(path);
    if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.as_path().is_dir() {
        fs::write(path, content).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_trees(
        files in prop::collection::btree_map(path(), content(), 1..20),
        rules in rules(),
        exclude in prop::collection::vec(prop::sample::select(RULES), 0..2),
        asked in prop::collection::vec(asked(), 1..4),
    ) {
        let tree = Tree::new();
        for (directory, name, lines) in &rules {
            try_write(&tree, &directory.iter().collect::<PathBuf>().join(name), (lines.join("\n") + "\n").as_bytes());
        }
        tree.write(Path::new(".git/info/exclude"), exclude.join("\n").as_bytes());
        for (path, content) in &files {
            try_write(&tree, Path::new(path), content);
        }
        for asked in &asked {
            compare(&tree, asked)?;
        }
    }
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStringExt as _;
    let tree = Tree::new();
    tree.write(Path::new(&OsString::from_vec(b"caf\xE9.txt".to_vec())), b"foo\n");
    let (items, _) = tree.find(&plain("foo"), &Filter::default(), 10);
    assert_eq!(place_of(&items[0]), "caf\u{FFFD}.txt");
}

#[test]
fn the_sources_of_this_project() {
    let tree = Tree::new();
    let mut counts = BTreeMap::new();
    for directory in ["src", "protocol/src", "tests/wire"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        for entry in ignore::WalkBuilder::new(&root).build().flatten().filter(|entry| entry.path().is_file()) {
            let relative = Path::new(directory).join(entry.path().strip_prefix(&root).unwrap());
            tree.write(&relative, &fs::read(entry.path()).unwrap());
        }
    }
    for pattern in ["fn", "\\bpub (struct|enum) \\w+", "impl<.*> \\w+ for", "[A-Z]{3,}", "(?i)overlay", "\"[^\"]*\"$", "[^;]$"] {
        for context in [0, 3] {
            let asked = Asked { options: Options { context, ..plain(pattern) }, include: vec![], exclude: vec![], types: vec![] };
            let items = by_us(&tree, &asked);
            counts.insert((pattern, context), items.len());
            assert!(items == by_ripgrep(&tree.root, &asked), "{pattern} with {context}");
        }
    }
    assert!(counts.values().all(|count| *count > 2), "{counts:?}");
}
