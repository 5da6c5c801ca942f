//! Which file names a command prints, for the next one of a pipeline that takes them as its arguments.

use super::{
    effects::program_name,
    find,
    word::{Argument, Found},
};

/// What the command prints, as arguments: files, and what is below directories. Nothing where nobody knows. `before` is
/// what it is given by the pipeline.
pub(in crate::tool) fn printed_names(words: &[Argument], before: &[Argument]) -> Vec<Argument> {
    let Some(name) = words.first().and_then(Argument::literal) else { return Vec::new() };
    let rest = &words[1..];
    let names = match program_name(name) {
        "find" | "gfind" => find::printed(words),
        "git" => git(rest),
        "rg" => search(rest, &["l", "--files-with-matches", "--files"]).map(|is_all| vec![here(is_all, is_all)]),
        "fd" | "fdfind" => search(rest, &[""]).map(|is_all| vec![here(is_all, is_all)]),
        "grep" => grep(rest, before),
        "ls" => list(rest),
        "echo" | "printf" => texts(rest),
        "sort" | "uniq" | "head" | "tail" | "tac" | "cat" if !has_operands(rest) => Some(before.to_vec()),
        "tr" if is_line_ends(rest) => Some(before.to_vec()),
        _ => None,
    };
    names.unwrap_or_default()
}

/// The file names in a text that is given to `xargs`.
pub(super) fn names_in(text: &str) -> Vec<Argument> {
    let is_plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_-./~@%+=:,".contains(c);
    if text.chars().all(is_plain) { text.split_whitespace().map(Argument::plain).collect() } else { Vec::new() }
}

/// Everything below the current directory.
fn here(hidden: bool, ignored: bool) -> Argument {
    Argument::plain(".").below(Found { name: None, hidden, ignored })
}

fn options(words: &[Argument]) -> impl Iterator<Item = &str> {
    words.iter().map(|word| word.text.as_str()).take_while(|text| *text != "--").filter(|text| text.starts_with('-'))
}

fn has_operands(words: &[Argument]) -> bool {
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        // The number behind `head -n`, the key behind `sort -k`.
        if matches!(text, "-n" | "-c" | "-k" | "-t") {
            words.next();
        } else if !text.starts_with('-') || !word.is_literal() {
            return true;
        }
    }
    false
}

/// Whether the path may lead out of the current directory, or is not known.
fn may_leave(word: &Argument) -> bool {
    !word.holes.is_empty() || word.tilde || word.text.starts_with('/') || word.text.split('/').any(|part| part == "..")
}

/// Names of what git tracks, below the current directory.
fn git(words: &[Argument]) -> Option<Vec<Argument>> {
    let has = |option: &str| words.iter().any(|word| word.text == option);
    let lists = match words.first()?.literal()? {
        "ls-files" => true,
        "diff" | "show" | "log" | "diff-tree" => has("--name-only"),
        "grep" => has("-l") || has("--name-only") || has("--files-with-matches"),
        _ => false,
    };
    let leaves = words.iter().any(may_leave) || has("--no-index");
    // Names that begin with a dot are left out: those that git tracks are seldom secret, and which it tracks is not known here.
    let is_other = has("-o") || has("--others");
    let mut found = here(is_other, is_other);
    if let ([command, pattern], Some(what)) = (words, &mut found.found)
        && command.text == "ls-files"
    {
        what.name = pattern.literal().filter(|pattern| pattern.starts_with('*') && !pattern.contains('/')).map(str::to_lowercase);
    }
    (lists && !leaves).then(|| vec![found])
}

/// For programs that search what git does not ignore, when one of the options makes them print names; whether they are told
/// to search everything.
fn search(words: &[Argument], wanted: &[&str]) -> Option<bool> {
    const OTHER: &[&str] = &["-L", "--follow", "-x", "-X", "--exec", "--exec-batch", "--base-directory", "--search-path", "--format"];
    let lists = wanted.contains(&"")
        || options(words).any(|option| wanted.contains(&option) || (!option.starts_with("--") && option.contains('l')));
    let is_other = options(words).any(|option| OTHER.contains(&option)) || words.iter().any(may_leave);
    let is_ignored = options(words).any(|option| {
        ["--no-ignore", "--hidden", "--unrestricted"].contains(&option)
            || (!option.starts_with("--") && option.contains(['u', 'I', 'H', '.']))
    });
    (lists && !is_other).then_some(is_ignored)
}

/// With `-l` names of files; of what it is given without files of its own, lines as they are.
fn grep(words: &[Argument], before: &[Argument]) -> Option<Vec<Argument>> {
    let cluster = |letters: &[char]| options(words).any(|option| !option.starts_with("--") && option.contains(letters));
    let operands: Vec<&Argument> = words.iter().filter(|word| !word.text.starts_with('-')).collect();
    if cluster(&['l', 'L']) || options(words).any(|option| option.starts_with("--files-with")) {
        let leaves = words.iter().any(may_leave) || cluster(&['R', 'f']);
        return (!leaves).then(|| vec![here(true, true)]);
    }
    let changes = cluster(&['o', 'n', 'c', 'b', 'H', 'r', 'R', 'f']) || options(words).any(|option| option.starts_with("--"));
    let mut names = (operands.len() <= 1 && !changes).then(|| before.to_vec())?;
    // `\.rs$` leaves names that end so.
    let end = operands.first().and_then(|pattern| pattern.literal()).and_then(|pattern| pattern.strip_prefix("\\.")?.strip_suffix('$'));
    let end = end.filter(|end| options(words).next().is_none() && end.chars().all(char::is_alphanumeric));
    for what in names.iter_mut().filter_map(|name| name.found.as_mut()).filter(|what| what.name.is_none()) {
        what.name = end.map(|end| format!("*.{}", end.to_lowercase()));
    }
    Some(names)
}

/// Names in the current directory: those of another one are looked for here too, by whoever takes them.
fn list(words: &[Argument]) -> Option<Vec<Argument>> {
    if options(words).any(|option| option.starts_with("--") || option.contains(['l', 'R', 'm', 'Q', 'b', 's', 'i', 'x', 'C', 'F', 'p'])) {
        return None;
    }
    let mut names: Vec<Argument> = words.iter().filter(|word| !word.text.starts_with('-')).cloned().collect();
    names.push(if options(words).any(|option| option.contains(['a', 'A', 'f'])) {
        Argument::plain("./{}").with_hole_at("{}")
    } else {
        Argument { text: "*".to_owned(), glob: Some(0), ..Argument::default() }
    });
    Some(names)
}

/// Words that are printed as they are.
fn texts(words: &[Argument]) -> Option<Vec<Argument>> {
    let is_format = |word: &&Argument| !matches!(word.text.as_str(), "-n" | "%s\\n" | "%s\\0" | "%s ");
    let mut names = Vec::new();
    for word in words.iter().filter(is_format) {
        let known = if word.glob.is_some() && word.holes.is_empty() { vec![word.clone()] } else { names_in(word.literal()?) };
        if known.is_empty() {
            return None;
        }
        names.extend(known);
    }
    Some(names)
}

/// `tr '\n' '\0'` and the other way round.
fn is_line_ends(words: &[Argument]) -> bool {
    let texts: Vec<&str> = words.iter().filter_map(Argument::literal).collect();
    words.len() == 2 && texts.iter().all(|text| matches!(*text, "\\n" | "\\0" | "\\000" | " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Argument> {
        line.split(' ').map(Argument::plain).collect()
    }

    fn printed(line: &str) -> String {
        let mut names = Vec::new();
        for command in line.split(" | ") {
            names = printed_names(&words(command), &names);
        }
        let text = |name: &Argument| match &name.found {
            Some(found) => {
                let flags = [(found.hidden, "hidden"), (found.ignored, "ignored")].into_iter().filter(|(is, _)| *is);
                let flags: Vec<&str> = flags.map(|(_, name)| name).collect();
                format!("{}:{}:{}", name.text, found.name.clone().unwrap_or_default(), flags.join("+"))
            }
            None => name.text.clone(),
        };
        names.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_that_are_printed_are_known_or_not() {
        for (line, expected) in [
            ("find . -name *.txt", "./{}:*.txt:hidden+ignored"),
            ("find a b -type f", "a/{}::hidden+ignored b/{}::hidden+ignored"),
            ("find . -name x -o -name y", "./{}::hidden+ignored"),
            ("find . ! -name x", "./{}::hidden+ignored"),
            ("find -L . -name x", ""),
            ("find . -printf /etc/%f", ""),
            ("git ls-files *.rs", "./{}:*.rs:"),
            ("git ls-files", "./{}::"),
            ("git ls-files -o", "./{}::hidden+ignored"),
            ("git ls-files ../x", ""),
            ("git status --porcelain", ""),
            ("git diff --name-only main | grep \\.rs$ | head -n 3 | sort -u", "./{}:*.rs:"),
            ("git diff --name-only main | grep -v \\.rs$", "./{}::"),
            ("rg -l foo", "./{}::"),
            ("rg -lu foo", "./{}::hidden+ignored"),
            ("rg foo", ""),
            ("grep -rl foo .", "./{}::hidden+ignored"),
            ("grep -rl foo /etc", ""),
            ("fd x", "./{}::"),
            ("fd x /etc", ""),
            ("ls", "*"),
            ("ls -1 sub", "sub *"),
            ("ls -a", "./{}"),
            ("ls -l", ""),
            ("echo a /etc/x", "a /etc/x"),
            ("echo 'a'", ""),
            ("echo a | sed s/a/b/", ""),
            ("cat list", ""),
            ("find . | cat list", ""),
        ] {
            assert_eq!(printed(line), expected, "{line}");
        }
    }
}
