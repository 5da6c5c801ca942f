//! The contract as TypeScript declarations, made from the OpenRPC document.

use std::fmt::Write as _;

use serde_json::Value;

use super::shape::{Field, Shape};

/// `polytree.d.ts`: each type by its name, `Methods` by the names of methods, `AnyEvent` by the types of events.
pub fn declarations(openrpc: &Value) -> String {
    let mut text = String::from("// The types of the polytree protocol. Generated; see README.md.\n");
    for (name, schema) in openrpc["components"]["schemas"].as_object().into_iter().flatten() {
        comment(schema["description"].as_str().unwrap_or_default(), "", &mut text);
        let _ = writeln!(text, "export type {name} = {}", typed(&Shape::of(schema), ""));
    }
    text.push_str("\n/** An event whose `properties` are told by its `type`. */\n");
    text.push_str("export type AnyEvent = Omit<Event, 'type' | 'properties'> & EventPayload\n");
    text.push_str("\n/** Arguments of each built-in tool, and the `metadata` of its results. */\nexport interface Tools {\n");
    for tool in openrpc["x-tools"].as_array().into_iter().flatten() {
        let (input, metadata) = (typed(&Shape::of(&tool["input"]), "  "), typed(&Shape::of(&tool["metadata"]), "  "));
        let _ = writeln!(text, "  {}: {{ input: {input}; metadata: {metadata} }}", tool["name"].as_str().unwrap_or_default());
    }
    text.push_str("}\n");
    text.push_str("\n/** Params and result of each method. */\nexport interface Methods {\n");
    for method in openrpc["methods"].as_array().into_iter().flatten() {
        comment(method["summary"].as_str().unwrap_or_default(), "  ", &mut text);
        let params = typed(&Shape::of(&method["x-params"]), "  ");
        let result = typed(&Shape::of(&method["result"]["schema"]), "  ");
        let _ = writeln!(text, "  {}: {{ params: {params}; result: {result} }}", method["name"]);
    }
    text.push_str("}\n");
    text
}

fn comment(description: &str, indent: &str, text: &mut String) {
    let description = description.replace("*/", "* /");
    let mut lines = description.lines();
    let Some(first) = lines.next() else { return };
    if description.lines().count() == 1 {
        let _ = writeln!(text, "{indent}/** {first} */");
        return;
    }
    let _ = writeln!(text, "{indent}/**");
    for line in description.lines() {
        let _ = writeln!(text, "{}", format!("{indent} * {line}").trim_end());
    }
    let _ = writeln!(text, "{indent} */");
}

fn typed(shape: &Shape, indent: &str) -> String {
    match shape {
        Shape::Unknown => "unknown".to_owned(),
        Shape::Named(name) => name.clone(),
        Shape::Literal(json) => json.clone(),
        Shape::Text => "string".to_owned(),
        Shape::Integer | Shape::Number => "number".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::Null => "null".to_owned(),
        Shape::List(item) => format!("Array<{}>", typed(item, indent)),
        Shape::Map(value) => format!("{{ [key: string]: {} }}", typed(value, indent)),
        Shape::Record(fields) => record(fields, indent),
        Shape::Union(members) => joined(members, " | ", indent),
        Shape::Intersection(members) => joined(members, " & ", indent),
    }
}

fn joined(members: &[Shape], with: &str, indent: &str) -> String {
    let member = |shape: &Shape| match shape {
        Shape::Union(_) | Shape::Intersection(_) => format!("({})", typed(shape, indent)),
        other => typed(other, indent),
    };
    members.iter().map(member).collect::<Vec<_>>().join(with)
}

fn record(fields: &[Field], indent: &str) -> String {
    if fields.is_empty() {
        return "{}".to_owned();
    }
    let inner = format!("{indent}  ");
    let mut text = String::from("{\n");
    for field in fields {
        comment(&field.description, &inner, &mut text);
        let mark = if field.optional { "?" } else { "" };
        let name = if is_identifier(&field.name) { field.name.clone() } else { Value::from(field.name.as_str()).to_string() };
        let _ = writeln!(text, "{inner}{name}{mark}: {}", typed(&field.shape, &inner));
    }
    let _ = write!(text, "{indent}}}");
    text
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|other| other.is_ascii_alphanumeric() || other == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_comments_and_methods() {
        let document = json!({
            "components": { "schemas": {
                "Side": { "description": "Which */ side.", "enum": ["left", "right"] },
                "Box": {
                    "description": "A box.\n\nOf things.",
                    "properties": { "side": { "$ref": "#/x/Side", "description": "Its side." }, "x-y": { "type": ["number", "null"] } },
                    "required": ["side"],
                },
            } },
            "methods": [{ "name": "box.get", "summary": "Reads.", "x-params": { "$ref": "#/x/Side" }, "result": { "schema": { "type": "array", "items": { "$ref": "#/x/Box" } } } }],
        });
        let text = declarations(&document);
        let expected = "/** Which * / side. */\nexport type Side = \"left\" | \"right\"\n/**\n * A box.\n *\n * Of things.\n */\n\
                        export type Box = {\n  /** Its side. */\n  side: Side\n  \"x-y\"?: number | null\n}\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("  /** Reads. */\n  \"box.get\": { params: Side; result: Array<Box> }\n"), "{text}");
    }
}
