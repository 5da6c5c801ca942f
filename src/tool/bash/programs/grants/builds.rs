//! Programs that build and test: with which of their options "always" grants more than what was shown.

use std::{collections::HashMap, sync::LazyLock};

use super::super::{
    effects::program_name,
    table::{self, Trait},
    word::Argument,
};

/// Options, and whether each takes a value.
type Options = HashMap<&'static str, bool>;

/// The rows of `tables/builds.txt`; the words of their names are joined by blanks.
static BUILDS: LazyLock<HashMap<String, Options>> = LazyLock::new(|| {
    let mut builds = HashMap::new();
    let mut row: (Vec<String>, Options) = Default::default();
    let text = include_str!("../tables/builds.txt").lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    for line in text.chain([":"]) {
        let options = match line.split_once(" :").or_else(|| line.split_once(':').filter(|_| line == ":")) {
            Some((names, options)) => {
                let (names_before, options_before) = std::mem::take(&mut row);
                builds.extend(names_before.into_iter().map(|name| (name, options_before.clone())));
                row.0 = names.split_whitespace().map(|name| name.replace('@', " ")).collect();
                options
            }
            None => line,
        };
        row.1.extend(options.split_whitespace().map(|word| word.strip_suffix('=').map_or((word, false), |name| (name, true))));
    }
    builds
});

/// Whether the program builds or tests, by the words that identify it.
pub(super) fn is_known(name: &str) -> bool {
    BUILDS.contains_key(name)
}

/// Whether the command has only options with which it does no more than build and test.
pub(super) fn is_plain(name: &str, words: &[Argument]) -> bool {
    let Some(options) = BUILDS.get(name) else { return false };
    let program = words.first().map_or("", |first| program_name(&first.text));
    let is_python = program.starts_with("python");
    let takes_words = program == "go" || table::find(program).is_some_and(|program| program.is(Trait::WordOptions));
    words.iter().skip(if is_python { 3 } else { 1 }).all(|word| {
        let text = word.text.as_str();
        if !text.starts_with('-') || text == "-" {
            // A file of further words, or what only running would tell.
            return !text.starts_with('@') && !word.may_be_hidden_option();
        }
        if text == "--" {
            return true;
        }
        let known = word.known();
        let name = known.split('=').next().unwrap_or_default();
        let name = if program == "go" && name.starts_with("--") { &name[1..] } else { name };
        let has_value = known.contains('=');
        if !word.is_literal() && !has_value {
            return false;
        }
        match options.get(name) {
            Some(takes) => *takes || !has_value || program == "go",
            None => !text.starts_with("--") && !takes_words && word.is_literal() && are_letters(text, options),
        }
    })
}

/// Whether the word is several options of one letter, the last of which may have its value in it.
fn are_letters(text: &str, options: &Options) -> bool {
    for letter in text.chars().skip(1) {
        match options.get(format!("-{letter}").as_str()) {
            Some(true) => return true,
            Some(false) => {}
            None => return false,
        }
    }
    true
}
