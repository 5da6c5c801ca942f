//! Shells: what they read as a script, from their words or from their input.

use super::{
    effects::{Dialect, Effects, Given, Inner},
    inner::{guesses, script},
    place::{Access, path_uses},
    word::Argument,
};

const BASH: &[&str] = &["bash", "rbash"];
/// Shells of which only the POSIX language is known here.
const POSIX: &[&str] = &["sh", "dash", "ash"];
/// Shells with words of their own.
const OTHER: &[&str] = &["zsh", "ksh", "ksh93", "mksh", "oksh", "yash", "fish", "csh", "tcsh", "pwsh", "nu", "elvish", "xonsh", "posh"];

/// The language of a shell of this name.
pub(super) fn shell(name: &str) -> Option<Dialect> {
    [(BASH, Dialect::Bash), (POSIX, Dialect::Posix), (OTHER, Dialect::Other)]
        .into_iter()
        .find(|(names, _)| names.contains(&name))
        .map(|(_, dialect)| dialect)
}

/// What a shell runs.
pub(super) fn run(words: &[Argument], dialect: Dialect, given: Given<'_>, effects: &mut Effects) {
    let mut guess = |at: usize| {
        effects.inner.extend(guesses(&words[at..]));
        effects.is_unclear = true;
    };
    let mut at = 1;
    let mut takes_command = false;
    while let Some(word) = words.get(at) {
        let Some(text) = word.literal() else { return guess(at) };
        match text {
            "--" | "-" => {
                at += 1;
                break;
            }
            "--version" | "--help" => return,
            "--login" | "--norc" | "--noprofile" | "--posix" | "--verbose" => at += 1,
            _ if text.starts_with("--") => return guess(at),
            _ if text.starts_with(['-', '+']) => {
                let cluster = &text[1..];
                if cluster.contains(['s', 'i', 'O', 'D']) {
                    return guess(at);
                }
                // bash takes `+c` for `-c`.
                takes_command |= cluster.contains('c');
                at += 1 + cluster.matches('o').count();
            }
            _ => break,
        }
    }
    let Some(operand) = words.get(at) else {
        if let Some(text) = given.input.filter(|_| !takes_command && !given.more) {
            effects.inner.push(Inner::Script { text: text.to_owned(), dialect });
        }
        effects.is_unclear = true;
        return;
    };
    if takes_command {
        effects.inner.extend(script(std::slice::from_ref(operand), dialect, false, &mut effects.is_unclear));
        effects.is_plain = true;
        return;
    }
    if operand.literal().is_some_and(|file| !file.starts_with("/dev/") && !file.starts_with("/proc/")) {
        effects.paths.extend(path_uses(operand, given.place, Access::Read));
    } else {
        guess(at);
    }
}

/// What a builtin of bash runs.
pub(super) fn builtin(name: &str, words: &[Argument], given: Given<'_>, effects: &mut Effects) {
    let from = if words.get(1).is_some_and(|word| word.text == "--") { 2 } else { 1 };
    let rest = words.get(from..).unwrap_or_default();
    let begins = |mark: &str| words.iter().any(|word| word.text.starts_with(mark));
    match name {
        "eval" => {
            effects.inner.extend(script(rest, Dialect::Bash, given.more, &mut effects.is_unclear));
            effects.is_plain = true;
        }
        "trap" => match rest.first() {
            Some(action) if !matches!(action.text.as_str(), "-" | "" | "-p" | "-l") => {
                effects.inner.extend(script(std::slice::from_ref(action), Dialect::Bash, false, &mut effects.is_unclear));
            }
            _ => {}
        },
        "hash" => effects.is_unclear |= begins("-p"),
        _ if begins("-x") => {
            effects.inner.extend(guesses(rest));
            effects.is_unclear = true;
        }
        _ => {}
    }
}
