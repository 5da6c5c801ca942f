//! What the builtins of bash do to variables: which they set, and which of their arguments are evaluated.

use super::{
    condition::{named, tested},
    expand::Argument,
    syntax::{Evaluated, Part, Value, is_name},
};

/// What a builtin does to the variables of its shell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Something is evaluated.
    Evaluates(Evaluated),
    /// A variable gets a value, or is taken away.
    Sets { name: String, value: Value, exported: bool },
    /// Every value of the variable is evaluated.
    Integer(String),
    /// The variable is an array.
    Array { name: String, associative: bool },
    /// Something is added to its value.
    Extends(String),
}

const UNKNOWN: Change = Change::Evaluates(Evaluated::Unknown);

/// Options of `set` that change neither how a line is read nor what reaches programs.
const SET_FLAGS: &str = "euxvfCETnb";
const SET_NAMES: [&str; 9] = ["errexit", "nounset", "xtrace", "verbose", "noglob", "noclobber", "pipefail", "errtrace", "functrace"];
/// Options of `shopt` that change nothing but which files a pattern means.
const SHOPT: [&str; 6] = ["globstar", "nullglob", "failglob", "dotglob", "nocaseglob", "inherit_errexit"];

/// What a builtin does. `is_direct`: its name stands as it is at the front, so that bash knows it for a declaration before
/// it splits words.
pub(super) fn changes(name: &str, arguments: &[Argument], is_direct: bool) -> Vec<Change> {
    let arguments_only = arguments.get(1..).unwrap_or_default();
    match name {
        "let" => arguments_only.iter().map(number).collect(),
        "test" | "[" => tested(arguments).into_iter().map(Change::Evaluates).collect(),
        "declare" | "typeset" | "local" | "readonly" | "export" => declaration(name, arguments_only, is_direct),
        "read" => match options(arguments_only, "ersE", "adinNptu") {
            Some((given, names)) => {
                let array = given.iter().filter(|(option, _)| *option == 'a').map(|(_, value)| *value);
                let all: Vec<&Argument> = names.iter().chain(array).collect();
                if all.is_empty() { vec![unknown_value("REPLY")] } else { all.into_iter().map(set_by_name).collect() }
            }
            None => vec![UNKNOWN],
        },
        "mapfile" | "readarray" => match options(arguments_only, "t", "dnOsucC") {
            Some((given, names)) if given.iter().all(|(option, _)| !"cC".contains(*option)) => {
                if names.is_empty() {
                    vec![unknown_value("MAPFILE")]
                } else {
                    names.iter().map(set_by_name).collect()
                }
            }
            _ => vec![UNKNOWN],
        },
        "getopts" => match arguments_only {
            [_, name, ..] => vec![set_by_name(name)],
            _ => Vec::new(),
        },
        "printf" => printed(arguments_only),
        "unset" => match options(arguments_only, "fvn", "") {
            Some((given, _)) if given.iter().any(|(option, _)| *option == 'f') => Vec::new(),
            Some((_, names)) => names.iter().map(unset).collect(),
            None => vec![UNKNOWN],
        },
        "wait" => match options(arguments_only, "fn", "p") {
            Some((given, _)) => given.iter().map(|(_, name)| set_by_name(name)).collect(),
            None => at_option_places(arguments_only),
        },
        "jobs" | "hash" => at_option_places(arguments_only),
        "set" => settings(arguments_only),
        "shopt" if !is_harmless_shopt(arguments) => vec![UNKNOWN],
        _ => Vec::new(),
    }
}

/// Whether `shopt` does nothing but say how patterns for file names are read.
pub(super) fn is_harmless_shopt(arguments: &[Argument]) -> bool {
    let [name, option, names @ ..] = arguments else { return false };
    let is_known = |name: &Argument| name.literal().is_some_and(|name| SHOPT.contains(&name));
    name.literal() == Some("shopt") && matches!(option.literal(), Some("-s" | "-u" | "-q")) && names.iter().all(is_known)
}

fn number(argument: &Argument) -> Change {
    if argument.glob.is_some() && argument.text.contains(['?', '[']) || argument.tilde {
        return UNKNOWN;
    }
    Change::Evaluates(Evaluated::Arithmetic(argument.parts()))
}

fn unknown_value(name: &str) -> Change {
    Change::Sets { name: name.to_owned(), value: Value::Unknown, exported: false }
}

/// A variable that is named by an argument gets a value that is not known.
fn set_by_name(argument: &Argument) -> Change {
    match argument.literal() {
        Some(name) if is_name(name) => unknown_value(name),
        _ => UNKNOWN,
    }
}

fn unset(argument: &Argument) -> Change {
    match argument.literal() {
        Some(name) if is_name(name) => Change::Sets { name: name.to_owned(), value: Value::Number, exported: true },
        _ => Change::Evaluates(match argument.is_literal().then(|| named(&argument.parts())) {
            Some(Some(evaluated)) => evaluated,
            _ => Evaluated::Unknown,
        }),
    }
}

/// Values that stand where an option could: only a number is none.
fn at_option_places(arguments: &[Argument]) -> Vec<Change> {
    arguments.iter().filter(|argument| may_be_option(argument)).map(number).collect()
}

/// Whether only running would tell if this is an option.
fn may_be_option(argument: &Argument) -> bool {
    argument.splits || argument.glob.is_some() || argument.holes.first().is_some_and(|hole| hole.start == 0)
}

type Given<'a> = Vec<(char, &'a Argument)>;

/// Takes the options of a builtin apart, letter by letter, with the values of those that have one, and gives what comes
/// behind them. `None` where an option is not known, or where only running would tell.
fn options<'a>(arguments: &'a [Argument], flags: &str, valued: &str) -> Option<(Given<'a>, &'a [Argument])> {
    let mut given = Vec::new();
    let mut at = 0;
    'words: while let Some(argument) = arguments.get(at) {
        if may_be_option(argument) {
            return None;
        }
        let Some(letters) = argument.text.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
        let letters = if argument.is_literal() { letters } else { return None };
        at += 1;
        if letters == "-" {
            break;
        }
        for (index, letter) in letters.char_indices() {
            if valued.contains(letter) {
                let is_last = index + letter.len_utf8() == letters.len();
                // A value in the same word is none that names a variable.
                let value = if is_last { arguments.get(at)? } else { argument };
                if (!is_last && "apC".contains(letter)) || value.splits || value.glob.is_some() {
                    return None;
                }
                at += usize::from(is_last);
                given.push((letter, value));
                continue 'words;
            }
            if !flags.contains(letter) {
                return None;
            }
            given.push((letter, argument));
        }
    }
    let rest = &arguments[at..];
    rest.iter().all(|argument| !argument.splits).then_some((given, rest))
}

fn printed(arguments: &[Argument]) -> Vec<Change> {
    let [first, rest @ ..] = arguments else { return Vec::new() };
    if may_be_option(first) {
        return vec![number(first)];
    }
    if first.text.starts_with("-v") {
        return match (first.text.as_str(), rest) {
            ("-v", [name, rest @ ..]) => [set_by_name(name)].into_iter().chain(printed(rest)).collect(),
            _ => vec![UNKNOWN],
        };
    }
    if first.text == "--" {
        return rest.first().map(format).unwrap_or_default();
    }
    format(first)
}

/// `%n` in a format sets a variable that an argument names.
fn format(format: &Argument) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut rest = format.text.as_str();
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || "-+ #'.*hlLjzt".contains(c));
        if rest.starts_with('n') {
            changes.push(UNKNOWN);
        }
        rest = rest.strip_prefix('%').unwrap_or(rest);
    }
    // The conversion may come out of a value.
    changes.extend((!format.holes.is_empty()).then(|| number_in(format)));
    changes
}

/// The unknown parts of a text have to be numbers.
fn number_in(argument: &Argument) -> Change {
    let holes = argument.parts().into_iter().filter(|part| matches!(part, Part::Hole(_))).collect();
    Change::Evaluates(Evaluated::Arithmetic(holes))
}

fn settings(arguments: &[Argument]) -> Vec<Change> {
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        if may_be_option(argument) {
            return vec![UNKNOWN];
        }
        let text = argument.text.as_str();
        let Some(letters) = text.strip_prefix(['-', '+']) else { return Vec::new() };
        if text == "--" || letters.is_empty() {
            return Vec::new();
        }
        at += 1;
        for letter in letters.chars() {
            if letter == 'o' {
                let name = arguments.get(at).map(|name| name.literal().is_some_and(|name| SET_NAMES.contains(&name)));
                if name == Some(false) {
                    return vec![UNKNOWN];
                }
                at += 1;
            } else if !SET_FLAGS.contains(letter) {
                return vec![UNKNOWN];
            }
        }
    }
    Vec::new()
}

fn declaration(builtin: &str, arguments: &[Argument], is_direct: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut letters = String::new();
    let mut operands = arguments;
    while let [argument, rest @ ..] = operands {
        if !argument.text.starts_with(['-', '+']) || argument.text.len() == 1 {
            break;
        }
        let Some(text) = argument.literal() else { return vec![UNKNOWN] };
        operands = rest;
        if text == "--" {
            break;
        }
        letters.extend(text.strip_prefix('-'));
    }
    if letters.contains(['f', 'F', 'p']) {
        // Functions are exported or shown.
        return at_option_places(operands);
    }
    // Another name for a variable, or other letters in its value.
    if letters.contains(['n', 'l', 'u', 'c']) && builtin != "export" {
        return vec![UNKNOWN];
    }
    let is_array = letters.contains(['a', 'A']);
    let exported = builtin == "export" || letters.contains('x');
    for operand in operands {
        declare(builtin, operand, is_direct, is_array, exported, &mut changes);
        let name = operand.text.split(['=', '+', '[']).next().unwrap_or_default().to_owned();
        if letters.contains('i') {
            changes.push(Change::Integer(name.clone()));
        }
        if is_array {
            changes.push(Change::Array { name, associative: letters.contains('A') });
        }
    }
    changes
}

fn declare(builtin: &str, operand: &Argument, is_direct: bool, is_array: bool, exported: bool, changes: &mut Vec<Change>) {
    let sign = operand.text.find('=');
    let named_until = sign.unwrap_or(operand.text.len());
    let is_hidden = operand.holes.first().is_some_and(|hole| hole.start < named_until);
    let is_split = operand.splits && !is_direct && !operand.parts_from(named_until).iter().all(|part| matches!(part, Part::Text(_)));
    if is_hidden || ((sign.is_none() || !is_direct) && operand.glob.is_some()) || operand.tilde {
        changes.push(UNKNOWN);
        return;
    }
    let target = operand.text[..named_until].trim_end_matches('+');
    if target.len() < named_until {
        changes.push(Change::Extends(target.to_owned()));
    }
    let (name, subscript) = target.split_once('[').map_or((target, None), |(name, key)| (name, Some(key.trim_end_matches(']'))));
    if !is_name(name) {
        if !(builtin == "local" && name == "-") {
            changes.push(UNKNOWN);
        }
        return;
    }
    if let Some(key) = subscript {
        let key = vec![Part::Text(key.to_owned())];
        changes.push(Change::Evaluates(Evaluated::Subscript { array: name.to_owned(), key }));
    }
    let value = sign.map(|sign| operand.parts_from(sign + 1)).unwrap_or_default();
    // A text in brackets is expanded once more for an array.
    match value.first() {
        Some(Part::Text(text)) if text.starts_with('(') => changes.push(UNKNOWN),
        Some(Part::Hole(raw)) if !raw.starts_with('(') && builtin != "export" => changes.push(Change::Evaluates(if is_array {
            Evaluated::Arithmetic(value.clone())
        } else {
            Evaluated::IfArray { name: name.to_owned(), value: value.clone() }
        })),
        _ => {}
    }
    if is_split {
        changes.push(Change::Evaluates(Evaluated::Arithmetic(value.clone())));
    }
    if sign.is_none() && matches!(builtin, "export" | "readonly") {
        // It keeps what it has.
        changes.push(Change::Extends(name.to_owned()));
    }
    // Without a value it is empty.
    let value = if sign.is_some() { Value::Text(value) } else { Value::Number };
    changes.push(Change::Sets { name: name.to_owned(), value, exported });
}

#[cfg(test)]
mod tests {
    use super::{Change, UNKNOWN, changes};
    use crate::tool::bash::commands::expand::Argument;

    fn of(line: &str) -> Vec<Change> {
        let arguments: Vec<Argument> = line
            .split(' ')
            .map(|word| {
                let mut argument = Argument::plain(word);
                if let Some(at) = word.find('$') {
                    argument.holes.push(at..word.len());
                }
                argument
            })
            .collect();
        changes(&arguments[0].text, &arguments, true)
    }

    #[test]
    fn what_may_be_evaluated_is_not_known() {
        for line in [
            "printf -v $x a",
            "printf -va[1] b",
            "printf %n PATH",
            "printf %5n x",
            "read $x",
            "read -r -a $x",
            "unset $x",
            "declare -n r=x",
            "declare $x",
            "export $x=1",
            "mapfile -C zap x",
            "mapfile -tC zap x",
            "set -k",
            "set -o allexport",
            "set -a",
            "set $x",
            "set +B",
            "shopt -s extglob",
            "shopt -s expand_aliases",
            "declare -a x=($y)x",
            "readonly $x",
        ] {
            assert!(of(line).contains(&UNKNOWN), "{line}: {:?}", of(line));
        }
        for line in [
            "printf %s $x",
            "printf -- %s $x",
            "printf 100%%n x",
            "read -r x",
            "read -rp prompt x",
            "unset x",
            "declare -A m",
            "set -euo pipefail",
            "set -- $x",
            "shopt -s nullglob globstar",
            "mapfile -t x",
            "test -n $x",
            "export X=1",
            "wait",
            "local -",
            "printf",
        ] {
            assert!(!of(line).contains(&UNKNOWN), "{line}: {:?}", of(line));
        }
    }
}
