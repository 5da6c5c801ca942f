//! The source files of the workspace as token lists, found from the crate roots as by the compiler.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A source file.
pub struct Source {
    /// Relative to the repository, with `/` on every system.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    /// The depth of this file's module: 0 for `lib.rs`.
    pub depth: usize,
    /// It is only compiled for tests.
    pub test: bool,
}

/// A token, with the brackets of groups as tokens of their own.
pub struct Token {
    pub text: String,
    /// From 1.
    pub line: usize,
    pub kind: Kind,
    /// It is in an item for tests.
    pub test: bool,
    /// The modules around it inside its file, outermost first.
    pub inside: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Word,
    Literal,
    Punctuation,
    Bracket,
}

impl Source {
    /// Parses a text.
    pub fn parse(path: &str, text: String, depth: usize, test: bool) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, test, &[], &mut tokens);
        Self { path: path.to_owned(), text, tokens, depth, test }
    }

    /// The module of the daemon that the file belongs to: `session` for `src/session/turn.rs`.
    pub fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        Some(inside.split(['/', '.']).next().unwrap_or(inside)).filter(|&module| module != "lib")
    }

    /// The tokens outside of tests.
    pub fn product_tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| !token.test)
    }

    pub fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number.wrapping_sub(1)).unwrap_or("")
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files that the compiler reads, by path.
pub fn sources() -> &'static BTreeMap<String, Source> {
    static SOURCES: OnceLock<BTreeMap<String, Source>> = OnceLock::new();
    SOURCES.get_or_init(read)
}

fn read() -> BTreeMap<String, Source> {
    let mut sources = BTreeMap::new();
    let mut roots = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned(), "protocol/src/lib.rs".to_owned()];
    for path in files() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let test_root = folder == "tests" || folder == "protocol/tests" || (folder.starts_with("tests/") && path.ends_with("/main.rs"));
        if path.ends_with(".rs") && (test_root || folder == "protocol/src/bin") {
            roots.push(path);
        }
    }
    for path in roots {
        let test = path.contains("tests/");
        let folder = Path::new(&path).parent().expect("a root lies in a folder").to_owned();
        load(Path::new(&path), &folder, 0, test, &mut sources);
    }
    sources
}

/// All source files, sorted.
pub fn files() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("src"), PathBuf::from("protocol"), PathBuf::from("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("a folder entry");
            let path = folder.join(entry.file_name());
            if entry.file_type().expect("a file type").is_dir() {
                folders.push(path);
            } else {
                found.push(with_slashes(&path));
            }
        }
    }
    found.sort();
    found
}

/// Reads a file and the files of its modules, which are in `folder` by default.
fn load(path: &Path, folder: &Path, depth: usize, test: bool, sources: &mut BTreeMap<String, Source>) {
    let name = with_slashes(path);
    if sources.get(&name).is_some_and(|known| !known.test || test) {
        return;
    }
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let source = Source::parse(&name, text, depth, test);
    let modules = declared_modules(&source.tokens);
    sources.insert(name, source);
    for module in modules {
        let folder = folder.join(module.inside.iter().collect::<PathBuf>());
        let candidates = match &module.path {
            Some(given) if module.inside.is_empty() => vec![path.parent().expect("a file lies in a folder").join(given)],
            Some(given) => vec![folder.join(given)],
            None => vec![folder.join(format!("{}.rs", module.name)), folder.join(&module.name).join("mod.rs")],
        };
        let Some(file) = candidates.iter().map(|file| clean(file)).find(|file| root().join(file).is_file()) else {
            panic!("{}: no file for module {}", with_slashes(path), module.name);
        };
        let own_folder = module.path.is_some() || file.ends_with("mod.rs");
        let inner = if own_folder { file.parent().expect("a file lies in a folder").to_owned() } else { folder.join(&module.name) };
        load(&file, &inner, depth + module.inside.len() + 1, module.test, sources);
    }
}

struct Module {
    name: String,
    /// The modules around its declaration inside the file.
    inside: Vec<String>,
    path: Option<String>,
    test: bool,
}

/// The `mod name;` lines of a file, also those inside macro calls.
fn declared_modules(tokens: &[Token]) -> Vec<Module> {
    let mut modules = Vec::new();
    for (index, window) in tokens.windows(3).enumerate() {
        let [keyword, name, end] = window else { continue };
        if keyword.text != "mod" || name.kind != Kind::Word || end.text != ";" {
            continue;
        }
        // `#[path = "x"] mod name;`, with `pub` between at most.
        let before: Vec<&str> = tokens[index.saturating_sub(8)..index].iter().map(|token| token.text.as_str()).collect();
        let position = before.windows(2).rposition(|pair| pair == ["path", "="]);
        let path = position.filter(|&at| !before[at..].contains(&";")).map(|at| before[at + 2].trim_matches('"').to_owned());
        modules.push(Module { name: name.text.clone(), inside: keyword.inside.clone(), path, test: keyword.test });
    }
    modules
}

/// Adds a stream to the list, without doc comments.
fn flatten(stream: TokenStream, test: bool, inside: &[String], tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    // The current item is for tests, from its attribute to its end.
    let mut test_item = false;
    let mut index = 0;
    while index < trees.len() {
        let tree = &trees[index];
        if let Some((attribute, length)) = attribute(&trees[index..]) {
            if attribute.starts_with("doc") {
                index += length;
                continue;
            }
            let compact = attribute.replace(' ', "");
            test_item |= compact == "test" || compact.ends_with("::test") || (compact.starts_with("cfg(") && names_test(&compact));
        }
        let is_test = test || test_item;
        let mut push =
            |text: String, line: usize, kind: Kind| tokens.push(Token { text, line, kind, test: is_test, inside: inside.to_vec() });
        match tree {
            TokenTree::Ident(ident) => push(ident.to_string(), tree.span().start().line, Kind::Word),
            TokenTree::Literal(literal) => push(literal.to_string(), tree.span().start().line, Kind::Literal),
            TokenTree::Punct(punct) => {
                push(punct.as_char().to_string(), tree.span().start().line, Kind::Punctuation);
                test_item &= punct.as_char() != ';';
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open.to_owned(), group.span_open().start().line, Kind::Bracket);
                let mut inner = inside.to_vec();
                if open == "{" && index >= 2 && trees[index - 2].to_string() == "mod" {
                    inner.push(trees[index - 1].to_string());
                }
                flatten(group.stream(), is_test, &inner, tokens);
                let line = group.span_close().start().line;
                tokens.push(Token { text: close.to_owned(), line, kind: Kind::Bracket, test: is_test, inside: inside.to_vec() });
                test_item &= open != "{";
            }
        }
        index += 1;
    }
}

/// The content of an attribute at the start of the list, and its number of trees.
fn attribute(trees: &[TokenTree]) -> Option<(String, usize)> {
    let TokenTree::Punct(hash) = trees.first()? else { return None };
    if hash.as_char() != '#' {
        return None;
    }
    let inner = matches!(trees.get(1)?, TokenTree::Punct(bang) if bang.as_char() == '!');
    match trees.get(1 + usize::from(inner))? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => Some((group.stream().to_string(), 2 + usize::from(inner))),
        _ => None,
    }
}

fn names_test(attribute: &str) -> bool {
    !attribute.contains("not(test)") && attribute.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "test")
}

fn with_slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Resolves `..` in a path.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    clean
}
