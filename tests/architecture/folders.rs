//! Rules within folders: no circles of imports between entries, and a limit of files.

use std::collections::{BTreeMap, BTreeSet};

use super::{assert_none, source};
use source::{Kind, Source, Token, sources};

/// The limit of source files directly in a folder.
const FILES: usize = 20;

/// Folders with more files. The list may only shrink, except for the contract, which has a file for each noun.
const CROWDED_FOLDERS: &[&str] = &["protocol/src"];

/// Folders with circles of imports. The list may only shrink.
const FOLDERS_WITH_CIRCLES: &[&str] = &[];

/// A module, by its path.
type Path = Vec<String>;

/// The modules of a crate that are files, and what their `use` items name.
struct Modules<'a> {
    files: BTreeMap<Path, &'a Source>,
    imports: BTreeMap<Path, Vec<Import>>,
}

/// A name that a `use` item brings into a module.
struct Import {
    name: String,
    path: Path,
    line: usize,
    /// A `pub use` in a `mod.rs`: a re-export of the folder, which does not count as a use.
    contents: bool,
}

/// An import between entries of a folder, with an example.
type Arrows = BTreeMap<(String, String), String>;

impl<'a> Modules<'a> {
    fn new(sources: impl Iterator<Item = &'a Source>) -> Self {
        let files: BTreeMap<Path, &Source> = sources.map(|source| (module_of(&source.path), source)).collect();
        let mut modules = Self { files, imports: BTreeMap::new() };
        let imports = modules.files.iter().map(|(module, source)| (module.clone(), modules.imports_of(module, source))).collect();
        modules.imports = imports;
        modules
    }

    fn imports_of(&self, module: &Path, source: &Source) -> Vec<Import> {
        let tokens: Vec<&Token> = source.product_tokens().collect();
        let mut found = Vec::new();
        for at in (0..tokens.len()).filter(|at| tokens[*at].text == "use" && tokens[*at].kind == Kind::Word) {
            let visible = at > 0 && (tokens[at - 1].text == "pub" || tokens[at - 1].text == ")");
            let mut trees = Vec::new();
            use_tree(&tokens, at + 1, &[], &mut trees);
            for (path, alias) in trees {
                let Some(path) = self.absolute(module, tokens[at], &path) else { continue };
                let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
                found.push(Import { name, path, line: tokens[at].line, contents: visible && source.path.ends_with("/mod.rs") });
            }
        }
        found
    }

    /// The path from the crate's root; `None` for one into another crate.
    fn absolute(&self, module: &Path, token: &Token, path: &[String]) -> Option<Path> {
        let mut base: Path = module.iter().chain(&token.inside).cloned().collect();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            name => {
                base.push(name.to_owned());
                let is_child = self.files.contains_key(&base);
                base.pop();
                if !is_child {
                    return None;
                }
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file that defines a path.
    fn file_of(&self, path: &[String], depth: usize) -> Option<&'a Source> {
        let mut module = Path::new();
        for (place, name) in path.iter().enumerate() {
            module.push(name.clone());
            if self.files.contains_key(&module) {
                continue;
            }
            module.pop();
            let imports = self.imports.get(&module).map(Vec::as_slice).unwrap_or_default();
            if let Some(import) = imports.iter().find(|import| import.name == *name).filter(|_| depth < 8) {
                let whole: Path = import.path.iter().chain(&path[place + 1..]).cloned().collect();
                return self.file_of(&whole, depth + 1);
            }
            break;
        }
        self.files.get(&module).copied()
    }

    /// The files that a file imports, each with a line.
    fn named_by(&self, module: &Path, source: &Source) -> BTreeMap<&'a str, usize> {
        let imports = self.imports[module].iter().filter(|import| !import.contents).map(|import| (import.path.clone(), import.line));
        let mut paths: Vec<(Path, usize)> = imports.collect();
        let tokens: Vec<&Token> = source.product_tokens().collect();
        let mut in_use = false;
        for at in 0..tokens.len() {
            let token = tokens[at];
            in_use = (in_use || token.text == "use") && token.text != ";";
            let continues = at >= 2 && colons(&tokens, at - 2);
            // `pub(in crate::tool)` is a visibility, not an import.
            let is_visibility = at >= 2 && tokens[at - 1].text == "in" && tokens[at - 2].text == "(";
            if in_use || continues || is_visibility || token.kind != Kind::Word || !colons(&tokens, at + 1) {
                continue;
            }
            let mut path = vec![token.text.clone()];
            let mut end = at + 1;
            while colons(&tokens, end) && tokens.get(end + 2).is_some_and(|next| next.kind == Kind::Word) {
                path.push(tokens[end + 2].text.clone());
                end += 3;
            }
            paths.extend(self.absolute(module, token, &path).map(|path| (path, token.line)));
        }
        let files = paths.into_iter().filter_map(|(path, line)| Some((self.file_of(&path, 0)?.path.as_str(), line)));
        files.filter(|(path, _)| *path != source.path).collect()
    }

    /// The imports between the entries of each folder.
    fn arrows(&self) -> BTreeMap<String, Arrows> {
        let mut folders: BTreeMap<String, Arrows> = BTreeMap::new();
        for (module, source) in &self.files {
            for (target, line) in self.named_by(module, source) {
                let (folder, from, to) = parted(&source.path, target);
                if from == to {
                    continue;
                }
                let example = format!("{}:{line} names {target}", source.path);
                folders.entry(folder).or_default().entry((from, to)).or_insert(example);
            }
        }
        folders
    }
}

fn colons(tokens: &[&Token], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| token.text == ":") && tokens.get(at + 1).is_some_and(|token| token.text == ":")
}

/// `["session", "turn"]` for `src/session/turn.rs` and for `src/session/turn/mod.rs`; likewise in `protocol/src`.
fn module_of(path: &str) -> Path {
    let inside = path.strip_prefix("protocol/").unwrap_or(path);
    let inside = inside.strip_prefix("src/").unwrap_or(inside).trim_end_matches(".rs");
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    if inside == "lib" { Path::new() } else { inside.split('/').map(str::to_owned).collect() }
}

/// The leaves of a use tree that begins at a token, with their aliases; returns the position after it.
fn use_tree(tokens: &[&Token], mut at: usize, prefix: &[String], found: &mut Vec<(Path, Option<String>)>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        let Some(token) = tokens.get(at) else { return at };
        match token.text.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = use_tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                }
                return at + 1;
            }
            // The names of a glob import are unknown; its module is known.
            "*" => {
                found.push((path, None));
                return at + 1;
            }
            name => {
                if name != "self" || path.is_empty() {
                    path.push(name.to_owned());
                }
                at += 1;
            }
        }
        if colons(tokens, at) {
            at += 2;
            continue;
        }
        let alias = tokens.get(at).filter(|token| token.text == "as").and_then(|_| tokens.get(at + 1));
        found.push((path, alias.map(|token| token.text.clone())));
        return if alias.is_some() { at + 2 } else { at };
    }
}

/// The common folder of two files, and the entries that contain them. A folder `x/` and a file `x.rs` beside it are one
/// entry.
fn parted(one: &str, other: &str) -> (String, String, String) {
    let mut folder = String::new();
    let (mut one, mut other) = (one, other);
    while let (Some((first, one_rest)), Some((second, other_rest))) = (one.split_once('/'), other.split_once('/')) {
        if first != second {
            break;
        }
        folder = format!("{folder}{first}/");
        (one, other) = (one_rest, other_rest);
    }
    let entry = |path: &str| path.split('/').next().unwrap_or(path).trim_end_matches(".rs").to_owned();
    (folder, entry(one), entry(other))
}

/// The strongly connected components.
fn circles(arrows: &Arrows) -> Vec<BTreeSet<&str>> {
    let reached = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(entry) = next.pop() {
            for (_, to) in arrows.keys().filter(|(one, _)| one == entry) {
                if reached.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        reached
    };
    let entries: BTreeSet<&str> = arrows.keys().map(|(from, _)| from.as_str()).collect();
    let all: BTreeMap<&str, BTreeSet<&str>> = entries.into_iter().map(|entry| (entry, reached(entry))).collect();
    let circle = |entry: &str| -> BTreeSet<&str> {
        let back = |other: &&&str| all.get(**other).is_some_and(|reached| reached.contains(entry));
        all[entry].iter().filter(back).copied().collect()
    };
    let groups: BTreeSet<BTreeSet<&str>> = all.keys().map(|entry| circle(entry)).collect();
    groups.into_iter().filter(|group| group.len() > 1).collect()
}

/// Whether a file is a module of the library whose sources are in a folder. The programs of a crate have roots of their own.
fn is_module_of(source: &Source, root: &str) -> bool {
    source.path.strip_prefix(root).is_some_and(|inside| !source.test && inside != "main.rs" && !inside.starts_with("bin/"))
}

#[test]
fn imports_go_one_way_within_a_folder() {
    let of_crate = |root| Modules::new(sources().values().filter(move |source| is_module_of(source, root))).arrows();
    let mut problems = Vec::new();
    let mut broken = BTreeSet::new();
    for (folder, arrows) in of_crate("src/").into_iter().chain(of_crate("protocol/src/")) {
        for circle in circles(&arrows) {
            broken.insert(folder.trim_end_matches('/').to_owned());
            let within = arrows.iter().filter(|((from, to), _)| circle.contains(from.as_str()) && circle.contains(to.as_str()));
            let examples: Vec<&str> = within.map(|(_, example)| example.as_str()).collect();
            let names: Vec<&str> = circle.into_iter().collect();
            problems.push((folder.clone(), format!("{folder}: {}\n    {}", names.join(", "), examples.join("\n    "))));
        }
    }
    let is_new = |folder: &str| !FOLDERS_WITH_CIRCLES.contains(&folder.trim_end_matches('/'));
    let new: Vec<String> = problems.into_iter().filter(|(folder, _)| is_new(folder)).map(|(_, problem)| problem).collect();
    assert_none(&new, "the entries of a folder do not import each other in a circle: move what both need into a file of its own");
    let stale: Vec<String> = FOLDERS_WITH_CIRCLES.iter().filter(|folder| !broken.contains(**folder)).map(ToString::to_string).collect();
    assert_none(&stale, "these folders have no circle now: take them off the list");
}

#[test]
fn folders_are_small() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources().values().filter(|source| !source.test && !source.path.contains("tests/")) {
        *counts.entry(source.path.rsplit_once('/').map_or("", |(folder, _)| folder)).or_default() += 1;
    }
    counts.retain(|_, count| *count > FILES);
    let crowded = counts.iter().filter(|(folder, _)| !CROWDED_FOLDERS.contains(*folder));
    let problems: Vec<String> = crowded.map(|(folder, count)| format!("{folder}: {count}")).collect();
    assert_none(&problems, "a folder has at most 20 source files of its own: make folders of what belongs together");
    let stale: Vec<String> = CROWDED_FOLDERS.iter().filter(|folder| !counts.contains_key(**folder)).map(ToString::to_string).collect();
    assert_none(&stale, "these folders are small now: take them off the list");
}

fn source(path: &str, text: &str) -> Source {
    Source::parse(path, text.to_owned(), module_of(path).len(), false)
}

fn arrows_of(files: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| source(path, text)).collect();
    let shown = |arrows: Arrows| arrows.into_keys().map(|(from, to)| format!("{from} > {to}")).collect();
    Modules::new(sources.iter()).arrows().into_iter().map(|(folder, arrows)| (folder, shown(arrows))).collect()
}

#[test]
fn arrows_are_seen_in_every_spelling() {
    let arrows = arrows_of(&[
        ("src/lib.rs", "pub mod a; pub mod b;"),
        ("src/a/mod.rs", "mod one; mod two; mod deep; pub use one::One; use two::helper as help; fn f() { one::g(); }"),
        ("src/a/one.rs", "use super::two::{self, Two as T}; use std::fmt; #[cfg(test)] mod tests { use crate::a::deep::X; }"),
        ("src/a/two.rs", "fn f() -> crate::b::B { mod inner { use super::super::deep::leaf; } }"),
        ("src/a/deep/mod.rs", "mod leaf; pub use leaf::Leaf;"),
        // `One` belongs to the file that defines it, not to the re-export.
        ("src/a/deep/leaf.rs", "use crate::a::One; use super::super::help; pub(in crate::a) struct Leaf;"),
        ("src/b.rs", "use crate::a;"),
    ]);
    assert_eq!(arrows["src/a/"], ["deep > one", "deep > two", "mod > one", "mod > two", "one > two", "two > deep"]);
    assert_eq!(arrows["src/"], ["a > b", "b > a"]);
    assert!(!arrows.contains_key("src/a/deep/"));
}

#[test]
fn circles_are_found() {
    let arrows = |pairs: &[(&str, &str)]| pairs.iter().map(|(from, to)| (((*from).to_owned(), (*to).to_owned()), String::new())).collect();
    let found = |arrows: &Arrows| circles(arrows).iter().map(|circle| circle.iter().copied().collect::<String>()).collect::<Vec<_>>();
    assert_eq!(found(&arrows(&[("a", "b"), ("b", "c"), ("a", "c")])), Vec::<String>::new());
    assert_eq!(found(&arrows(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "f"), ("f", "e")])), ["abc", "ef"]);
}
