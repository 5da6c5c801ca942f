//! The contract as annotations for Lua language servers, made from the OpenRPC document.

use std::fmt::Write as _;

use serde_json::Value;

use super::shape::{Field, Shape};

/// The prefix of all names: annotations are global.
const PREFIX: &str = "polytree.protocol.";

/// `protocol.lua`: a class or an alias for each type, and aliases of the names of methods and events.
pub fn annotations(openrpc: &Value) -> String {
    let mut text = String::from("---@meta\n-- The types of the polytree protocol. Generated; see README.md.\n");
    for (name, schema) in openrpc["components"]["schemas"].as_object().into_iter().flatten() {
        text.push('\n');
        comment(schema["description"].as_str().unwrap_or_default(), &mut text);
        definition(name, &Shape::of(schema), &mut text);
    }
    names("Method", "The name of a method.", openrpc["methods"].as_array().into_iter().flatten().map(|method| &method["name"]), &mut text);
    names(
        "EventType",
        "The type of an event.",
        openrpc["x-events"].as_array().into_iter().flatten().map(|event| &event["type"]),
        &mut text,
    );
    text
}

fn names<'a>(name: &str, about: &str, values: impl Iterator<Item = &'a Value>, text: &mut String) {
    let _ = writeln!(text, "\n--- {about}\n---@alias {PREFIX}{name}");
    for value in values {
        let _ = writeln!(text, "---| {value}");
    }
}

fn definition(name: &str, shape: &Shape, text: &mut String) {
    match shape {
        Shape::Record(fields) => class(name, None, fields, text),
        // A type with more fields than another one.
        Shape::Intersection(members) => {
            let parents: Vec<&str> =
                members.iter().filter_map(|member| if let Shape::Named(name) = member { Some(name.as_str()) } else { None }).collect();
            let fields: Vec<Field> = members
                .iter()
                .filter_map(|member| if let Shape::Record(fields) = member { Some(fields.clone()) } else { None })
                .flatten()
                .collect();
            class(name, Some(&parents), &fields, text);
        }
        // One of several, each with a tag of its own: each is a class, so that its fields are known.
        Shape::Union(members) if members.iter().any(|member| matches!(member, Shape::Record(_) | Shape::Intersection(_))) => {
            let mut alternatives = Vec::new();
            for (index, member) in members.iter().enumerate() {
                if matches!(member, Shape::Record(_) | Shape::Intersection(_)) {
                    let inner = format!("{name}.{}", index + 1);
                    definition(&inner, member, text);
                    alternatives.push(format!("{PREFIX}{inner}"));
                } else {
                    alternatives.push(typed(member));
                }
            }
            let _ = writeln!(text, "---@alias {PREFIX}{name} {}", alternatives.join("|"));
        }
        other => {
            let _ = writeln!(text, "---@alias {PREFIX}{name} {}", typed(other));
        }
    }
}

fn class(name: &str, parents: Option<&[&str]>, fields: &[Field], text: &mut String) {
    let parents = parents.filter(|parents| !parents.is_empty());
    let parents = parents.map_or_else(String::new, |parents| {
        format!(": {}", parents.iter().map(|parent| format!("{PREFIX}{parent}")).collect::<Vec<_>>().join(", "))
    });
    let _ = writeln!(text, "---@class {PREFIX}{name}{parents}");
    for field in fields {
        let key = if is_name(&field.name) { field.name.clone() } else { format!("[{}]", Value::from(field.name.as_str())) };
        let mark = if field.optional { "?" } else { "" };
        let about = field.description.lines().next().unwrap_or_default();
        let _ = writeln!(text, "{}", format!("---@field {key}{mark} {} {about}", typed(&field.shape)).trim_end());
    }
}

fn comment(description: &str, text: &mut String) {
    for line in description.lines() {
        let _ = writeln!(text, "{}", format!("--- {line}").trim_end());
    }
}

fn typed(shape: &Shape) -> String {
    match shape {
        Shape::Unknown => "any".to_owned(),
        Shape::Named(name) => format!("{PREFIX}{name}"),
        Shape::Literal(json) => json.clone(),
        Shape::Text => "string".to_owned(),
        Shape::Integer => "integer".to_owned(),
        Shape::Number => "number".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::Null => "nil".to_owned(),
        Shape::List(item) => match typed(item) {
            item if item.contains('|') => format!("({item})[]"),
            item => format!("{item}[]"),
        },
        Shape::Map(value) => format!("table<string, {}>", typed(value)),
        Shape::Union(members) => members.iter().map(typed).collect::<Vec<_>>().join("|"),
        // What has no name of its own is just a table.
        Shape::Record(_) | Shape::Intersection(_) => "table".to_owned(),
    }
}

/// Whether the name can be written as it is.
fn is_name(name: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or",
        "repeat", "return", "then", "true", "until", "while",
    ];
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|other| other.is_ascii_alphanumeric() || other == '_')
        && !KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_aliases_and_names() {
        let document = json!({
            "components": { "schemas": {
                "Range": { "description": "A range.", "properties": { "end": { "type": "integer" }, "x": { "type": ["string", "null"], "description": "X." } }, "required": ["end"] },
                "Choice": { "oneOf": [
                    { "properties": { "type": { "const": "a" } }, "required": ["type"], "allOf": [{ "$ref": "#/x/Range" }] },
                    { "type": "string" },
                ] },
            } },
            "methods": [{ "name": "box.get" }],
            "x-events": [{ "type": "box.changed" }],
        });
        let text = annotations(&document);
        for expected in [
            "--- A range.\n---@class polytree.protocol.Range\n---@field [\"end\"] integer\n---@field x? string|nil X.\n",
            "---@class polytree.protocol.Choice.1: polytree.protocol.Range\n---@field type \"a\"\n---@alias polytree.protocol.Choice polytree.protocol.Choice.1|string\n",
            "---@alias polytree.protocol.Method\n---| \"box.get\"\n",
            "---@alias polytree.protocol.EventType\n---| \"box.changed\"\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
