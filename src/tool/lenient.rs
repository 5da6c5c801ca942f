//! Arguments as a model meant them, where that is certain: lists and objects as text, numbers and truth values as text
//! and the other way round, `null` for what was left out. Whatever else does not fit the schema stays as it is. Pure.

use serde_json::{Number, Value};

/// The arguments with what is certain put right, by the JSON Schema of a tool.
pub fn repaired(schema: &Value, input: &Value) -> Value {
    let mut input = input.clone();
    fit(schema, &mut input);
    input
}

fn fit(schema: &Value, value: &mut Value) {
    if takes(schema, value) {
        descend(schema, value);
        return;
    }
    let read = match &*value {
        Value::String(text) => from_text(schema, text),
        Value::Number(number) => from_number(schema, number),
        Value::Bool(flag) if has_type(schema, "string") => Some(Value::String(flag.to_string())),
        Value::Object(_) if has_type(schema, "array") => Some(Value::Array(vec![value.clone()])),
        _ => None,
    };
    if let Some(read) = read {
        *value = read;
        descend(schema, value);
    }
}

/// The same for what is in a list or an object.
fn descend(schema: &Value, value: &mut Value) {
    match value {
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                list.iter_mut().for_each(|item| fit(items, item));
            }
        }
        Value::Object(object) => {
            let Some(properties) = schema["properties"].as_object() else { return };
            let is_required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
            for (name, property) in properties {
                let Some(field) = object.get_mut(name) else { continue };
                if is_nothing(property, field) && !is_required(name) {
                    object.shift_remove(name);
                } else {
                    fit(property, field);
                }
            }
        }
        _ => {}
    }
}

/// Whether it says that there is no value, where none is needed.
fn is_nothing(schema: &Value, value: &Value) -> bool {
    match value {
        Value::Null => !has_type(schema, "null"),
        // A text is never no text.
        Value::String(text) if !has_type(schema, "string") => {
            let text = text.trim();
            text.is_empty() || ["null", "none", "undefined"].iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

fn from_text(schema: &Value, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    if has_type(schema, "integer") || has_type(schema, "number") {
        let number: Number = trimmed.parse().ok()?;
        return from_number(schema, &number).or_else(|| Some(Value::Number(number)).filter(|value| takes(schema, value)));
    }
    if has_type(schema, "boolean") {
        let is = |word: &str| trimmed.eq_ignore_ascii_case(word);
        return if is("true") { Some(Value::Bool(true)) } else { is("false").then_some(Value::Bool(false)) };
    }
    let read = serde_json::from_str::<Value>(trimmed).ok().filter(|read| takes(schema, read));
    let is_list = has_type(schema, "array");
    let of_texts = is_list && schema.get("items").is_some_and(|items| has_type(items, "string"));
    match read {
        Some(read) => Some(read),
        // One word where a list of words is wanted.
        None if of_texts => Some(Value::Array(vec![Value::String(text.to_owned())])),
        None => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole numbers that are small enough to be exact")]
fn from_number(schema: &Value, number: &Number) -> Option<Value> {
    if has_type(schema, "string") {
        // A number with a point or an exponent may have been written in another way.
        return number.as_i64().map(|number| Value::String(number.to_string()));
    }
    let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0)?;
    (has_type(schema, "integer") && !number.is_i64() && !number.is_u64()).then(|| Value::from(whole as i64))
}

/// Whether the value is of a type that the schema names. A schema that names none takes everything.
fn takes(schema: &Value, value: &Value) -> bool {
    if schema.get("type").is_none() {
        return true;
    }
    match value {
        Value::Null => has_type(schema, "null"),
        Value::Bool(_) => has_type(schema, "boolean"),
        Value::Number(number) => has_type(schema, "number") || has_type(schema, "integer") && (number.is_i64() || number.is_u64()),
        Value::String(_) => has_type(schema, "string"),
        Value::Array(_) => has_type(schema, "array"),
        Value::Object(_) => has_type(schema, "object"),
    }
}

fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({ "type": "object", "required": ["text"], "properties": {
            "text": { "type": "string" },
            "path": { "type": ["string", "null"] },
            "count": { "type": ["integer", "null"] },
            "share": { "type": "number" },
            "flag": { "type": "boolean" },
            "words": { "type": "array", "items": { "type": "string" } },
            "things": { "type": "array", "items": { "type": "object", "properties": { "count": { "type": "integer" } } } },
        } })
    }

    #[test]
    fn what_is_certain_is_put_right() {
        for (input, expected) in [
            (json!({ "count": "5000" }), json!({ "count": 5000 })),
            (json!({ "count": 5000.0 }), json!({ "count": 5000 })),
            (json!({ "count": " 5e3 " }), json!({ "count": 5000 })),
            (json!({ "count": "-3" }), json!({ "count": -3 })),
            (json!({ "count": "", "text": "" }), json!({ "text": "" })),
            (json!({ "count": "None" }), json!({})),
            (json!({ "count": null, "path": null }), json!({ "count": null, "path": null })),
            (json!({ "share": "0.5" }), json!({ "share": 0.5 })),
            (json!({ "flag": "True" }), json!({ "flag": true })),
            (json!({ "flag": null, "share": null }), json!({})),
            (json!({ "words": "[\"a\", \"b\"]" }), json!({ "words": ["a", "b"] })),
            (json!({ "words": "a b" }), json!({ "words": ["a b"] })),
            (json!({ "words": [1, "b"] }), json!({ "words": ["1", "b"] })),
            (json!({ "things": "[{\"count\": \"1\"}]" }), json!({ "things": [{ "count": 1 }] })),
            (json!({ "things": { "count": "1" } }), json!({ "things": [{ "count": 1 }] })),
            (json!({ "things": ["{\"count\": 1}"] }), json!({ "things": [{ "count": 1 }] })),
            (json!({ "text": 42 }), json!({ "text": "42" })),
            (json!({ "text": true }), json!({ "text": "true" })),
        ] {
            assert_eq!(repaired(&schema(), &input), expected, "{input}");
        }
    }

    #[test]
    fn what_is_not_certain_stays() {
        for input in [
            json!({ "count": "5 seconds" }),
            json!({ "count": 1.5 }),
            json!({ "count": [5] }),
            json!({ "count": true }),
            json!({ "flag": "maybe" }),
            json!({ "flag": 1 }),
            json!({ "things": "one" }),
            json!({ "text": null }),
            json!({ "text": 1.50 }),
            json!({ "text": { "a": 1 } }),
            json!({ "text": "null", "path": "None", "unknown": "5" }),
        ] {
            assert_eq!(repaired(&schema(), &input), input);
        }
    }

    proptest! {
        #[test]
        fn what_fits_is_never_changed(text in ".{0,20}", count in any::<Option<i64>>(), flag: bool, words in prop::collection::vec(".{0,9}", 0..4)) {
            let input = json!({ "text": text, "count": count, "flag": flag, "words": words });
            prop_assert_eq!(repaired(&schema(), &input), input);
        }
    }
}
