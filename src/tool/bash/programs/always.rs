//! What "always" grants for a command: what was shown, and nothing that does more.

use super::{
    effects::{Given, program_name},
    identity::Identity,
    shells,
    walk::Notes,
    word::Argument,
};
use crate::permission::Pattern;

/// What they do lasts for the rest of the line and longer, or cannot be seen.
const NEVER: &[&str] =
    &["export", "declare", "typeset", "local", "readonly", "alias", "source", ".", "enable", "shopt", "set", "unset", "trap", "eval"];

/// The pattern that grants the command from now on; nothing where no pattern would be right.
pub(super) fn always(words: &[Argument], identity: &Identity, notes: &Notes, given: Given<'_>) -> Option<String> {
    let name = program_name(&words.first()?.text);
    if NEVER.contains(&name) || notes.is_never {
        return None;
    }
    let is_special = |word: &Argument| {
        !word.is_literal() || word.text.is_empty() || word.text.contains(['*', '?']) || word.text.contains(char::is_whitespace)
    };
    let prefix = |end: usize| {
        let words = words.get(..end).filter(|words| !words.iter().any(is_special))?;
        Some(format!("{} *", text(words)))
    };
    let exact = || Some(Pattern::literal(&text(words)));
    if shells::shell(name).is_some() {
        // `sh x.sh` and what is given to it; a text that it reads is judged by itself.
        let is_script = words.get(1).is_some_and(|word| !word.text.starts_with(['-', '+']));
        return if is_script { prefix(2) } else { exact() };
    }
    if let Some(at) = notes.script_at {
        return prefix(at + 1).or_else(exact);
    }
    if notes.is_exact {
        // Words that are added when it runs were not shown.
        return if given.more { None } else { exact() };
    }
    if let Some(at) = notes.command_at {
        return prefix(at).or_else(exact);
    }
    let is_module = words.get(1).is_some_and(|word| word.text == "-m");
    let has_option = !is_module && words[1..=identity.last()].iter().any(|word| word.text.starts_with('-'));
    if identity.is_short() || (has_option && !identity.knows_options()) {
        return exact();
    }
    prefix(identity.last() + 1).or_else(exact)
}

fn text(words: &[Argument]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}
