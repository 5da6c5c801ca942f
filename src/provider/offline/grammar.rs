//! The command language of the offline model: English sentences, each for one ability. Pure.
//!
//! Words are case-insensitive; a polite beginning and final punctuation are ignored. Names with spaces or special
//! characters can be quoted with `"`, `'` or a backquote.

/// The sentences, for the help text.
pub(crate) const SENTENCES: &[(&str, &str)] = &[
    ("read FILE", "reads a file; also `read lines 10 to 20 of FILE`"),
    ("find NAME", "finds files by a part of their name or by a pattern such as `*.rs`"),
    ("search TEXT", "searches in files; also `search TEXT in *.rs`"),
    ("replace A with B in FILE", "changes one place in a file; `replace every A with B in FILE` changes all"),
    ("run COMMAND", "runs a shell command"),
    ("what changed", "shows what has changed since the last commit"),
    ("explain this project", "looks at the files and the README"),
    ("help", "says what I can do"),
];

/// A parsed sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Intent {
    /// A file, or a range of lines (from 1, inclusive).
    Read {
        file: String,
        lines: Option<(u64, u64)>,
    },
    /// Files whose path matches a glob.
    Find {
        name: String,
        pattern: String,
    },
    /// A text in files, optionally only in those that match a pattern.
    Search {
        text: String,
        include: Option<String>,
    },
    /// Replaces a text in a file.
    Replace {
        old: String,
        new: String,
        file: String,
        every: bool,
    },
    Run {
        command: String,
    },
    /// The changes in the work tree.
    Changed,
    Explain,
    Help,
}

/// Parses a sentence; `None` if it is not in the language.
pub(crate) fn parse(text: &str) -> Option<Intent> {
    // Only the first line: editors append context below it.
    let line = text.trim().lines().next()?.trim();
    let sentence = without_politeness(line);
    fixed(sentence)
        .or_else(|| run(sentence))
        .or_else(|| read(sentence))
        .or_else(|| replace(sentence))
        .or_else(|| search(sentence))
        .or_else(|| find(sentence))
}

fn without_politeness(line: &str) -> &str {
    let mut rest = line;
    let beginnings = ["please", "can you", "could you", "would you", "now", "then"];
    while let Some(shorter) = beginnings.iter().find_map(|beginning| after(rest, beginning)) {
        rest = shorter.trim_start_matches([',', ' ']);
    }
    rest
}

/// The rest of the text after a prefix of whole words.
fn after<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(beginning.len())?;
    let is_whole = rest.is_empty() || rest.starts_with([' ', '\t', ',', ':']);
    (head.eq_ignore_ascii_case(beginning) && is_whole).then(|| rest.trim_start_matches([' ', '\t', ':']))
}

fn after_any<'a>(text: &'a str, beginnings: &[&str]) -> Option<&'a str> {
    beginnings.iter().find_map(|beginning| after(text, beginning))
}

/// Removes punctuation at the end.
fn unmarked(text: &str) -> &str {
    let text = text.trim();
    text.strip_suffix(['?', '!'])
        .or_else(|| text.strip_suffix('.').filter(|rest| !rest.ends_with(['.', '/', ' '])))
        .unwrap_or(text)
        .trim_end()
}

fn fixed(sentence: &str) -> Option<Intent> {
    let words = unmarked(sentence).to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let project = ["project", "repository", "repo", "codebase"];
    let is_about_the_project = |beginning: &str| {
        let rest = words.strip_prefix(beginning).map(str::trim_start);
        rest.and_then(|rest| rest.strip_prefix("this ").or_else(|| rest.strip_prefix("the "))).is_some_and(|rest| project.contains(&rest))
    };
    match words.as_str() {
        "help" | "help me" | "what can you do" | "hi" | "hello" => Some(Intent::Help),
        "what changed"
        | "what has changed"
        | "what have i changed"
        | "what did i change"
        | "show changes"
        | "show the changes"
        | "git status" => Some(Intent::Changed),
        _ if ["explain", "describe", "what is", "tell me about"].iter().any(|beginning| is_about_the_project(beginning)) => {
            Some(Intent::Explain)
        }
        _ => None,
    }
}

fn run(sentence: &str) -> Option<Intent> {
    let command = after_any(sentence, &["run", "execute", "$"])?;
    let command = whole_quote(command).unwrap_or(command).trim();
    (!command.is_empty()).then(|| Intent::Run { command: command.to_owned() })
}

fn read(sentence: &str) -> Option<Intent> {
    let rest = after_any(sentence, &["read", "show me", "show", "open", "print"])?;
    if let Some((lines, file)) = after_any(rest, &["lines", "line"]).and_then(|rest| split_word(rest, "of")) {
        let lines = line_range(lines)?;
        return Some(Intent::Read {
            file: name(after(file, "the file").or_else(|| after(file, "file")).unwrap_or(file))?,
            lines: Some(lines),
        });
    }
    let file = after_any(rest, &["the file", "file"]).unwrap_or(rest);
    Some(Intent::Read { file: name(file)?, lines: None })
}

/// `10 to 20`, `10-20` or `10`.
fn line_range(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let (first, last) = split_word(text, "to").or_else(|| text.split_once('-')).unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (1 <= first && first <= last).then_some((first, last))
}

fn find(sentence: &str) -> Option<Intent> {
    let rest = after_any(sentence, &["find", "where is", "locate"])?;
    let rest = after_any(rest, &["files named", "file named", "the file", "files", "file"]).unwrap_or(rest);
    let name = name(rest)?;
    let is_pattern = name.contains(['*', '?', '[', '{']);
    let pattern = match (is_pattern, name.contains('/')) {
        (true, true) => name.clone(),
        (true, false) => format!("**/{name}"),
        (false, _) => format!("**/*{name}*"),
    };
    Some(Intent::Find { name, pattern })
}

fn search(sentence: &str) -> Option<Intent> {
    let rest = after_any(sentence, &["search for", "search", "grep for", "grep"])?;
    if let Some((text, rest)) = quote(rest) {
        let include = match rest.trim() {
            rest if unmarked(rest).is_empty() => None,
            rest => Some(name(after_any(rest, &["in", "in files"])?)?),
        };
        return Some(Intent::Search { text: text.to_owned(), include });
    }
    // Without quotes, `in` is a separator only if a pattern follows: most texts with an `in` are meant literally.
    let split = rsplit_word(rest, "in").filter(|(_, pattern)| pattern.contains(['*', '/']) && !pattern.contains(' '));
    let (text, include) = split.map_or((rest, None), |(text, pattern)| (text, name(pattern)));
    Some(Intent::Search { text: name(text)?, include })
}

fn replace(sentence: &str) -> Option<Intent> {
    let (rest, words) = match after(sentence, "replace") {
        Some(rest) => (rest, ["with", "by"]),
        None => (after(sentence, "change")?, ["to", "into"]),
    };
    let every = after_any(rest, &["every", "all"]);
    let rest = every.unwrap_or(rest);
    let (old, rest) = match quote(rest) {
        Some((old, rest)) => (old, after_any(rest.trim_start(), &words)?),
        None => words.iter().find_map(|word| split_word(rest, word))?,
    };
    let (new, file) = match quote(rest) {
        Some((new, rest)) => (new, after(rest.trim_start(), "in")?),
        // The last `in`, because the new text may contain one, and a file name hardly does.
        None => rsplit_word(rest, "in")?,
    };
    let file = name(after_any(file, &["the file", "file"]).unwrap_or(file))?;
    (!old.is_empty()).then(|| Intent::Replace { old: old.to_owned(), new: new.to_owned(), file, every: every.is_some() })
}

/// A name or text up to the end of the sentence, quoted or not.
fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let name = match quote(text) {
        Some((name, rest)) if unmarked(rest).is_empty() || rest == "." => name,
        _ => unmarked(text),
    };
    (!name.is_empty()).then(|| name.to_owned())
}

/// The content of a text that is quoted as a whole.
fn whole_quote(text: &str) -> Option<&str> {
    quote(text.trim()).filter(|(_, rest)| rest.is_empty()).map(|(inside, _)| inside)
}

/// A quoted text at the beginning, and the rest. A closing quote must be followed by white space, punctuation or the
/// end, so that apostrophes are allowed inside.
fn quote(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '"' | '\'' | '`'))?;
    let inside = &text[1..];
    let ends = |at: usize| inside[at + 1..].chars().next().is_none_or(|next| next.is_whitespace() || matches!(next, '.' | '?' | '!' | ','));
    let end = inside.match_indices(mark).map(|(at, _)| at).find(|at| ends(*at))?;
    Some((&inside[..end], &inside[end + 1..]))
}

/// Splits at the first occurrence of a separate word, outside quotes.
fn split_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    word_offsets(text, word).next().map(|at| (text[..at].trim(), text[at + word.len() + 2..].trim()))
}

/// Splits at the last occurrence of a separate word.
fn rsplit_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    word_offsets(text, word).last().map(|at| (text[..at].trim(), text[at + word.len() + 2..].trim()))
}

/// The offsets at which the word occurs between two spaces; those of the first space.
fn word_offsets(text: &str, word: &str) -> impl Iterator<Item = usize> {
    let spaced = format!(" {} ", word.to_ascii_lowercase());
    // ASCII lower case does not change offsets.
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + lower.get(from..)?.find(&spaced)?;
        from = at + 1;
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(file: &str, lines: Option<(u64, u64)>) -> Intent {
        Intent::Read { file: file.to_owned(), lines }
    }

    fn find(name: &str, pattern: &str) -> Intent {
        Intent::Find { name: name.to_owned(), pattern: pattern.to_owned() }
    }

    fn search(text: &str, include: Option<&str>) -> Intent {
        Intent::Search { text: text.to_owned(), include: include.map(ToOwned::to_owned) }
    }

    fn replace(old: &str, new: &str, file: &str, every: bool) -> Intent {
        Intent::Replace { old: old.to_owned(), new: new.to_owned(), file: file.to_owned(), every }
    }

    fn run(command: &str) -> Intent {
        Intent::Run { command: command.to_owned() }
    }

    #[test]
    fn sentences() {
        for (text, intent) in [
            ("read src/main.rs", Some(read("src/main.rs", None))),
            ("Please read the file src/main.rs.", Some(read("src/main.rs", None))),
            ("could you show me \"a b.txt\"?", Some(read("a b.txt", None))),
            ("read lines 10 to 20 of src/lib.rs", Some(read("src/lib.rs", Some((10, 20))))),
            ("read line 7 of 'src/lib.rs'", Some(read("src/lib.rs", Some((7, 7))))),
            ("read lines 3-9 of a.rs", Some(read("a.rs", Some((3, 9))))),
            ("read ..", Some(read("..", None))),
            ("find main", Some(find("main", "**/*main*"))),
            ("find files named Cargo.toml", Some(find("Cargo.toml", "**/*Cargo.toml*"))),
            ("where is the file *.rs?", Some(find("*.rs", "**/*.rs"))),
            ("find src/**/*.rs", Some(find("src/**/*.rs", "src/**/*.rs"))),
            ("search for fn main", Some(search("fn main", None))),
            ("search TODO in *.rs", Some(search("TODO", Some("*.rs")))),
            ("grep once in a while", Some(search("once in a while", None))),
            ("search \"a in b\" in src/*.rs", Some(search("a in b", Some("src/*.rs")))),
            ("replace foo with bar in src/a.rs", Some(replace("foo", "bar", "src/a.rs", false))),
            ("replace \"a with b\" with 'it in it' in \"c d.txt\".", Some(replace("a with b", "it in it", "c d.txt", false))),
            ("replace every x by y in f", Some(replace("x", "y", "f", true))),
            ("change colour to color in file README.md", Some(replace("colour", "color", "README.md", false))),
            ("replace \"x\" with \"\" in f", Some(replace("x", "", "f", false))),
            ("replace 'don't' with `do not` in f", Some(replace("don't", "do not", "f", false))),
            ("run cargo test --all", Some(run("cargo test --all"))),
            ("Run `ls -la .`", Some(run("ls -la ."))),
            ("$ echo \"a\" b", Some(run("echo \"a\" b"))),
            ("run \"a b\" c", Some(run("\"a b\" c"))),
            ("What changed?", Some(Intent::Changed)),
            ("explain this project", Some(Intent::Explain)),
            ("What is this repository?", Some(Intent::Explain)),
            ("Help!", Some(Intent::Help)),
            ("read a.txt\n\nThe user has these files open: b.txt", Some(read("a.txt", None))),
            ("", None),
            ("read", None),
            ("run", None),
            ("replace a with b", None),
            ("replace \"\" with b in f", None),
            ("reading is fun", None),
            ("write me a poem", None),
            ("read lines 9 to 3 of a.rs", None),
            ("ä", None),
        ] {
            assert_eq!(parse(text), intent, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*", verb in "(read|find|search|replace|run|change|show)? ?") {
            parse(&text);
            parse(&format!("{verb}{text}"));
        }

        #[test]
        fn quoted_texts_are_parsed_completely(
            old in "[a-zA-Z0-9 äö.*]{1,12}", new in "[a-zA-Z0-9 äö.*]{0,12}", file in "[a-zA-Z0-9/_.-]{1,12}", mark in "[\"'`]",
        ) {
            let intent = parse(&format!("replace {mark}{old}{mark} with {mark}{new}{mark} in {mark}{file}{mark}"));
            prop_assert_eq!(intent, Some(replace(&old, &new, &file, false)));
        }

        #[test]
        fn simple_names_need_no_quotes(file in "[a-z0-9_/-]{1,20}(\\.[a-z]{1,4})?") {
            prop_assume!(!matches!(file.as_str(), "file" | "line" | "lines" | "me" | "changes"));
            prop_assert_eq!(parse(&format!("read {file}")), Some(read(&file, None)));
        }
    }
}
