//! Rules of the architecture that the compiler does not check: imports between modules, where libraries may be used, sizes
//! of files, and that no file is unused.

mod folders;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{Kind, Source, Token, files, sources};

/// The ranks of modules: a module imports only from lower ranks, and modules of one rank do not import each other.
const RANKS: &[(u8, &[&str])] = &[
    (0, &["stdx"]),
    (1, &["jsonrpc", "store", "config"]),
    (2, &["event", "git", "overlay"]),
    (3, &["file", "permission", "agent", "provider", "sandbox"]),
    (4, &["find"]),
    (5, &["snapshot", "tool"]),
    (6, &["session"]),
    (7, &["project"]),
    (8, &["daemon", "shutdown"]),
    (9, &["rpc"]),
    (10, &["api"]),
    (11, &["serve"]),
    (12, &["cli", "logging"]),
    (13, &["launch"]),
    (14, &["main"]),
];

/// Libraries that only some files may use, so that a change of a library affects few files.
const HOMES: &[(&str, &[&str])] = &[
    ("clap", &["src/cli", "src/main.rs"]),
    ("git2", &["src/git/"]),
    ("hyper", &["src/serve/web/"]),
    ("jsonrpsee", &["src/serve/"]),
    ("landlock", &["src/sandbox/"]),
    ("nix", &["src/sandbox/"]),
    ("process_wrap", &["src/stdx/process/"]),
    ("rusqlite", &["src/store/sqlite/"]),
    ("rusqlite_migration", &["src/store/sqlite/"]),
    ("seccompiler", &["src/sandbox/"]),
    ("soketto", &["src/serve/web/"]),
    ("tokio_rustls", &["src/provider/http/client.rs", "src/serve/web/"]),
];

/// The limit of lines of a file.
const LINES: usize = 500;

/// Longer files. The list may only shrink.
const LONG_FILES: &[&str] = &[];

/// Reports all violations at once.
fn assert_none(problems: &[String], rule: &str) {
    assert!(problems.is_empty(), "{rule}:\n  {}", problems.join("\n  "));
}

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(_, modules)| modules.contains(&module)).map(|&(rank, _)| rank)
}

#[test]
fn imports_are_seen_in_every_spelling() {
    let text = "
        use crate::{config::Config, stdx::{paths::AbsPath, text}};
        use super::super::event::log;
        use super::neighbour;
        fn f() -> crate::store::Error { macro_rules! m { () => { $crate::provider::x() } } }
        mod inner { use super::super::super::agent; use super::super::neighbour; }
        #[cfg(test)] mod tests { use crate::serve; }
        #[cfg(test)] use crate::api;
        #[cfg(not(test))] use crate::file;
        #[test] fn t() { crate::daemon::x() }
    ";
    let source = Source::parse("src/tool/x.rs", text.to_owned(), 2, false);
    let seen: Vec<String> = imports(&source).into_iter().map(|(module, _)| module).collect();
    assert_eq!(seen, ["config", "stdx", "event", "store", "provider", "agent", "file"]);
}

#[test]
fn imports_go_down() {
    let mut problems = BTreeSet::new();
    for source in sources().values().filter(|source| source.path.starts_with("src/")) {
        let Some(module) = source.module() else { continue };
        let Some(own) = rank(module) else {
            problems.insert(format!("{}: module {module} has no rank", source.path));
            continue;
        };
        for (target, line) in imports(source) {
            match rank(&target) {
                Some(other) if target == module || other < own => {}
                Some(other) => {
                    problems.insert(format!("{}:{line}: {module} (rank {own}) imports {target} (rank {other})", source.path));
                }
                None => {
                    problems.insert(format!("{}:{line}: {target} is no module with a rank", source.path));
                }
            }
        }
    }
    assert_none(&problems.into_iter().collect::<Vec<_>>(), "a module imports only from lower ranks");
}

/// The modules that a file imports by `crate::`, `polytree::`, or `super::` up to the root.
fn imports(source: &Source) -> Vec<(String, usize)> {
    let tokens: Vec<&Token> = source.product_tokens().collect();
    let mut found = Vec::new();
    for index in 0..tokens.len() {
        let follows =
            |at: usize| tokens.get(at).is_some_and(|token| token.text == ":") && tokens.get(at + 1).is_some_and(|token| token.text == ":");
        let continues = index >= 2 && follows(index - 2);
        let mut end = index + 1;
        match tokens[index].text.as_str() {
            "crate" if !continues => {}
            "polytree" if !continues && source.path == "src/main.rs" => {}
            "super" if !continues => {
                let mut levels = 1;
                while follows(end) && tokens.get(end + 2).is_some_and(|token| token.text == "super") {
                    levels += 1;
                    end += 3;
                }
                if levels < source.depth + tokens[index].inside.len() {
                    continue;
                }
            }
            _ => continue,
        }
        if follows(end) {
            found.extend(first_words(&tokens[end + 2..]));
        }
    }
    found
}

/// The word that begins the list, or the words that begin the entries of `{a::b, c}`.
fn first_words(tokens: &[&Token]) -> Vec<(String, usize)> {
    let Some(first) = tokens.first() else { return Vec::new() };
    if first.text != "{" {
        return vec![(first.text.clone(), first.line)];
    }
    let (mut words, mut nesting, mut expects) = (Vec::new(), 0, false);
    for token in tokens {
        match token.text.as_str() {
            "{" => {
                nesting += 1;
                expects = nesting == 1;
            }
            "}" => nesting -= 1,
            "," => expects = nesting == 1,
            word if expects => {
                words.push((word.to_owned(), token.line));
                expects = false;
            }
            _ => {}
        }
        if nesting == 0 {
            break;
        }
    }
    words
}

#[test]
fn libraries_stay_at_home() {
    let mut problems = Vec::new();
    for source in sources().values().filter(|source| source.path.starts_with("src/")) {
        for token in source.product_tokens().filter(|token| token.kind == Kind::Word) {
            if let Some((library, homes)) = HOMES.iter().find(|(library, _)| *library == token.text)
                && !homes.iter().any(|home| source.path.starts_with(home))
            {
                problems.push(format!("{}:{}: {library} belongs in {}", source.path, token.line, homes.join(", ")));
            }
        }
    }
    assert_none(&problems, "only its home names a library");
}

#[test]
fn sql_stands_in_its_folder() {
    const HOME: &str = "src/store/sqlite/";
    let statements = ["SELECT ", "INSERT INTO ", "INSERT OR ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA "];
    let mut problems = Vec::new();
    for source in sources().values().filter(|source| source.path.starts_with("src/") && !source.path.starts_with(HOME)) {
        for token in source.product_tokens().filter(|token| token.kind == Kind::Literal) {
            if statements.iter().any(|statement| token.text.contains(statement)) {
                problems.push(format!("{}:{}: {:.80}", source.path, token.line, token.text));
            }
        }
    }
    assert_none(&problems, "SQL stands in src/store/sqlite/; elsewhere call the store by name");
}

/// File access within a transaction would block all sessions while a file system hangs.
#[test]
fn the_store_looks_at_no_files_of_the_user() {
    // These files access the store's own files, when it is opened.
    let own = ["owner", "sqlite/aside", "sqlite/integrity", "sqlite/check", "sqlite/damage", "sqlite/database"]
        .map(|name| format!("src/store/{name}.rs"));
    let mut problems = Vec::new();
    for source in sources().values().filter(|source| source.path.starts_with("src/store/") && !own.contains(&source.path)) {
        for token in source.product_tokens().filter(|token| token.kind == Kind::Word) {
            if ["fs", "is_dir", "is_file", "try_exists", "canonicalize", "Command", "git2", "disk"].contains(&token.text.as_str()) {
                problems.push(format!("{}:{}: {}", source.path, token.line, source.line(token.line).trim()));
            }
        }
    }
    assert_none(&problems, "what a rule of the store needs to know of the disk is handed in");
}

#[test]
fn files_are_short() {
    let long: BTreeMap<String, usize> =
        sources().values().map(|source| (source.path.clone(), source.text.lines().count())).filter(|&(_, lines)| lines > LINES).collect();
    let problems: Vec<String> = long
        .iter()
        .filter(|(path, _)| !LONG_FILES.contains(&path.as_str()))
        .map(|(path, lines)| format!("{path}: {lines}, so it has more than one idea"))
        .collect();
    assert_none(&problems, "a file has at most 500 lines");
    let stale: Vec<String> = LONG_FILES.iter().filter(|path| !long.contains_key(**path)).map(|&path| path.to_owned()).collect();
    assert_none(&stale, "these files are short now: take them off the list");
}

#[test]
fn no_file_is_forgotten() {
    let sources = sources();
    let literals: BTreeSet<&str> = sources
        .values()
        .flat_map(|source| &source.tokens)
        .filter(|token| token.kind == Kind::Literal)
        .map(|token| token.text.trim_matches('"').rsplit('/').next().unwrap_or_default())
        .collect();
    let mut problems = Vec::new();
    for path in files() {
        let name = path.rsplit('/').next().unwrap_or(&path);
        if path.ends_with(".rs") && !sources.contains_key(&path) {
            problems.push(format!("{path}: no `mod` line leads to it"));
        }
        if path.starts_with("src/") && !path.ends_with(".rs") && !literals.contains(name) {
            problems.push(format!("{path}: nothing includes it"));
        }
    }
    assert_none(&problems, "every file is used");
}

/// Where the name of a tool stands beside its own file, and what it means there.
const NAMED_TOOLS: &[(&str, &[&str], &str)] = &[
    ("src/agent/builtin.rs", &["bash", "edit", "todoread", "todowrite"], "rules and switches of the agents"),
    ("src/cli/args/mod.rs", &["list"], "an option"),
    ("src/cli/commands/doctor_page.rs", &["read"], "a word"),
    ("src/cli/render/tool_line.rs", &["invalid"], "a call that could not be made"),
    ("src/cli/run/ask.rs", &["bash"], "the permission"),
    ("src/permission/rules.rs", &["bash", "edit", "read", "webfetch"], "permissions"),
    ("src/permission/mode.rs", &["bash", "edit"], "permissions"),
    ("src/project/guard.rs", &["read"], "the permission"),
    ("src/session/", &["bash", "edit"], "permissions"),
    ("src/tool/bash/", &["bash", "edit", "glob", "grep", "list", "patch", "process", "read", "write"], "permissions; programs and options"),
    ("src/tool/context.rs", &["bash"], "the permission"),
    ("src/tool/change/mod.rs", &["edit"], "the permission of all tools that change files"),
    ("src/tool/process/", &["bash", "list", "read"], "its permission, and what can be done"),
    ("src/tool/search/grep.rs", &["read"], "the permission for what it shows"),
    ("src/tool/write.rs", &["edit"], "its permission"),
];

#[test]
fn a_tool_is_named_in_its_own_file() {
    let is_asked = |path: &str| {
        ["agent", "api", "cli", "permission", "project", "session", "tool"].iter().any(|folder| path.starts_with(&format!("src/{folder}/")))
    };
    let literal = |token: &&Token| token.kind == Kind::Literal && token.text.starts_with('"');
    let sources = sources();
    let mut homes: BTreeMap<&str, &str> = BTreeMap::new();
    for source in sources.values().filter(|source| source.path.starts_with("src/tool/")) {
        let tokens: Vec<&Token> = source.product_tokens().collect();
        for at in (0..tokens.len()).filter(|at| tokens[*at].text == "NAME") {
            // `const NAME: &'static str = "read";`
            if let Some(name) = tokens[at..].iter().take(8).copied().find(|token| literal(token)) {
                homes.insert(name.text.trim_matches('"'), &source.path);
            }
        }
    }
    assert!(homes.len() >= 9, "{homes:?}");
    let mut problems = Vec::new();
    for source in sources.values().filter(|source| is_asked(&source.path) && !source.test) {
        for token in source.product_tokens().filter(literal) {
            let Some((name, _)) = homes.get_key_value(token.text.trim_matches('"')).filter(|(_, home)| **home != source.path) else {
                continue;
            };
            if !NAMED_TOOLS.iter().any(|(path, names, _)| source.path.starts_with(path) && names.contains(name)) {
                problems.push(format!("{}:{}: {}", source.path, token.line, source.line(token.line).trim()));
            }
        }
    }
    assert_none(&problems, "what is true of one tool stands in its own file (`Tool` in src/tool/definition.rs)");
}

#[test]
fn files_say_what_they_are_for() {
    let silent = |source: &&Source| !source.text.starts_with("//! ");
    let problems: Vec<String> = sources().values().filter(silent).map(|source| source.path.clone()).collect();
    assert_none(&problems, "a file opens with `//!` lines that say what it is for");
}

#[test]
fn unwrap_has_a_reason() {
    let mut problems = Vec::new();
    for source in sources().values() {
        let tokens: Vec<&Token> = source.product_tokens().collect();
        for window in tokens.windows(4) {
            let texts: Vec<&str> = window.iter().map(|token| token.text.as_str()).collect();
            let line = window[1].line;
            let explained = source.line(line).contains("// ") || source.line(line - 1).trim_start().starts_with("// ");
            if texts == [".", "unwrap", "(", ")"] && !explained {
                problems.push(format!("{}:{line}: {}", source.path, source.line(line).trim()));
            }
        }
    }
    assert_none(&problems, "outside tests an unwrap needs a comment that proves it, on its line or above");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let mut problems = Vec::new();
    for source in sources().values() {
        for (index, line) in source.text.lines().enumerate() {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            let marked = comment.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| marks.contains(&word));
            if marked {
                problems.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
        for pair in source.tokens.windows(2) {
            if matches!(pair[0].text.as_str(), "dbg" | "todo" | "unimplemented") && pair[1].text == "!" {
                problems.push(format!("{}:{}: {}!", source.path, pair[0].line, pair[0].text));
            }
        }
    }
    assert_none(&problems, "what is to be done later does not stand in the code");
}

#[test]
fn no_test_is_switched_off() {
    let mut problems = Vec::new();
    for source in sources().values() {
        for window in source.tokens.windows(3) {
            if window[0].text == "#" && window[1].text == "[" && window[2].text == "ignore" {
                problems.push(format!("{}:{}", source.path, window[2].line));
            }
        }
    }
    assert_none(&problems, "every test runs");
}
