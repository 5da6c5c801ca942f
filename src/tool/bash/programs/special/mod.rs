//! Programs whose words no line of a table can describe.

mod tar;

use super::{
    effects::Inner,
    inner::shell_text,
    listing::names_in,
    place::{Access, path_uses},
    walk::Walk,
    word::Argument,
};

/// Architectures that `setarch` takes before the command.
const ARCHITECTURES: &[&str] = &[
    "x86_64", "i386", "i486", "i586", "i686", "linux32", "linux64", "uname26", "arm", "armv7l", "armv8l", "aarch64", "ppc", "ppc64",
    "s390", "s390x", "mips",
];

pub(super) fn apply(name: &str, walk: &mut Walk<'_, '_>) {
    let operands: Vec<usize> = walk.operands.iter().map(|(at, _)| *at).collect();
    let text = |at: usize| walk.words[at].text.as_str();
    match name {
        "tar" => tar::tar(walk),
        "dd" => disk_dump(walk),
        "sqlite" => sqlite(walk, &operands),
        "git-config" => git_config(walk, &operands),
        "setarch" => {
            let skip = operands.first().is_some_and(|at| ARCHITECTURES.contains(&text(*at)));
            command(walk, operands.get(usize::from(skip)).copied());
            if operands.len() <= usize::from(skip) && !walk.has(super::table::Mode::Query) {
                walk.starts_shell();
            }
        }
        "runcon" => {
            let skip = operands.first().is_some_and(|at| text(*at).contains(':'));
            command(walk, operands.get(usize::from(skip)).copied());
        }
        // `sg group command`, `sg group -c 'command'`; the command is one word for a shell.
        "sg" if walk.words.len() <= 2 => walk.starts_shell(),
        "sg" => script_behind(walk, 2, &["-c"]),
        "capsh" => match walk.words.iter().position(|word| matches!(word.text.as_str(), "--" | "==" | "-+" | "=+")) {
            Some(at) => {
                let shell = [&[Argument::plain("bash")], walk.words.get(at + 1..).unwrap_or_default()].concat();
                walk.effects.inner.push(Inner::Words { words: shell, more: walk.given.more });
            }
            None => walk.effects.is_unclear |= walk.words.iter().any(|word| !word.is_literal() || word.text.starts_with("--shell")),
        },
        "flock" => {
            let is_text = operands.get(1).is_some_and(|at| matches!(text(*at), "-c" | "--command"));
            if let Some(file) = operands.first() {
                walk.file(&walk.words[*file].clone(), Access::Write);
            }
            if is_text {
                script_behind(walk, operands[1] + 1, &[]);
            } else {
                command(walk, operands.get(1).copied());
            }
        }
        "typescript" => {
            match operands.first() {
                Some(at) => walk.write(&walk.words[*at].clone()),
                None => walk.write(&Argument::plain("typescript")),
            }
            if walk.effects.inner.is_empty() && !walk.effects.is_unclear {
                walk.starts_shell();
            }
        }
        "debugger" => {
            if walk.words.iter().any(|word| matches!(word.text.as_str(), "--args" | "-args" | "exec" | "record" | "--")) {
                walk.notes.is_exact = true;
                let from = operands.first().copied().filter(|at| !matches!(text(*at), "exec" | "record")).or(operands.get(1).copied());
                command(walk, from);
            }
            // What it is told by its input is not in the line.
            walk.guess(1);
        }
        "ip" => ip(walk, &operands),
        "parallel" => parallel(walk, &operands),
        _ => walk.guess(1),
    }
}

/// The command that begins at this word.
pub(super) fn command(walk: &mut Walk<'_, '_>, at: Option<usize>) {
    let adds = walk.program.is(super::table::Trait::CommandAndMore);
    let mut more = walk.given.more || adds;
    let Some(at) = at.filter(|at| *at < walk.words.len()) else {
        walk.effects.is_unclear |= walk.given.more;
        return;
    };
    let at = at + usize::from(walk.words[at].text == "--");
    let mut words = walk.words.get(at..).unwrap_or_default().to_vec();
    if adds {
        walk.effects.found_in = given_names(walk, at);
        walk.effects.place = walk.effects.place.with_mark("{}");
    }
    if adds && let Some(mark) = replacement(&walk.words[..at]) {
        words = words.into_iter().map(|word| word.with_hole_at(&mark)).collect();
        walk.effects.place = walk.effects.place.with_mark(&mark);
        more = walk.given.more;
    }
    walk.effects.inner.push(Inner::Words { words, more });
}

/// The names that `xargs` is given, if they are known.
fn given_names(walk: &Walk<'_, '_>, at: usize) -> Vec<Argument> {
    if !takes_names(&walk.words[1..at]) {
        return Vec::new();
    }
    match walk.given.input {
        Some(text) => names_in(text),
        None => walk.given.place.found().to_vec(),
    }
}

/// Whether the names are those of the standard input, apart as usual.
fn takes_names(options: &[Argument]) -> bool {
    const OPTIONS: &[&str] = &["--", "--exit", "--max-args", "--max-lines", "--max-procs", "--no-run-if-empty", "--null", "--verbose"];
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let Some(text) = option.literal() else { return false };
        let letters = text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_start_matches('-');
        match mark(text) {
            Some("") => drop(options.next()),
            Some(_) => {}
            None if OPTIONS.contains(&text.split('=').next().unwrap_or_default()) => {}
            None if !text.starts_with("--") && letters.chars().all(|letter| "0rtxnPL".contains(letter)) => {}
            None => return false,
        }
    }
    true
}

/// What an option of `xargs` says is to be replaced by a line; empty where that is the next word.
fn mark(option: &str) -> Option<&str> {
    let (name, value) = option.split_once('=').unwrap_or((option, "{}"));
    if name.len() > 2 && "--replace".starts_with(name) {
        return Some(value);
    }
    let letters = option.strip_prefix('-')?.trim_start_matches(['0', 'o', 'p', 'r', 't', 'x']);
    let is_given = letters.strip_prefix(['I', 'J']);
    is_given.or_else(|| letters.strip_prefix('i').map(|given| if given.is_empty() { "{}" } else { given }))
}

/// What `xargs` replaces by a line, if it does.
fn replacement(options: &[Argument]) -> Option<String> {
    options.iter().enumerate().find_map(|(at, option)| match mark(&option.text)? {
        "" => options.get(at + 1).map(|next| next.text.clone()),
        mark => Some(mark.to_owned()),
    })
}

/// A shell's text that begins at this word or behind an option there.
fn script_behind(walk: &mut Walk<'_, '_>, from: usize, options: &[&str]) {
    let skip = walk.words.get(from).is_some_and(|word| options.contains(&word.text.as_str()));
    let words = walk.words.get(from + usize::from(skip)..).unwrap_or_default();
    walk.notes.is_exact = true;
    walk.effects.inner.extend(shell_text(words, walk.given.more, &mut walk.effects.is_unclear));
}

fn disk_dump(walk: &mut Walk<'_, '_>) {
    for word in &walk.words[1..] {
        let Some(equals) = word.known().find('=') else {
            walk.effects.is_unclear |= !word.is_literal();
            continue;
        };
        let value = word.behind(equals + 1);
        match &word.text[..equals] {
            "of" => walk.file(&value, Access::Destroy),
            "if" => walk.file(&value, Access::Read),
            _ => {}
        }
        walk.effects.is_unclear |= word.may_bring_words();
    }
}

/// A database, and commands of which those that begin with a dot read, write and run.
fn sqlite(walk: &mut Walk<'_, '_>, operands: &[usize]) {
    let words = walk.words;
    if let Some(database) = operands.first() {
        walk.file(&words[*database], Access::Unsure);
    }
    for at in operands.iter().skip(1) {
        walk.statements(&words[*at]);
    }
    if operands.len() < 2 {
        let input = walk.given.input.map(Argument::plain);
        walk.runs_input();
        if let Some(input) = input {
            walk.statements(&input);
        }
    }
}

/// Settings of a repository or of the user: by some of them git runs a program.
fn git_config(walk: &mut Walk<'_, '_>, operands: &[usize]) {
    let is_query = walk.has(super::table::Mode::Query);
    let words: Vec<&Argument> = operands.iter().map(|at| &walk.words[*at]).collect();
    let words = match words.first().map(|word| word.text.as_str()) {
        Some("set" | "unset" | "rename-section" | "remove-section" | "edit") => &words[1..],
        _ => words.as_slice(),
    };
    let removes = walk.words.iter().any(|word| word.text.starts_with("--unset") || word.text.starts_with("--re"));
    let changes = words.len() > 1 || words.len() < operands.len() || removes;
    if let Some(file) = walk.config.clone().filter(|_| changes && !is_query) {
        walk.write(&file);
    }
    // One word is a question.
    if is_query || words.len() < 2 {
        return;
    }
    let kind = super::table::Kind::GitSetting;
    walk.effects.is_unclear |= !super::languages::is_harmless_setting(kind, words[0]) || words[1].text.starts_with('!');
}

/// `ip netns exec NAME COMMAND`, and what is short for it; everything else of it names no program and no file.
fn ip(walk: &mut Walk<'_, '_>, operands: &[usize]) {
    let begins = |index: usize, name: &str| {
        let word = operands.get(index).map(|at| walk.words[*at].text.as_str());
        word.is_some_and(|word| !word.is_empty() && name.starts_with(word))
    };
    if begins(0, "netns") || begins(0, "vrf") {
        walk.effects.is_unclear |= walk.given.more || walk.words.iter().any(|word| !word.is_literal());
        if begins(1, "exec") {
            walk.notes.is_exact = true;
            command(walk, operands.get(3).copied());
        }
    }
}

/// The words before `:::` are a shell's text, if nothing in them is replaced.
fn parallel(walk: &mut Walk<'_, '_>, operands: &[usize]) {
    let Some(from) = operands.first().copied().filter(|at| *at == 1) else { return walk.guess(1) };
    let words: Vec<Argument> = walk.words[from..].iter().take_while(|word| !word.text.starts_with(":::")).cloned().collect();
    let is_plain = words.first().is_some_and(|first| first.is_literal() && !first.text.contains('{'));
    if !is_plain {
        return walk.guess(1);
    }
    walk.notes.is_exact = true;
    for file in walk.words.iter().filter(|word| word.text.starts_with('/')) {
        walk.effects.paths.extend(path_uses(file, &walk.place, Access::Unsure));
    }
    let is_word = |word: &Argument| {
        word.is_literal() && !word.text.is_empty() && word.text.chars().all(|c| c.is_alphanumeric() || "_-./=,+:@%{}".contains(c))
    };
    if !words.iter().all(is_word) {
        walk.effects.inner.extend(shell_text(&words, walk.given.more, &mut walk.effects.is_unclear));
        return;
    }
    // Each of what stands behind `:::`, or of the lines that it reads, is added or replaces `{}`.
    let behind = &walk.words[from + words.len()..];
    walk.effects.found_in = match behind.first() {
        None if !walk.words[..from].iter().any(|word| word.text.starts_with("-a") || word.text.starts_with("--arg")) => {
            walk.given.place.found().to_vec()
        }
        Some(_) if behind.iter().all(|word| !word.text.starts_with("::::")) => {
            behind.iter().filter(|word| !word.text.starts_with(":::")).cloned().collect()
        }
        _ => Vec::new(),
    };
    let more = walk.given.more || !words.iter().any(|word| word.text.contains("{}"));
    let words = words.into_iter().map(|word| word.with_hole_at("{}")).collect();
    walk.effects.inner.push(Inner::Words { words, more });
}
