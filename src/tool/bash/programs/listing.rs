//! Which file names a command prints, for the next one of a pipeline that takes them as its arguments.

use super::{
    effects::program_name,
    find,
    selection::Selection,
    word::{Argument, Extent, Found},
};

/// What the command prints, as arguments: files, and what is below directories. Nothing where that is not known. `before` is
/// what it is given by the pipeline.
pub(in crate::tool) fn printed_names(words: &[Argument], before: &[Argument]) -> Vec<Argument> {
    let Some(name) = words.first().and_then(Argument::literal) else { return Vec::new() };
    let rest = &words[1..];
    let names = match program_name(name) {
        "find" | "gfind" => find::printed(words),
        "git" => git(rest),
        "rg" => search(rest, &["l", "--files-with-matches", "--files"]).map(|is_all| {
            let chosen = Selection::of_ripgrep(rest).chosen(is_all);
            let place = |directory: &Option<String>| Argument::plain(directory.as_deref().unwrap_or("."));
            let names: Vec<Argument> = chosen.into_iter().map(|chosen| place(&chosen.directory).below(chosen.found)).collect();
            if names.is_empty() { vec![here(is_all, is_all)] } else { names }
        }),
        "fd" | "fdfind" => search(rest, &[""]).map(|is_all| vec![here(is_all, is_all)]),
        "grep" => grep(rest, before),
        "ls" => list(rest),
        printer @ ("echo" | "printf") => texts(printer, rest),
        filter @ ("sort" | "uniq" | "head" | "tail" | "tac" | "cat") if keeps_lines(filter, rest) => Some(before.to_vec()),
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
    Argument::plain(".").below(Found { hidden, ignored, ..Found::default() })
}

fn options(words: &[Argument]) -> impl Iterator<Item = &str> {
    words.iter().map(|word| word.text.as_str()).take_while(|text| *text != "--").filter(|text| text.starts_with('-'))
}

/// Whether an option is one of these letters, or several of them.
fn is_cluster(option: &str, letters: &str) -> bool {
    option.strip_prefix('-').is_some_and(|cluster| !cluster.is_empty() && cluster.chars().all(|letter| letters.contains(letter)))
}

/// Whether the filter prints whole lines of its input as they are.
fn keeps_lines(name: &str, words: &[Argument]) -> bool {
    let is_count = |text: &str| text.trim_start_matches(['+', '-']).parse::<u32>().is_ok();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.literal() else { return false };
        let is_known = match (name, text) {
            ("head" | "tail", "-n") => words.next().and_then(Argument::literal).is_some_and(is_count),
            ("head" | "tail", _) => ["-n", "--lines=", "-"].iter().any(|option| text.strip_prefix(option).is_some_and(is_count)),
            ("sort", "-k" | "-t") => words.next().is_some(),
            ("sort", _) => text.starts_with("-k") || text.starts_with("-t") || is_cluster(text, "bdfghinRruVz"),
            ("uniq", _) => is_cluster(text, "diuz"),
            _ => false,
        };
        if !is_known {
            return false;
        }
    }
    true
}

/// Whether the path may lead out of the current directory, or is not known.
fn may_leave(word: &Argument) -> bool {
    !word.holes.is_empty() || word.tilde || word.text.starts_with('/') || word.text.split('/').any(|part| part == "..")
}

/// Names of what git tracks, below the current directory.
fn git(words: &[Argument]) -> Option<Vec<Argument>> {
    const LETTERS: &str = "ceiEFGIlmoPrwz";
    const OPTIONS: &[&str] = &[
        "--cached",
        "--deleted",
        "--exclude-standard",
        "--files-with-matches",
        "--modified",
        "--name-only",
        "--no-commit-id",
        "--no-renames",
        "--others",
        "--staged",
        "--untracked",
    ];
    let has = |option: &str| words.iter().any(|word| word.text == option);
    let lists = match words.first()?.literal()? {
        "ls-files" => true,
        "diff" => has("--name-only"),
        // They print more than names.
        "show" | "log" => has("--name-only") && (has("--format=") || has("--pretty=") || has("--pretty=format:")),
        "diff-tree" => has("--name-only") && has("--no-commit-id"),
        "grep" => has("-l") || has("--name-only") || has("--files-with-matches"),
        _ => false,
    };
    let is_known = |option: &str| {
        OPTIONS.contains(&option)
            || matches!(option, "--format=" | "--pretty=" | "--pretty=format:")
            || option.starts_with("--diff-filter=")
            || is_cluster(option, LETTERS)
            || option[1..].parse::<u32>().is_ok()
    };
    let leaves = words.iter().any(may_leave) || !options(words).all(is_known);
    let pattern = match words {
        [command, pattern] if command.text == "ls-files" => {
            pattern.literal().filter(|pattern| pattern.starts_with('*') && !pattern.contains('/')).map(str::to_lowercase)
        }
        _ => None,
    };
    // What git tracks may be ignored as well, and need not be there.
    let is_other = has("-o") || has("--others");
    let there = Found { name: pattern, hidden: is_other, ignored: is_other, ..Found::default() };
    let tracked = Found { hidden: true, ignored: true, tracked: Some(Extent::All), ..there.clone() };
    (lists && !leaves).then(|| [there, tracked].map(|what| Argument::plain(".").below(what)).into())
}

/// For programs that search what git does not ignore, when one of the options makes them print names; whether they are told
/// to search everything.
fn search(words: &[Argument], wanted: &[&str]) -> Option<bool> {
    const LETTERS: &str = "0.aFHIilpPsSUuvw";
    const VALUED: &[&str] = &["-d", "-e", "-E", "-g", "-t", "-T"];
    const OPTIONS: &[&str] = &[
        "--exclude",
        "--extension",
        "--files",
        "--files-with-matches",
        "--fixed-strings",
        "--glob",
        "--hidden",
        "--iglob",
        "--ignore-case",
        "--max-depth",
        "--no-ignore",
        "--null",
        "--print0",
        "--smart-case",
        "--sort",
        "--type",
        "--type-not",
        "--unrestricted",
        "--word-regexp",
    ];
    let lists = wanted.contains(&"")
        || options(words).any(|option| wanted.contains(&option) || (!option.starts_with("--") && option.contains('l')));
    let is_known = |option: &str| {
        is_cluster(option, LETTERS)
            || VALUED.iter().any(|valued| option.starts_with(valued))
            || OPTIONS.contains(&option.split('=').next().unwrap_or_default())
    };
    // The long form of the list that `fd` prints has other words in it.
    let is_long = wanted.contains(&"") && options(words).any(|option| option.contains('l') && !option.starts_with("--"));
    let is_other = is_long || !options(words).all(is_known) || words.iter().any(may_leave);
    let is_ignored = options(words).any(|option| {
        ["--no-ignore", "--hidden", "--unrestricted"].contains(&option)
            || (!option.starts_with("--") && option.contains(['u', 'I', 'H', '.']))
    });
    (lists && !is_other).then_some(is_ignored)
}

/// With `-l` names of files; of what it is given without files of its own, lines as they are.
fn grep(words: &[Argument], before: &[Argument]) -> Option<Vec<Argument>> {
    const LETTERS: &str = "aEFGhiPsUvwxy";
    let cluster = |letters: &[char]| options(words).any(|option| !option.starts_with("--") && option.contains(letters));
    let operands: Vec<&Argument> = words.iter().filter(|word| !word.text.starts_with('-')).collect();
    if cluster(&['l', 'L']) || options(words).any(|option| option.starts_with("--files-with")) {
        let is_known = |option: &str| {
            is_cluster(option, "aEeFGHhIiLlPrsUvwxyZz")
                || ["--color", "--exclude", "--exclude-dir", "--files-with-matches", "--files-without-match", "--include", "--null"]
                    .contains(&option.split('=').next().unwrap_or_default())
        };
        let leaves = words.iter().any(may_leave) || !options(words).all(is_known);
        return (!leaves).then(|| vec![here(true, true)]);
    }
    let keeps = words.iter().filter(|word| word.text.starts_with('-')).all(|word| is_cluster(&word.text, LETTERS));
    let mut names = (operands.len() <= 1 && keeps).then(|| before.to_vec())?;
    // `\.rs$` leaves names that end so.
    let end = operands.first().and_then(|pattern| pattern.literal()).and_then(|pattern| pattern.strip_prefix("\\.")?.strip_suffix('$'));
    let end = end.filter(|end| options(words).next().is_none() && end.chars().all(char::is_alphanumeric));
    for what in names.iter_mut().filter_map(|name| name.found.as_mut()).filter(|what| what.name.is_none()) {
        what.name = end.map(|end| format!("*.{}", end.to_lowercase()));
    }
    Some(names)
}

/// Names in the current directory: those of another one are looked for here too, by the program that takes them.
fn list(words: &[Argument]) -> Option<Vec<Argument>> {
    if options(words).any(|option| option.starts_with("--") || option.contains(['l', 'R', 'm', 'Q', 'b', 's', 'i', 'x', 'C', 'F', 'p'])) {
        return None;
    }
    let mut names: Vec<Argument> = words.iter().filter(|word| !word.text.starts_with('-')).cloned().collect();
    names.push(if options(words).any(|option| option.contains(['a', 'A', 'f'])) {
        here(true, true)
    } else {
        Argument { text: "*".to_owned(), glob: Some(0), ..Argument::default() }
    });
    Some(names)
}

/// Words that `echo` or `printf` prints as they are, each apart from the others.
fn texts(name: &str, words: &[Argument]) -> Option<Vec<Argument>> {
    let words = match words.first().map(|word| word.text.as_str()) {
        Some("-n") if name == "echo" => &words[1..],
        Some("%s\\n" | "%s\\0" | "%s ") if name == "printf" => &words[1..],
        // A format puts together what stands behind it.
        Some(format) if name == "printf" && format.contains('%') => return None,
        _ => words,
    };
    let mut names = Vec::new();
    for word in words {
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
            ("find . -name x -o -name y", "./{}:{x,y}:hidden+ignored"),
            ("find . ( -name x -o -iname Y* ) -type f", "./{}:{x,y*}:hidden+ignored"),
            ("find . -name x -o -type f", "./{}::hidden+ignored"),
            ("find . ! ( -name x -o -name y )", "./{}::hidden+ignored"),
            ("find . -print -name x", "./{}::hidden+ignored"),
            ("find . ! -name x", "./{}::hidden+ignored"),
            ("find -L . -name x", ""),
            ("find . -printf /etc/%f", ""),
            ("git ls-files *.rs", "./{}:*.rs: ./{}:*.rs:hidden+ignored"),
            ("git ls-files", "./{}:: ./{}::hidden+ignored"),
            ("git ls-files -o", "./{}::hidden+ignored ./{}::hidden+ignored"),
            ("git ls-files ../x", ""),
            ("git status --porcelain", ""),
            ("git ls-files --format=/etc/x", ""),
            ("git show --name-only", ""),
            ("git log --name-only --format=/etc/x", ""),
            ("git log -3 --name-only --format=", "./{}:: ./{}::hidden+ignored"),
            ("git diff --name-only --line-prefix=/etc/", ""),
            ("git diff --name-only main | grep \\.rs$ | head -n 3 | sort -u", "./{}:*.rs: ./{}:*.rs:hidden+ignored"),
            ("git diff --name-only main | grep -v \\.rs$", "./{}:: ./{}::hidden+ignored"),
            ("rg -l foo", "./{}::"),
            ("rg -lu foo", "./{}::hidden+ignored"),
            ("rg foo", ""),
            ("grep -rl foo .", "./{}::hidden+ignored"),
            ("grep -rl foo /etc", ""),
            ("fd x", "./{}::"),
            ("fd x /etc", ""),
            ("ls", "*"),
            ("ls -1 sub", "sub *"),
            ("ls -a", "./{}::hidden+ignored"),
            ("ls -l", ""),
            ("echo a /etc/x", "a /etc/x"),
            ("echo 'a'", ""),
            ("echo a | sed s/a/b/", ""),
            ("cat list", ""),
            ("find . | cat list", ""),
            ("echo a | head -n 3 | sort -rn -k 2 | uniq | tail -1 | tac", "a"),
            ("echo .envelope | head -c 4", ""),
            ("echo a | sort -n list", ""),
            ("echo a | sort --files0-from=list", ""),
            ("echo a | uniq -c list", ""),
            ("echo a | cat -n list", ""),
            ("echo a | grep -vi x", "a"),
            ("echo a | grep -e. list", ""),
            ("echo a | grep -- x list", ""),
            ("grep -l --label=/etc/x y", ""),
            ("rg -lL foo", ""),
            ("rg -l -tswift foo", "./{}:{*.swift}:hidden"),
            ("rg --files -g .env", "./{}:.env:hidden+ignored"),
            ("rg -l --glob=src/** foo", "src/{}::hidden+ignored"),
            ("rg -l -g !x foo", "./{}::"),
            ("rg -lg .env foo", ""),
            ("fd --search-path=/etc x", ""),
            ("fd -Hl x", ""),
            ("printf .e%s nv", ""),
            ("printf %s .e nv", ""),
            ("printf %s\\n a b", "a b"),
            ("echo -n a", "a"),
            ("find . -name .e[[:alpha:]]v", "./{}::hidden+ignored"),
        ] {
            assert_eq!(printed(line), expected, "{line}");
        }
    }
}
