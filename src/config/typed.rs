//! Deserializes documents. Errors contain the key path, the position and what was expected, but never a value from the
//! environment or another file.

use std::fmt;

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, Expected, IntoDeserializer as _, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};

use super::tree::{Entry, Node, NodeValue, Position, Problem};
use crate::stdx::nearest;

/// The replacement of a secret.
pub const MASK: &str = "***";

/// How secrets are deserialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Unchanged, for use.
    Plain,
    /// As `***`, for display.
    Masked,
}

/// Deserializes a `T`.
pub fn read<'a, T: Deserialize<'a>>(node: &'a Node, secrets: Secrets) -> Result<T, Problem> {
    T::deserialize(NodeDeserializer { node, secrets }).map_err(|error| error.into_problem(node.position))
}

#[derive(Debug)]
struct Error {
    /// The position, once it is known.
    position: Option<Position>,
    /// The key path, innermost first.
    path: Vec<String>,
    /// What was expected.
    expected: String,
    /// What was found; removed if it is secret.
    found: Option<String>,
}

impl Error {
    fn new(expected: String, found: Option<String>) -> Self {
        Self { position: None, path: Vec::new(), expected, found }
    }

    fn at(mut self, node: &Node) -> Self {
        self.position.get_or_insert(node.position);
        if node.secret {
            self.found = self.found.map(|_| "what the reference stands for".to_owned());
        }
        self
    }

    fn below(mut self, key: impl Into<String>) -> Self {
        self.path.push(key.into());
        self
    }

    fn into_problem(self, default: Position) -> Problem {
        let join = |path: String, key: &String| if key.starts_with('[') || path.is_empty() { path + key } else { path + "." + key };
        let path = self.path.iter().rev().fold(String::new(), join);
        let place = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
        let message = match self.found {
            Some(found) => format!("{place}{found}, expected {}", self.expected),
            None => format!("{place}{}", self.expected),
        };
        Problem { position: self.position.unwrap_or(default), message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expected)
    }
}

impl std::error::Error for Error {}

/// The names of types for users.
fn plain_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        "a boolean" => "true or false".to_owned(),
        _ if text.starts_with("struct ") => "an object".to_owned(),
        _ => text,
    }
}

fn found(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("found {value}"),
        Unexpected::Unsigned(value) => format!("found {value}"),
        Unexpected::Signed(value) => format!("found {value}"),
        Unexpected::Float(value) => format!("found {value}"),
        Unexpected::Str(_) => "found a string".to_owned(),
        Unexpected::Unit | Unexpected::Option => "found null".to_owned(),
        Unexpected::Seq => "found a list".to_owned(),
        Unexpected::Map => "found an object".to_owned(),
        other => format!("found {other}"),
    }
}

fn choices(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [most @ .., last] => format!("{} or `{last}`", most.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn with_suggestion(given: &str, names: &[&str]) -> String {
    match nearest::one(given, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", choices(names)),
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), None)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(plain_words(expected), Some(found(&unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(plain_words(expected), Some(found(&unexpected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(choices(expected), Some(format!("found {variant:?}")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key {field:?}; {}", with_suggestion(field, expected)), None)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"), None)
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'a> {
    node: &'a Node,
    secrets: Secrets,
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { node, secrets } = self;
        let result = match &node.value {
            NodeValue::Null => visitor.visit_unit(),
            NodeValue::Bool(value) => visitor.visit_bool(*value),
            NodeValue::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            NodeValue::Text(_) if node.secret && secrets == Secrets::Masked => visitor.visit_str(MASK),
            NodeValue::Text(text) => visitor.visit_borrowed_str(text),
            NodeValue::List(items) => visitor.visit_seq(ListAccess { items: items.iter().enumerate(), secrets }),
            NodeValue::Map(entries) => visitor.visit_map(EntryAccess { entries: entries.iter(), current: None, secrets }),
        };
        result.map_err(|error| error.at(node))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.value == NodeValue::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match self.node.value {
            // Derived code would take the items for fields in their order.
            NodeValue::List(_) => Err(Error::new("an object".to_owned(), Some("found a list".to_owned())).at(self.node)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, variants: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            NodeValue::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(Error::new(choices(variants), Some(format!("found {}", self.node.kind())))),
        };
        result.map_err(|error| error.at(self.node))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

struct ListAccess<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    secrets: Secrets,
}

impl<'de> SeqAccess<'de> for ListAccess<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        let result = seed.deserialize(NodeDeserializer { node, secrets: self.secrets });
        result.map(Some).map_err(|error| error.below(format!("[{index}]")))
    }
}

struct EntryAccess<'a> {
    entries: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
    secrets: Secrets,
}

impl<'de> MapAccess<'de> for EntryAccess<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.current = Some(entry);
        let key = de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|mut error: Error| {
            error.position.get_or_insert(entry.position);
            error
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(entry) = self.current.take() else { return Err(de::Error::custom("a value without a key")) };
        let result = seed.deserialize(NodeDeserializer { node: &entry.value, secrets: self.secrets });
        result.map_err(|error| error.below(&entry.key))
    }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::config::Config;

    use super::{super::tree, *};

    fn problem(text: &str) -> String {
        let node = tree::parse_json(text).unwrap();
        let problem = read::<Config>(&node, Secrets::Plain).unwrap_err();
        format!("{}: {}\n", problem.position, problem.message)
    }

    #[test]
    fn problems_name_the_key_the_place_and_what_was_expected() {
        let texts = [
            r#"{"modle": "x"}"#,
            r#"{"mcp": {}}"#,
            "{\n  \"model\": 5\n}",
            r#"{"provider": {"x": {"options": {"timeout": "long"}}}}"#,
            r#"{"provider": {"x": {"options": {"timeout": -1}}}}"#,
            r#"{"provider": {"x": {"modles": {}}}}"#,
            r#"{"provider": {"x": {"models": {"a.b": {"limit": {"contxt": 1}}}}}}"#,
            r#"{"instructions": ["a", 1]}"#,
            r#"{"agent": {"a": {"mode": "both"}}}"#,
            r#"{"agent": {"a": {"mode": []}}}"#,
            r#"{"agent": {"a": {"tools": {"bash": "no"}}}}"#,
            r#"{"permission": {"bsh": "deny"}}"#,
            r#"{"permission": {"bash": {"*": "never"}}}"#,
            r#"{"permission": [1]}"#,
            r#"{"storage": {"durability": "disk"}}"#,
            "[]",
        ];
        expect_test::expect![[r#"
            1:2: unknown key "modle"; did you mean `model`?
            1:2: unknown key "mcp"; expected `$schema`, `model`, `small_model`, `default_agent`, `agent`, `provider`, `disabled_providers`, `enabled_providers`, `models_url`, `local_servers`, `instructions`, `permission`, `mode`, `sandbox`, `tools`, `username`, `snapshot`, `storage`, `server`, `tool_output`, `compaction`, `task`, `buffer`, `diagnostics`, `record` or `replay`
            2:12: `model`: found 5, expected a string
            1:44: `provider.x.options.timeout`: found a string, expected a whole number, not negative
            1:44: `provider.x.options.timeout`: found -1, expected a whole number, not negative
            1:21: `provider.x`: unknown key "modles"; did you mean `models`?
            1:50: `provider.x.models.a.b.limit`: unknown key "contxt"; did you mean `context`?
            1:24: `instructions[1]`: found 1, expected a string
            1:26: `agent.a.mode`: found "both", expected `primary`, `subagent` or `all`
            1:26: `agent.a.mode`: found a list, expected `primary`, `subagent` or `all`
            1:36: `agent.a.tools.bash`: found a string, expected true or false
            1:17: `permission`: unknown key "bsh"; did you mean `bash`?
            1:31: `permission.bash.*`: found "never", expected `allow`, `ask` or `deny`
            1:16: `permission`: found a list, expected `allow`, `ask` or `deny`, or an object from permission types to those
            1:28: `storage.durability`: found "disk", expected `process` or `power`
            1:1: found a list, expected an object
        "#]].assert_eq(&texts.map(problem).concat());
    }

    #[test]
    fn what_a_reference_stands_for_is_never_shown() {
        let mut node = tree::parse_json(r#"{"agent": {"a": {"mode": "hush"}}}"#).unwrap();
        mark(&mut node);
        let problem = read::<Config>(&node, Secrets::Plain).unwrap_err();
        assert!(!problem.message.contains("hush"), "{problem:?}");
    }

    fn mark(node: &mut Node) {
        match &mut node.value {
            NodeValue::Map(entries) => entries.iter_mut().for_each(|entry| mark(&mut entry.value)),
            NodeValue::List(items) => items.iter_mut().for_each(mark),
            _ => node.secret = true,
        }
    }

    #[test]
    fn masked_reading_hides_only_secrets() {
        let mut node = tree::parse_json(r#"{"provider": {"x": {"options": {"apiKey": "s", "other": "s"}}}, "model": "a/b"}"#).unwrap();
        let NodeValue::Map(entries) = &mut node.value else { panic!() };
        mark(&mut entries[0].value);
        let config: Config = read(&node, Secrets::Masked).unwrap();
        assert_eq!(config.provider["x"].options.api_key.as_deref(), Some(MASK));
        assert_eq!(config.provider["x"].options.options["other"], MASK);
        assert_eq!(config.model.as_deref(), Some("a/b"));
    }
}
