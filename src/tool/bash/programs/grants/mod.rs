//! What "always" grants for a command: what was shown, and nothing that does more. Commands that only look are granted with
//! any arguments and everywhere; all others are granted as they stand and in their directory, and a script with its content.

mod builds;

use std::{collections::HashSet, sync::LazyLock};

use super::{
    effects::{Given, program_name},
    identity::Identity,
    place::{Access, Bound, path_uses},
    shells,
    walk::Notes,
    word::{Argument, spelled},
};
use crate::permission::Pattern;

/// What they do lasts for the rest of the line and longer, or cannot be seen.
const NEVER: &[&str] =
    &["export", "declare", "typeset", "local", "readonly", "alias", "source", ".", "enable", "shopt", "set", "unset", "trap", "eval"];

/// Directories of programs that only the administrator changes.
const SYSTEM: &[&str] = &["/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/", "/usr/local/sbin/", "/opt/homebrew/bin/"];

/// What a grant of a command may cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// All of its arguments, everywhere.
    Looks,
    /// All of its arguments in the directory.
    Builds,
    /// Only what was shown, though its options would let a grant for more cover it.
    Exactly,
    /// Only what was shown.
    Shown,
}

/// The commands of `tables/grants.txt`, their words joined by blanks.
static LOOKS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let lines = include_str!("../tables/grants.txt").lines().filter_map(|line| line.strip_prefix("looks:"));
    lines.flat_map(str::split_whitespace).map(|name| name.replace('@', " ")).collect()
});

/// A grant.
#[derive(Debug, Default)]
pub(super) struct Grant {
    /// The pattern that grants the command from now on; nothing where no pattern would be right.
    pub pattern: Option<String>,
    /// Where it holds; everywhere without it.
    pub bound: Option<Bound>,
}

/// What "always" grants.
pub(super) fn always(words: &[Argument], identity: &Identity, notes: &Notes, given: Given<'_>, runs_files: bool) -> Grant {
    let Some(first) = words.first() else { return Grant::default() };
    let name = program_name(&first.text);
    let is_own_file =
        first.text.contains('/') && (first.text.contains("/../") || !SYSTEM.iter().any(|place| first.text.starts_with(place)));
    let program = match (is_own_file, script(name, words, notes)) {
        (_, Some(script)) => Some(script),
        (true, None) => Some(first),
        (false, None) => None,
    };
    let reach = if program.is_some() { Reach::Shown } else { reach(name, words, identity) };
    let runs_files = runs_files || program.is_some();
    let file = program.and_then(|program| path_uses(program, given.place, Access::Read).pop());
    let bound = Bound { is_exact: reach == Reach::Exactly, ..Bound::new(given.place, file, runs_files) };
    let bound = (reach != Reach::Looks).then_some(bound);
    let is_never = NEVER.contains(&name) || notes.is_never;
    let pattern = if is_never { None } else { pattern(words, identity, notes, given, reach) };
    Grant { pattern, bound }
}

fn pattern(words: &[Argument], identity: &Identity, notes: &Notes, given: Given<'_>, reach: Reach) -> Option<String> {
    let is_special = |word: &Argument| {
        !word.is_literal() || word.text.is_empty() || word.text.contains(['*', '?']) || word.text.contains(char::is_whitespace)
    };
    let prefix = |end: usize| {
        let words = words.get(..end).filter(|words| !words.iter().any(is_special))?;
        Some(format!("{} *", spelled(words)))
    };
    // Words that are added when it runs were not shown.
    let exact = || (!given.more).then(|| Pattern::literal(&spelled(words)));
    let is_module = words.get(1).is_some_and(|word| word.text == "-m");
    let has_option = !is_module && words[1..=identity.last()].iter().any(|word| word.text.starts_with('-'));
    let is_known = !(notes.is_exact || identity.is_short() || (has_option && !identity.knows_options()));
    if is_known && matches!(reach, Reach::Looks | Reach::Builds) { prefix(identity.last() + 1).or_else(exact) } else { exact() }
}

/// The file that a shell or an interpreter runs.
fn script<'a>(name: &str, words: &'a [Argument], notes: &'a Notes) -> Option<&'a Argument> {
    if notes.script.is_some() {
        return notes.script.as_ref();
    }
    shells::shell(name)?;
    let has_code = words[1..].iter().any(|word| word.text.starts_with(['-', '+']) && word.text.contains('c'));
    words[1..].iter().find(|word| !word.text.starts_with(['-', '+'])).filter(|_| !has_code)
}

fn reach(name: &str, words: &[Argument], identity: &Identity) -> Reach {
    let named = identity.words(words);
    let is_tests = matches!(name, "python" | "python3") && named.get(1..) == Some(&["-m", "pytest"]);
    let of = |length: usize| {
        let rest = named.get(1..length)?;
        let full = if is_tests { "pytest".to_owned() } else { [&[name], rest].concat().join(" ") };
        if builds::is_known(&full) {
            return Some(if builds::is_plain(&full, words) { Reach::Builds } else { Reach::Exactly });
        }
        LOOKS.contains(&full).then_some(Reach::Looks)
    };
    (1..=named.len().min(3)).rev().find_map(of).unwrap_or(Reach::Shown)
}
