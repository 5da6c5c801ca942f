//! What a JSON Schema of the contract says, as far as a type of a programming language can say it.

use serde_json::{Map, Value};

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    Unknown,
    /// A type of the contract, by its name.
    Named(String),
    /// One JSON value, as JSON text.
    Literal(String),
    /// Text.
    Text,
    /// A number without a fraction.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Null.
    Null,
    /// A list of one type.
    List(Box<Shape>),
    /// An object with names that are not known beforehand.
    Map(Box<Shape>),
    /// An object with these fields.
    Record(Vec<Field>),
    /// One of these.
    Union(Vec<Shape>),
    /// All of these at once.
    Intersection(Vec<Shape>),
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name on the wire.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Whether it may be absent.
    pub optional: bool,
    /// Its type.
    pub shape: Shape,
}

impl Shape {
    /// Reads a schema.
    pub fn of(schema: &Value) -> Self {
        let Some(object) = schema.as_object() else { return Self::Unknown };
        let mut parts = Vec::new();
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            parts.push(Self::Named(reference.rsplit('/').next().unwrap_or(reference).to_owned()));
        }
        if let Some(value) = object.get("const") {
            parts.push(Self::Literal(value.to_string()));
        }
        if let Some(values) = object.get("enum").and_then(Value::as_array) {
            parts.push(Self::union(values.iter().map(|value| Self::Literal(value.to_string()))));
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(members) = object.get(key).and_then(Value::as_array) {
                parts.push(Self::union(members.iter().map(Self::of)));
            }
        }
        for member in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            parts.push(Self::of(member));
        }
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            parts.push(Self::Record(fields(properties, object)));
        }
        match parts.len() {
            0 => Self::plain(object),
            1 => parts.remove(0),
            _ => Self::Intersection(parts),
        }
    }

    /// A schema that only names types.
    fn plain(object: &Map<String, Value>) -> Self {
        let one = |name: &str| match name {
            "string" => Self::Text,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "null" => Self::Null,
            "array" => Self::List(Box::new(object.get("items").map_or(Self::Unknown, Self::of))),
            "object" => Self::Map(Box::new(object.get("additionalProperties").map_or(Self::Unknown, Self::of))),
            _ => Self::Unknown,
        };
        match object.get("type") {
            Some(Value::String(name)) => one(name),
            Some(Value::Array(names)) => Self::union(names.iter().filter_map(Value::as_str).map(one)),
            _ => Self::Unknown,
        }
    }

    /// One of the members, each once; a lone member is itself.
    fn union(members: impl Iterator<Item = Self>) -> Self {
        let mut distinct: Vec<Self> = Vec::new();
        for member in members {
            if !distinct.contains(&member) {
                distinct.push(member);
            }
        }
        if distinct.len() == 1 { distinct.remove(0) } else { Self::Union(distinct) }
    }
}

fn fields(properties: &Map<String, Value>, object: &Map<String, Value>) -> Vec<Field> {
    let required: Vec<&str> = object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let field = |(name, schema): (&String, &Value)| Field {
        name: name.clone(),
        description: schema["description"].as_str().unwrap_or_default().to_owned(),
        optional: !required.contains(&name.as_str()),
        shape: Shape::of(schema),
    };
    properties.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tagged_type_is_its_tag_and_its_fields() {
        let schema = json!({
            "type": "object",
            "properties": { "role": { "type": "string", "const": "user", "description": "Who." } },
            "required": ["role"],
            "allOf": [{ "$ref": "#/components/schemas/UserMessage" }],
        });
        let tag = Field { name: "role".into(), description: "Who.".into(), optional: false, shape: Shape::Literal("\"user\"".into()) };
        assert_eq!(Shape::of(&schema), Shape::Intersection(vec![Shape::Named("UserMessage".into()), Shape::Record(vec![tag])]));
    }

    #[test]
    fn what_says_nothing_is_unknown_and_what_repeats_stands_once() {
        assert_eq!(Shape::of(&json!(true)), Shape::Unknown);
        assert_eq!(Shape::of(&json!({ "type": ["string", "null"] })), Shape::Union(vec![Shape::Text, Shape::Null]));
        assert_eq!(Shape::of(&json!({ "anyOf": [{ "type": "string" }, { "type": "string" }] })), Shape::Text);
        assert_eq!(Shape::of(&json!({ "type": "array" })), Shape::List(Box::new(Shape::Unknown)));
        let map = json!({ "type": "object", "additionalProperties": { "type": "boolean" } });
        assert_eq!(Shape::of(&map), Shape::Map(Box::new(Shape::Boolean)));
    }
}
