//! Which variables hold nothing but numbers in every run of the line. What bash evaluates as arithmetic or as
//! a subscript can run commands, unless it is put together from those.

use std::collections::{HashMap, HashSet};

use super::{
    parser::parse,
    syntax::{Command, Evaluated, Part, Script, Value, Word, is_name},
};

/// Variables to which bash itself gives numbers.
const DYNAMIC: [&str; 10] = ["RANDOM", "SRANDOM", "SECONDS", "LINENO", "UID", "EUID", "PPID", "BASHPID", "EPOCHSECONDS", "PIPESTATUS"];
/// Values that are looked up one in the other to this depth.
const MAX_ROUNDS: usize = 8;
/// Substitutions within substitutions are looked at to this depth.
const MAX_DEPTH: usize = 4;

/// What a line sets and evaluates, in any order and wherever it stands: the order of running is not always that of the text.
#[derive(Debug, Default)]
pub(super) struct Variables {
    assigned: HashMap<String, Vec<Value>>,
    /// Every value of these is evaluated.
    integers: HashSet<String>,
    arrays: HashSet<String>,
    associative: HashSet<String>,
    /// Something is added to what they hold.
    extended: HashSet<String>,
    evaluated: Vec<Evaluated>,
}

impl Variables {
    pub(super) fn assign(&mut self, name: &str, value: Value) {
        if let Value::Text(parts) = &value
            && matches!(parts.as_slice(), [Part::Hole(raw)] if raw.starts_with('('))
        {
            self.arrays.insert(name.to_owned());
        }
        self.assigned.entry(name.to_owned()).or_default().push(value);
    }

    pub(super) fn extend(&mut self, name: &str) {
        self.extended.insert(name.to_owned());
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.assigned.contains_key(name)
    }

    /// Those that hold just what they are set to.
    pub(super) fn fixed(&self) -> impl Iterator<Item = (&str, &[Value])> {
        let fixed = self.assigned.iter().filter(|(name, _)| !self.extended.contains(*name) && !self.integers.contains(*name));
        fixed.map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    pub(super) fn make_integer(&mut self, name: &str) {
        self.integers.insert(name.to_owned());
    }

    pub(super) fn make_array(&mut self, name: &str, is_associative: bool) {
        self.arrays.insert(name.to_owned());
        if is_associative {
            self.associative.insert(name.to_owned());
        }
    }

    /// Notes what is evaluated; gives the variables that an arithmetic expression sets.
    pub(super) fn evaluate(&mut self, evaluated: Evaluated) -> Vec<String> {
        let names = match &evaluated {
            Evaluated::Arithmetic(parts) | Evaluated::Subscript { key: parts, .. } => set_in(parts),
            Evaluated::IfArray { .. } | Evaluated::Unknown => Vec::new(),
        };
        self.evaluated.push(evaluated);
        names
    }

    /// Whether all that is evaluated consists of numbers. `functions` are those of the line: they may have any name.
    pub(super) fn are_numbers(&self, functions: &HashMap<String, bool>) -> bool {
        if self.evaluated.is_empty() && self.integers.is_empty() {
            return true;
        }
        let mut known = Known { variables: self, functions, numbers: HashSet::new() };
        for _ in 0..MAX_ROUNDS {
            let is_new = |name: &str| !known.numbers.contains(name);
            let more: Vec<&String> =
                self.assigned.iter().filter(|(name, values)| is_new(name) && known.are_numbers(values)).map(|(name, _)| name).collect();
            if more.is_empty() {
                break;
            }
            known.numbers.extend(more.into_iter().map(String::as_str));
        }
        let integers_hold = self.integers.iter().all(|name| self.assigned.get(name).is_none_or(|_| known.numbers.contains(name.as_str())));
        integers_hold && self.evaluated.iter().all(|evaluated| known.allows(evaluated))
    }
}

/// What is known about the variables of a line.
struct Known<'a> {
    variables: &'a Variables,
    functions: &'a HashMap<String, bool>,
    /// Those that hold numbers only.
    numbers: HashSet<&'a str>,
}

impl Known<'_> {
    fn allows(&self, evaluated: &Evaluated) -> bool {
        match evaluated {
            Evaluated::Arithmetic(parts) => self.is_expression(parts),
            Evaluated::Subscript { array, key } => {
                self.is_expression(key) || (self.variables.associative.contains(array) && self.is_plain_key(key, 0))
            }
            Evaluated::IfArray { name, value } => !self.variables.arrays.contains(name) || self.is_number(value, 0),
            Evaluated::Unknown => false,
        }
    }

    fn are_numbers(&self, values: &[Value]) -> bool {
        values.iter().all(|value| match value {
            Value::Number => true,
            Value::Text(parts) => self.is_number(parts, 0),
            Value::Unknown => false,
        })
    }

    fn variable(&self, name: &str) -> bool {
        // Any of the arguments of a function.
        let name = if !name.is_empty() && name != "0" && name.bytes().all(|byte| byte.is_ascii_digit()) { "@" } else { name };
        match self.variables.assigned.contains_key(name) {
            true => self.numbers.contains(name),
            false => DYNAMIC.contains(&name),
        }
    }

    /// Whether a value has nothing in it but digits and what cannot name a variable.
    fn is_number(&self, parts: &[Part], depth: usize) -> bool {
        parts.iter().all(|part| match part {
            Part::Text(text) => text.chars().all(|c| c.is_ascii_digit() || "-+.,{}: \t\n".contains(c)),
            Part::Hole(raw) => self.hole(raw, depth),
        })
    }

    /// Whether an expression has only numbers, operators and variables that hold numbers.
    fn is_expression(&self, parts: &[Part]) -> bool {
        let mut ends_in_name = false;
        for part in parts {
            match part {
                Part::Hole(raw) if ends_in_name || !self.hole(raw, 0) => return false,
                Part::Hole(_) => {}
                Part::Text(text) => match self.operators(text) {
                    Some(ends) => ends_in_name = ends,
                    None => return false,
                },
            }
        }
        true
    }

    /// Whether the text ends in a name; `None` where something in it is not a number.
    fn operators(&self, text: &str) -> Option<bool> {
        let mut ends_in_name = false;
        for token in tokens(text) {
            ends_in_name = false;
            match token {
                Token::Number => {}
                Token::Name(name) => {
                    ends_in_name = true;
                    if !self.variable(name) {
                        return None;
                    }
                }
                Token::Other(character) => {
                    if !"+-*/%<>=!&|^~?:,;()[] \t\n\"".contains(character) {
                        return None;
                    }
                }
            }
        }
        Some(ends_in_name)
    }

    /// A key that runs nothing, should the array be no associative one after all.
    fn is_plain_key(&self, key: &[Part], depth: usize) -> bool {
        let is_set_to_more = |name: &str| self.variables.assigned.contains_key(name) && !self.variable(name);
        key.iter().all(|part| match part {
            Part::Text(text) => {
                text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./: ".contains(c))
                    && tokens(text).all(|token| !matches!(token, Token::Name(name) if is_set_to_more(name)))
            }
            Part::Hole(raw) if depth >= MAX_DEPTH => self.hole(raw, 0),
            Part::Hole(raw) => {
                let values = raw.strip_prefix('$').and_then(|name| self.variables.assigned.get(name));
                let is_plain = |value: &Value| match value {
                    Value::Number => true,
                    Value::Text(parts) => self.is_plain_key(parts, depth + 1),
                    Value::Unknown => false,
                };
                self.hole(raw, 0) || values.is_some_and(|values| values.iter().all(is_plain))
            }
        }) && (key.iter().filter(|part| **part != Part::Text(String::new())).count() <= 1
            || key.iter().all(|part| matches!(part, Part::Text(_))))
    }

    /// Whether an expansion, as it was written, gives nothing but numbers.
    fn hole(&self, raw: &str, depth: usize) -> bool {
        if matches!(raw, "$#" | "$?" | "$$" | "$!" | "${#}" | "${?}" | "${$}" | "${!}") {
            return true;
        }
        if let Some(elements) = raw.strip_prefix('(').and_then(|raw| raw.strip_suffix(')')) {
            return elements.split_whitespace().all(|element| {
                element.bytes().all(|byte| byte.is_ascii_digit())
                    || (element.starts_with('$') && is_simple(element) && self.hole(element, depth))
            });
        }
        if (raw.starts_with("$((") && raw.ends_with("))")) || raw.starts_with("$[") {
            return true;
        }
        if let Some(script) = raw.strip_prefix("$(").and_then(|raw| raw.strip_suffix(')')) {
            return depth < MAX_DEPTH && parse(script).is_ok_and(|parsed| self.prints_numbers(&parsed.script, depth + 1));
        }
        if let Some(script) = raw.strip_prefix('`').and_then(|raw| raw.strip_suffix('`')) {
            return depth < MAX_DEPTH
                && !script.contains('\\')
                && parse(script).is_ok_and(|parsed| self.prints_numbers(&parsed.script, depth + 1));
        }
        let Some(name) = raw.strip_prefix('$') else { return false };
        let Some(content) = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else { return self.variable(name) };
        if let Some(array) = content.strip_prefix('!').and_then(|array| array.strip_suffix("[@]").or_else(|| array.strip_suffix("[*]"))) {
            // The keys of an array.
            return !self.variables.associative.contains(array);
        }
        if let Some(counted) = content.strip_prefix('#') {
            return counted.chars().all(|c| c == '_' || c.is_ascii_alphanumeric() || "[]@*".contains(c));
        }
        let end = content.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).unwrap_or(content.len());
        let (name, rest) = content.split_at(end);
        let default = [":-", "-"].into_iter().find_map(|sign| rest.strip_prefix(sign));
        let is_plain = rest.is_empty() || (rest.starts_with('[') && rest.ends_with(']'));
        self.variable(name) && (is_plain || default.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit())))
    }

    /// Whether the output of a script can be nothing but numbers: its last command prints only those.
    fn prints_numbers(&self, script: &Script, depth: usize) -> bool {
        let [item] = script.items.as_slice() else { return false };
        let Some(Command::Simple(simple)) = item.commands.last() else { return false };
        let [name, operands @ ..] = simple.words.as_slice() else { return false };
        let Some(name) = name.plain() else { return false };
        if !simple.assignments.is_empty() || item.background || self.functions.contains_key(name) {
            return false;
        }
        let texts: Option<Vec<String>> = operands.iter().map(Word::literal).collect();
        let all_numbers = || operands.iter().all(|word| self.is_number(&word.parts(), depth));
        match (name, texts.as_deref()) {
            ("echo" | "seq" | "expr", _) if all_numbers() => true,
            ("expr", Some([_, operator, _])) => matches!(operator.as_str(), "+" | "-" | "*" | "/" | "%"),
            ("nproc", Some(_)) => true,
            ("id", Some([option])) => matches!(option.as_str(), "-u" | "-g"),
            ("wc", Some(options)) => options.iter().all(|option| is_cluster(option, "clmwL")),
            ("date", Some([format])) => is_date_number(format),
            ("grep", Some([first, rest @ ..])) => {
                first.contains('c')
                    && is_cluster(first, "cviwxEFGqs")
                    && rest.len() <= 2
                    && rest.iter().all(|word| !word.starts_with('-') && !word.contains(['*', '?', '{']))
            }
            ("git", Some([first, rest @ ..])) => first == "rev-list" && rest.iter().any(|option| option == "--count"),
            ("stat", Some([option, format, _file])) => {
                option == "-c" && matches!(format.as_str(), "%s" | "%X" | "%Y" | "%Z" | "%a" | "%u" | "%g" | "%h")
            }
            _ => false,
        }
    }
}

/// `$name` or `${name}` and nothing behind.
fn is_simple(raw: &str) -> bool {
    let name = raw.trim_start_matches('$').trim_start_matches('{').trim_end_matches('}');
    is_name(name) || matches!(name, "#" | "?" | "!" | "$")
}

fn is_cluster(text: &str, letters: &str) -> bool {
    text.len() > 1 && text.strip_prefix('-').is_some_and(|rest| rest.chars().all(|c| letters.contains(c)))
}

/// `+%s` and the like.
fn is_date_number(format: &str) -> bool {
    let Some(mut rest) = format.strip_prefix('+') else { return false };
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '%' if rest[1..].starts_with(['s', 'N', 'Y', 'm', 'd', 'H', 'M', 'S', 'j', 'u', 'w', 'y']) => 2,
            '0'..='9' => 1,
            _ => return false,
        };
        rest = &rest[length..];
    }
    true
}

enum Token<'a> {
    Number,
    Name(&'a str),
    Other(char),
}

/// The numbers, names and operators of an expression.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (length, is_number) = if first.is_ascii_digit() {
            (rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_@#".contains(c))).unwrap_or(rest.len()), true)
        } else if first == '_' || first.is_ascii_alphabetic() {
            (rest.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).unwrap_or(rest.len()), false)
        } else {
            rest = &rest[first.len_utf8()..];
            return Some(Token::Other(first));
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(if is_number { Token::Number } else { Token::Name(token) })
    })
}

/// Whether bash can evaluate this in no case: two operands stand side by side. What is in brackets may be any key.
pub(super) fn is_no_expression(parts: &[Part]) -> bool {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Hole(_) => None,
    });
    texts.into_iter().any(has_two_operands)
}

fn has_two_operands(text: &str) -> bool {
    let (mut depth, mut follows_operand) = (0_usize, false);
    let mut tokens = tokens(text).peekable();
    while let Some(token) = tokens.next() {
        let is_comparison = matches!(tokens.peek(), Some(Token::Other('=')));
        let begins_operand = match token {
            Token::Other(' ' | '\t' | '\n') => continue,
            Token::Other('[') => {
                depth += 1;
                false
            }
            Token::Other(']') => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Other(character) => matches!(character, '(' | '~') || (character == '!' && !is_comparison),
            Token::Number | Token::Name(_) => true,
        };
        if begins_operand && follows_operand && depth == 0 {
            return true;
        }
        follows_operand = matches!(token, Token::Number | Token::Name(_) | Token::Other(')' | ']'));
    }
    false
}

/// The variables that an expression sets: `i = 1`, `i += 2`, `i++`, `--i`.
fn set_in(parts: &[Part]) -> Vec<String> {
    let mut names = Vec::new();
    for part in parts {
        let Part::Text(text) = part else { continue };
        let mut at = 0;
        for token in tokens(text) {
            let length = match token {
                Token::Name(name) => {
                    if is_set(text[..at].trim_end(), &text[at + name.len()..]) {
                        names.push(name.to_owned());
                    }
                    name.len()
                }
                Token::Other(character) => character.len_utf8(),
                Token::Number => text[at..].find(|c: char| !(c.is_ascii_alphanumeric() || "_@#".contains(c))).unwrap_or(text.len() - at),
            };
            at += length;
        }
    }
    names
}

/// Whether a name is set by the operators before or after it.
fn is_set(before: &str, after: &str) -> bool {
    let mut after = after.trim_start();
    if after.starts_with('[') {
        // The element of an array: what follows the subscript counts. A long one counts as set.
        let near = after.char_indices().nth(200).map_or(after, |(at, _)| &after[..at]);
        let Some(end) = near.find(']') else { return true };
        after = after[end + 1..].trim_start();
    }
    let operator = after.trim_start_matches(['+', '-', '*', '/', '%', '<', '>', '&', '^', '|']);
    let is_comparison = after.starts_with("==") || after.starts_with("<=") || after.starts_with(">=");
    before.ends_with("++")
        || before.ends_with("--")
        || after.starts_with("++")
        || after.starts_with("--")
        || (operator.starts_with('=') && !is_comparison)
}

#[cfg(test)]
mod tests {
    use super::{Part, is_no_expression};

    #[test]
    fn operands_side_by_side_are_no_expression() {
        let is_none = |text: &str| is_no_expression(&[Part::Text(text.to_owned())]);
        for text in ["1+!(a|b) !(a|b)", "!(a)!(a)", "a b", "~a ~a", "(a)(b)", "a (b)", "a[1] b", "1 2", "f(a)"] {
            assert!(is_none(text), "{text}");
        }
        for text in [
            "",
            "1 + 2",
            "a++ + b",
            "i = 1, j != 2",
            "a ? b : c",
            "!a",
            "! (a)",
            "- -1",
            "16#ff * 2",
            "a[b c]++",
            "a[i] += (b)",
            "(a) * (b)",
            "i=0; i<3; i++",
            "a<<2|~b",
            "a && !b",
            "10#$",
            "x == !y",
        ] {
            assert!(!is_none(text), "{text}");
        }
    }
}
