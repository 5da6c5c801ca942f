//! What the variables of a line may hold, where every value stands in the line itself. Values tell which paths the words
//! mean, and nothing else: what runs is never decided by one.

use std::collections::HashMap;

use super::{
    expand::Argument,
    numbers::Variables,
    syntax::{Part, Value, is_name},
};
use crate::tool::bash::programs::environment_variable;

/// A variable or a word with more values than this counts as unknown.
const MAX_VALUES: usize = 64;
/// Values that are put together from others are followed to this depth.
const MAX_DEPTH: usize = 4;
/// These stay as they are: a path that begins with one is known.
const PLACES: &[&str] = &["$HOME", "${HOME}", "$PWD", "${PWD}", "$(pwd)", "$(mktemp)", "$(mktemp -d)"];

/// The variables whose values are all known.
#[derive(Debug, Default)]
pub(super) struct Values {
    known: HashMap<String, Vec<Argument>>,
    /// Words are not split where blanks are.
    has_separator: bool,
}

impl Values {
    /// The values that a line gives its variables, in any order.
    pub(super) fn of(variables: &Variables) -> Self {
        let mut values = Self { has_separator: variables.is_set("IFS"), ..Self::default() };
        for _ in 0..MAX_DEPTH {
            let open = variables.fixed().filter(|(name, _)| !values.known.contains_key(*name));
            let found: Vec<_> = open.filter_map(|(name, assigned)| Some((name.to_owned(), values.all(assigned, variables)?))).collect();
            if found.is_empty() {
                break;
            }
            values.known.extend(found);
        }
        values
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn all(&self, assigned: &[Value], variables: &Variables) -> Option<Vec<Argument>> {
        let mut all = Vec::new();
        for value in assigned {
            let more = match value {
                Value::Number => vec![Argument::plain("0")],
                Value::Unknown => return None,
                Value::Text(parts) => match parts.as_slice() {
                    [Part::Hole(raw)] if raw.starts_with('(') => elements(raw)?,
                    parts => self.value(parts, variables)?,
                },
            };
            all.extend(more.into_iter().filter(|value| !all.contains(value)).collect::<Vec<_>>());
            if all.len() > MAX_VALUES {
                return None;
            }
        }
        Some(all)
    }

    /// What a value may be; nothing where only running would tell.
    fn value(&self, parts: &[Part], variables: &Variables) -> Option<Vec<Argument>> {
        let mut built = vec![Argument::default()];
        for part in parts {
            built = match part {
                Part::Text(text) if text.contains(['{', '`']) => return None,
                Part::Text(text) => built.into_iter().map(|before| joined(before, &of_text(text))).collect(),
                Part::Hole(raw)
                    if PLACES.contains(&raw.as_str()) || environment_variable(raw).is_some_and(|name| !variables.is_set(name)) =>
                {
                    built.into_iter().map(|before| with_hole(before, raw)).collect()
                }
                Part::Hole(raw) if is_number(raw) => built.into_iter().map(|before| joined(before, &Argument::plain("0"))).collect(),
                Part::Hole(raw) => product(&built, self.known.get(variable(raw, true)?)?)?,
            };
        }
        Some(built)
    }

    /// What a word may become, each time as the words that come out of it; nothing where no value in it is known.
    fn words(&self, argument: &Argument) -> Option<Vec<Vec<Argument>>> {
        let mut built = vec![Argument { braced: argument.braced, tilde: argument.tilde, ..Argument::default() }];
        let (mut at, mut is_followed) = (0, false);
        for hole in &argument.holes {
            built = literal(built, argument, at..hole.start.max(at));
            let raw = &argument.text[hole.clone()];
            built = match variable(raw, false).and_then(|name| self.known.get(name)) {
                Some(values) => {
                    is_followed = true;
                    product(&built, values)?
                }
                None => built.into_iter().map(|before| with_hole(before, raw)).collect(),
            };
            at = at.max(hole.end);
        }
        if !is_followed {
            return None;
        }
        let is_whole = argument.holes.len() == 1 && argument.holes[0] == (0..argument.text.len());
        built = literal(built, argument, at..argument.text.len());
        built.into_iter().map(|word| self.split(word, argument.splits, is_whole)).collect()
    }

    fn split(&self, mut word: Argument, splits: bool, is_whole: bool) -> Option<Vec<Argument>> {
        let has_blank = word.text.contains(char::is_whitespace);
        if !splits || (word.holes.is_empty() && !has_blank && !self.has_separator && !word.text.is_empty()) {
            return Some(vec![word]);
        }
        if !word.holes.is_empty() {
            word.splits = true;
            return Some(vec![word]);
        }
        let parts = word.text.split_whitespace().enumerate();
        (is_whole && !self.has_separator)
            .then(|| parts.map(|(index, text)| Argument { tilde: index == 0 && word.tilde, ..of_text(text) }).collect())
    }

    /// The commands that these words may be, which differ in one word at a time; nothing where no value in them is known.
    pub(super) fn commands(&self, arguments: &[Argument]) -> Option<Vec<Vec<Argument>>> {
        if self.is_empty() {
            return None;
        }
        let choices: Vec<_> = arguments.iter().map(|argument| self.words(argument)).collect();
        let count: usize = choices.iter().flatten().map(Vec::len).sum();
        if count == 0 || count > MAX_VALUES {
            return None;
        }
        let first = |at: usize| match choices[at].as_ref().and_then(|choices| choices.first()) {
            Some(words) => words.clone(),
            None => vec![arguments[at].clone()],
        };
        let mut commands = Vec::new();
        for (place, choice) in choices.iter().enumerate() {
            for words in choice.iter().flatten() {
                let all = (0..arguments.len()).flat_map(|at| if at == place { words.clone() } else { first(at) });
                commands.push(all.collect());
            }
        }
        Some(commands)
    }

    /// The command that these words certainly are.
    pub(super) fn command(&self, arguments: &[Argument]) -> Option<Vec<Argument>> {
        let mut commands = self.commands(arguments)?;
        commands.dedup();
        commands.pop().filter(|_| commands.is_empty())
    }

    /// What a target of a redirection may be.
    pub(super) fn targets(&self, target: &Argument) -> Vec<Argument> {
        match self.words(target) {
            Some(words) => words.into_iter().flatten().collect(),
            None => vec![target.clone()],
        }
    }
}

/// The variable that an expansion gives as it is; `whole` also takes those that give several words, one at a time.
pub(super) fn variable(raw: &str, whole: bool) -> Option<&str> {
    let name = raw.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let (name, key) = name.strip_suffix(']').and_then(|name| name.split_once('[')).map_or((name, None), |(name, key)| (name, Some(key)));
    let gives_all = matches!(key, Some("@" | "*")) || matches!(name, "@" | "*");
    if gives_all && !whole {
        return None;
    }
    match name {
        "@" | "*" => Some("@"),
        _ if name.len() == 1 && matches!(name.as_bytes()[0], b'1'..=b'9') => Some("@"),
        _ => is_name(name).then_some(name),
    }
}

fn is_number(raw: &str) -> bool {
    matches!(raw, "$#" | "$?" | "$$" | "$!") || (raw.starts_with("$((") && raw.ends_with("))"))
}

/// The elements of an array that are plain words.
fn elements(raw: &str) -> Option<Vec<Argument>> {
    let inside = raw.strip_prefix('(')?.strip_suffix(')')?;
    (!inside.contains(['$', '`', '\'', '"', '\\', '{', '(', '=', '#'])).then(|| inside.split_whitespace().map(of_text).collect())
}

/// The words of a value that may become names of files when it is set: those of an array, or the value itself.
pub(super) fn words_of(value: &Argument) -> Vec<Argument> {
    match value.text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        Some(inside) => inside.split_whitespace().filter(|word| !word.contains(['$', '`', '\'', '"', '\\'])).map(of_text).collect(),
        None => vec![value.clone()],
    }
}

fn of_text(text: &str) -> Argument {
    Argument { glob: text.find(['*', '?', '[']), tilde: text.starts_with('~'), ..Argument::plain(text) }
}

fn joined(mut before: Argument, more: &Argument) -> Argument {
    let at = before.text.len();
    before.tilde |= at == 0 && more.tilde;
    before.spelling = None;
    before.glob = before.glob.or(more.glob.map(|glob| glob + at));
    before.holes.extend(more.holes.iter().map(|hole| hole.start + at..hole.end + at));
    before.text.push_str(&more.text);
    before
}

fn with_hole(mut before: Argument, raw: &str) -> Argument {
    let at = before.text.len();
    before.text.push_str(raw);
    before.spelling = None;
    before.holes.push(at..before.text.len());
    before
}

fn product(built: &[Argument], values: &[Argument]) -> Option<Vec<Argument>> {
    (built.len() * values.len() <= MAX_VALUES)
        .then(|| built.iter().flat_map(|before| values.iter().map(move |value| joined(before.clone(), value))).collect())
}

/// Adds a part of the word that is written out.
fn literal(built: Vec<Argument>, argument: &Argument, range: std::ops::Range<usize>) -> Vec<Argument> {
    let text = Argument::plain(&argument.text[range.clone()]);
    let glob = argument.glob.filter(|glob| range.contains(glob)).map(|glob| glob - range.start);
    built.into_iter().map(|before| joined(before, &Argument { glob, ..text.clone() })).collect()
}
