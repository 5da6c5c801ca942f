//! Long texts do not travel in events: above a limit a reference stands in their place, which `session.message` resolves.

use polytree_protocol::event::BlobRef;
use serde_json::{Value, json};

/// Texts above this many bytes are replaced.
pub(super) const LIMIT: usize = 64 * 1024;

/// The properties, with `{ref, bytes}` in place of every text above the limit. `ref` is the path to the text in them.
pub(super) fn replace(properties: String) -> String {
    if properties.len() <= LIMIT {
        return properties;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(&properties) else { return properties };
    visit(&mut value, &mut String::new());
    value.to_string()
}

/// The properties, with `{ref, bytes}` at the place of a text that they do not have.
pub(super) fn refer(properties: String, place: &str, bytes: usize) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(&properties) else { return properties };
    if let Some(text) = value.pointer_mut(place) {
        *text = reference(place, bytes);
    }
    value.to_string()
}

fn reference(place: &str, bytes: usize) -> Value {
    json!(BlobRef { reference: place.to_owned(), bytes: bytes as u64 })
}

fn visit(value: &mut Value, path: &mut String) {
    let length = path.len();
    match value {
        Value::String(text) if text.len() > LIMIT => *value = reference(path, text.len()),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push_str(&format!("/{index}"));
                visit(item, path);
                path.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                path.push('/');
                path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                visit(field, path);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_long_texts_are_replaced() {
        let long = "x".repeat(super::LIMIT + 1);
        let text = serde_json::json!({ "part": { "text": long, "id": "prt_1" } }).to_string();
        assert_eq!(super::replace(text.clone()), r#"{"part":{"text":{"ref":"/part/text","bytes":65537},"id":"prt_1"}}"#);
        assert_eq!(super::replace("{}".into()), "{}");
        let without = serde_json::json!({ "part": { "text": "", "id": "prt_1" } }).to_string();
        assert_eq!(super::refer(without, "/part/text", 65537), super::replace(text));
    }
}
