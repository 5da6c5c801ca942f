//! Keeps long texts out of events: above a limit a text is replaced by a reference, which `session.message` resolves.

use polytree_protocol::event::BlobRef;
use serde_json::{Value, json};

/// The largest text that stays in an event, in bytes.
pub(super) const MAX_INLINE_BYTES: usize = 64 * 1024;

/// Replaces every text above the limit with `{ref, bytes}`; `ref` is the JSON pointer of the text in the properties.
pub(super) fn replace(properties: String) -> String {
    if properties.len() <= MAX_INLINE_BYTES {
        return properties;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(&properties) else { return properties };
    visit(&mut value, &mut String::new());
    value.to_string()
}

/// Puts `{ref, bytes}` where the properties have an empty text in pointer of a long one.
pub(super) fn refer(properties: String, pointer: &str, bytes: usize) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(&properties) else { return properties };
    if let Some(text) = value.pointer_mut(pointer) {
        *text = reference(pointer, bytes);
    }
    value.to_string()
}

fn reference(pointer: &str, bytes: usize) -> Value {
    json!(BlobRef { reference: pointer.to_owned(), bytes: bytes as u64 })
}

fn visit(value: &mut Value, path: &mut String) {
    let length = path.len();
    match value {
        Value::String(text) if text.len() > MAX_INLINE_BYTES => *value = reference(path, text.len()),
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
        let long = "x".repeat(super::MAX_INLINE_BYTES + 1);
        let text = serde_json::json!({ "part": { "text": long, "id": "prt_1" } }).to_string();
        assert_eq!(super::replace(text.clone()), r#"{"part":{"text":{"ref":"/part/text","bytes":65537},"id":"prt_1"}}"#);
        assert_eq!(super::replace("{}".into()), "{}");
        let without = serde_json::json!({ "part": { "text": "", "id": "prt_1" } }).to_string();
        assert_eq!(super::refer(without, "/part/text", 65537), super::replace(text));
    }
}
