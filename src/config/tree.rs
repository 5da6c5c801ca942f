//! A settings document with positions and marks of secrets. JSON with comments and YAML are both parsed into it, so that
//! merging, substitution and error messages have one implementation.

use std::fmt;

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged as _, parse_to_ast};
use serde_json::Number;

/// The limit of nesting, because processing is recursive.
pub const MAX_DEPTH: usize = 64;

/// A position in a file; both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl Position {
    /// The start of a file.
    pub const START: Position = Position { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A problem at a position of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub position: Position,
    /// The problem and what was expected, in lower case.
    pub message: String,
}

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its start.
    pub position: Position,
    /// It comes from the environment or another file, and is never shown.
    pub secret: bool,
    /// The variables in its references that are not set.
    pub unset: Vec<String>,
    pub value: NodeValue,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// An object; keys are unique and keep their order.
    Map(Vec<Entry>),
}

/// A referenced variable that is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    /// The key path of the value with the reference.
    pub path: Vec<String>,
    pub variable: String,
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, variable } = self;
        write!(f, "the variable {variable}, which {} in the settings names, is not set", path.join("."))
    }
}

/// An entry of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    /// The position of the key.
    pub position: Position,
    pub value: Node,
}

impl Node {
    /// A value that is not secret.
    pub fn new(position: Position, value: NodeValue) -> Self {
        Self { position, secret: false, unset: Vec::new(), value }
    }

    /// An object without keys.
    pub fn empty() -> Self {
        Self::new(Position::START, NodeValue::Map(Vec::new()))
    }

    /// The name of the value's type.
    pub fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "null",
            NodeValue::Bool(_) => "a boolean",
            NodeValue::Number(_) => "a number",
            NodeValue::Text(_) => "a string",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "an object",
        }
    }

    /// The entry of a key, if this is an object with it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            NodeValue::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// All referenced variables that are not set, each with its key path.
    pub fn unset(&self) -> Vec<Unset> {
        let mut found: Vec<_> = self.unset.iter().map(|variable| Unset { path: Vec::new(), variable: variable.clone() }).collect();
        let mut below = |key: &str, node: &Self| {
            found.extend(node.unset().into_iter().map(|mut unset| {
                unset.path.insert(0, key.to_owned());
                unset
            }));
        };
        match &self.value {
            NodeValue::List(items) => items.iter().enumerate().for_each(|(place, item)| below(&place.to_string(), item)),
            NodeValue::Map(entries) => entries.iter().for_each(|entry| below(&entry.key, &entry.value)),
            _ => {}
        }
        found
    }

    /// The position of the key at the end of a key path, or of its last existing key.
    pub fn locate(&self, path: &[String]) -> Position {
        let mut node = self;
        let mut position = self.position;
        for key in path {
            let entry = match (&node.value, key.parse::<usize>()) {
                (NodeValue::List(items), Ok(index)) => items.get(index).map(|item| (item.position, item)),
                _ => node.get(key).map(|entry| (entry.position, &entry.value)),
            };
            let Some((found, next)) = entry else { break };
            (position, node) = (found, next);
        }
        position
    }
}

/// Adds an entry to an object.
pub fn insert(entries: &mut Vec<Entry>, entry: Entry) -> Result<(), Problem> {
    if let Some(first) = entries.iter().find(|other| other.key == entry.key) {
        let message = format!("the key {:?} is there twice, first at {}", entry.key, first.position);
        return Err(Problem { position: entry.position, message });
    }
    entries.push(entry);
    Ok(())
}

/// Parses JSON with comments and trailing commas. An empty document is an empty object.
pub fn parse_json(text: &str) -> Result<Node, Problem> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(text);
    let result = parse_to_ast(text, &CollectOptions::default(), &options)
        .map_err(|error| Problem { position: lines.position(error.range().start), message: lower(&error.kind().to_string()) })?;
    result.value.map_or_else(|| Ok(Node::empty()), |value| convert(value, &lines, 0))
}

fn convert(value: ast::Value<'_>, lines: &Lines<'_>, depth: usize) -> Result<Node, Problem> {
    let position = lines.position(value.range().start);
    if depth > MAX_DEPTH {
        return Err(Problem { position, message: format!("nested deeper than {MAX_DEPTH} levels") });
    }
    let value = match value {
        ast::Value::NullKeyword(_) => NodeValue::Null,
        ast::Value::BooleanLit(literal) => NodeValue::Bool(literal.value),
        ast::Value::StringLit(literal) => NodeValue::Text(literal.value.into_owned()),
        ast::Value::NumberLit(literal) => match literal.value.parse() {
            Ok(number) => NodeValue::Number(number),
            Err(_) => return Err(Problem { position, message: format!("{} is not a number that can be represented", literal.value) }),
        },
        ast::Value::Array(array) => {
            NodeValue::List(array.elements.into_iter().map(|item| convert(item, lines, depth + 1)).collect::<Result<_, _>>()?)
        }
        ast::Value::Object(object) => {
            let mut entries = Vec::new();
            for property in object.properties {
                let position = lines.position(property.range.start);
                let value = convert(property.value, lines, depth + 1)?;
                insert(&mut entries, Entry { key: property.name.into_string(), position, value })?;
            }
            NodeValue::Map(entries)
        }
    };
    Ok(Node::new(position, value))
}

/// The message of a library in our style: with a lower-case first letter.
pub fn lower(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// The starts of lines.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        Self { text, starts }
    }

    fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position { line: count(line), column: count(self.text[start..offset].chars().count() + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let problem = parse_json(text).unwrap_err();
        format!("{}: {}", problem.position, problem.message)
    }

    #[test]
    fn comments_trailing_commas_and_a_byte_order_mark_are_welcome() {
        let node = parse_json("\u{feff}// first\n{\n  /* x */ \"a\": [1, 2,],\n  \"ü\": \"y\",\n}\n").unwrap();
        assert_eq!(node.get("a").unwrap().position, Position { line: 3, column: 11 });
        assert_eq!(node.get("ü").unwrap().value.position, Position { line: 4, column: 8 });
        assert_eq!(parse_json(" // nothing\n").unwrap(), Node::empty());
    }

    #[test]
    fn everything_else_is_refused_with_its_place() {
        expect_test::expect![[r#"
            2:8: single-quoted strings are not allowed
            1:9: expected comma
            2:3: expected string for object property
            1:11: unterminated string literal
            1:13: the key "a" is there twice, first at 1:2
            1:1: unterminated object
            1:6: unexpected token
            1:4: text cannot contain more than one JSON value
        "#]]
        .assert_eq(
            &[
                "{\n  \"a\": 'x'\n}",
                "{ \"a\": 1\n\n\"b\": 2}",
                "{\n  a: 1\n}",
                "{\"aä\": 1, \"",
                "{\"a\": 1,    \"a\": 2}",
                "{\"a\": 1",
                "{\"a\":nope}",
                "{} {}",
            ]
            .map(|text| problem(text) + "\n")
            .concat(),
        );
        assert!(problem(&"[".repeat(200)).contains("unterminated"));
        assert!(problem(&format!("{}{}", "[".repeat(200), "]".repeat(200))).contains("deeper than 64"));
        assert!(problem(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).contains("depth"));
    }
}
