//! The JSON Schema that a client wants an answer to satisfy. It is hostile until checked: its size, its depth, what its
//! references cost, and that nothing leads out of it. Pure.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::stdx::text::ellipsis;

/// The largest schema, in bytes of JSON.
const MAX_BYTES: usize = 64 * 1024;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// One place in a value may be checked against this many schemas.
const MAX_WEIGHT: u64 = 1000;
/// The most mistakes that are reported at once.
const MAX_MISTAKES: usize = 5;
/// The longest report of one mistake.
const MAX_MISTAKE_CHARS: usize = 300;

/// The drafts of JSON Schema that are known.
const DRAFTS: [&str; 5] = ["draft/2020-12/schema", "draft/2019-09/schema", "draft-07/schema", "draft-06/schema", "draft-04/schema"];
/// Keywords that name parts of a schema, to be referenced from elsewhere. Pointers need no names.
const REFUSED: [&str; 7] = ["$id", "id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"];
/// Keywords whose value is data, not a schema.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "required"];
/// Keywords whose value is a map from names to schemas.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords whose schemas apply to the same place in the value as the schema that contains them.
const IN_PLACE: [&str; 8] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

/// Makes a validator of a schema.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(format!("the schema has {bytes} bytes; at most {MAX_BYTES} are taken"));
    }
    if let Some(draft) = schema.get("$schema") {
        let is_known = draft.as_str().is_some_and(|text| {
            let text = text.trim_end_matches('#').trim_start_matches("https://").trim_start_matches("http://");
            text.strip_prefix("json-schema.org/").is_some_and(|draft| DRAFTS.contains(&draft))
        });
        if !is_known {
            return Err(at(
                "/$schema",
                "expected the address of a draft of JSON Schema, such as https://json-schema.org/draft/2020-12/schema",
            ));
        }
    }
    let mut places = HashMap::new();
    walk(schema, String::new(), 0, &mut places)?;
    if let Err(error) = jsonschema::meta::validate(schema) {
        let place = error.instance_path().to_string();
        return Err(at(&place, &ellipsis(&error.to_string(), MAX_MISTAKE_CHARS)));
    }
    let mut weights = HashMap::new();
    let mut pointers: Vec<&String> = places.keys().collect();
    pointers.sort();
    for pointer in pointers {
        weigh(schema, pointer, &places, &mut weights)?;
    }
    jsonschema::options()
        .offline()
        // Never longer than the text, whatever the pattern.
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| at(&error.instance_path().to_string(), &ellipsis(&error.to_string(), MAX_MISTAKE_CHARS)))
}

/// The mistakes, as sentences that a model can act on.
pub(super) fn mistakes(validator: &Validator, value: &Value) -> Option<String> {
    let told: Vec<String> = validator
        .iter_errors(value)
        .take(MAX_MISTAKES)
        .map(|error| at(&error.instance_path().to_string(), &ellipsis(&error.to_string(), MAX_MISTAKE_CHARS)))
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn at(pointer: &str, message: &str) -> String {
    if pointer.is_empty() { message.to_owned() } else { format!("at {pointer}: {message}") }
}

/// Records where schemas are, and refuses references out of the schema.
fn walk<'a>(schema: &'a Value, pointer: String, depth: usize, places: &mut HashMap<String, &'a Value>) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(at(&pointer, &format!("it is nested more than {MAX_DEPTH} levels deep")));
    }
    let Some(object) = schema.as_object() else {
        places.insert(pointer, schema);
        return Ok(());
    };
    for (key, value) in object {
        let below = || format!("{pointer}/{}", escaped(key));
        if REFUSED.contains(&key.as_str()) && value.is_string() {
            return Err(at(&below(), "parts of the schema cannot have names of their own; use `$ref` with a path such as `#/$defs/item`"));
        }
        if key == "$ref" && !value.as_str().is_some_and(|target| target == "#" || target.starts_with("#/")) {
            return Err(at(&below(), "a reference must stay within the schema, such as `#/$defs/item`; nothing is fetched"));
        }
        match value {
            _ if DATA.contains(&key.as_str()) => {}
            Value::Object(map) if MAPS.contains(&key.as_str()) => {
                for (name, inner) in map {
                    walk(inner, format!("{}/{}", below(), escaped(name)), depth + 2, places)?;
                }
            }
            Value::Object(_) => walk(value, below(), depth + 1, places)?,
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate().filter(|(_, inner)| inner.is_object()) {
                    walk(inner, format!("{}/{index}", below()), depth + 2, places)?;
                }
            }
            _ => {}
        }
    }
    places.insert(pointer, schema);
    Ok(())
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// How many schemas are checked at the place of this one, itself included.
fn weigh<'a>(
    root: &'a Value,
    pointer: &str,
    places: &HashMap<String, &'a Value>,
    weights: &mut HashMap<String, Option<u64>>,
) -> Result<u64, String> {
    match weights.get(pointer) {
        Some(Some(weight)) => return Ok(*weight),
        Some(None) => return Err(at(pointer, "the schema refers to itself for the same value, without an end")),
        None => {}
    }
    weights.insert(pointer.to_owned(), None);
    let mut weight: u64 = 1;
    if let Some(object) = places.get(pointer).and_then(|schema| schema.as_object()) {
        let mut inner = Vec::new();
        if let Some(target) = object.get("$ref").and_then(Value::as_str) {
            let target = target.trim_start_matches('#');
            if root.pointer(target).is_none() || !places.contains_key(target) {
                return Err(at(&format!("{pointer}/$ref"), &format!("there is no schema at `#{target}`")));
            }
            inner.push(target.to_owned());
        }
        for key in IN_PLACE {
            match object.get(key) {
                Some(Value::Array(list)) => inner.extend((0..list.len()).map(|index| format!("{pointer}/{key}/{index}"))),
                Some(Value::Object(map)) if MAPS.contains(&key) => {
                    inner.extend(map.keys().map(|name| format!("{pointer}/{key}/{}", escaped(name))));
                }
                Some(Value::Object(_)) => inner.push(format!("{pointer}/{key}")),
                _ => {}
            }
        }
        for place in inner {
            weight = weight.saturating_add(weigh(root, &place, places, weights)?);
        }
    }
    if weight > MAX_WEIGHT {
        return Err(at(pointer, &format!("a value would be held against more than {MAX_WEIGHT} schemas here")));
    }
    weights.insert(pointer.to_owned(), Some(weight));
    Ok(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> String {
        match compile(schema) {
            Ok(_) => panic!("{schema} was taken"),
            Err(error) => error,
        }
    }

    #[test]
    fn what_is_wrong_and_where() {
        let mut chain = json!({ "$defs": { "d0": { "type": "string" } }, "$ref": "#/$defs/d12" });
        for level in 1..=12 {
            let below = json!({ "$ref": format!("#/$defs/d{}", level - 1) });
            chain["$defs"][format!("d{level}")] = json!({ "anyOf": [below, below] });
        }
        let told: String = [
            json!({ "type": "objekt" }),
            json!({ "type": "object", "properties": { "a": { "minLength": -1 } } }),
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "other.json#/a" }),
            json!({ "$ref": "#/$defs/missing" }),
            json!({ "$ref": "#/$defs", "$defs": {} }),
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#/$defs/a" }], "$defs": { "a": { "not": { "$ref": "#/$defs/a" } } } }),
            json!({ "$id": "https://example.com/x" }),
            json!({ "$schema": "https://example.com/meta" }),
            json!({ "type": "string", "pattern": "(" }),
            chain,
        ]
        .iter()
        .map(|schema| format!("{:.110}\n", refused(schema)))
        .collect();
        expect_test::expect![[r#"
            at /type: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword
            at /properties/a/minLength: -1 is less than the minimum of 0
            at /$ref: a reference must stay within the schema, such as `#/$defs/item`; nothing is fetched
            at /$ref: a reference must stay within the schema, such as `#/$defs/item`; nothing is fetched
            at /$ref: there is no schema at `#/$defs/missing`
            at /$ref: there is no schema at `#/$defs`
            the schema refers to itself for the same value, without an end
            at /$defs/a: the schema refers to itself for the same value, without an end
            at /$id: parts of the schema cannot have names of their own; use `$ref` with a path such as `#/$defs/item`
            at /$schema: expected the address of a draft of JSON Schema, such as https://json-schema.org/draft/2020-12/sch
            at /pattern: "(" is not a "regex"
            at /$defs/d8: a value would be held against more than 1000 schemas here
        "#]]
        .assert_eq(&told);
        assert!(refused(&json!({ "description": "x".repeat(MAX_BYTES) })).contains("at most 65536"));
        let deep = (0..100).fold(json!({}), |inner, _| json!({ "items": inner }));
        assert!(refused(&deep).contains("levels deep"));
    }

    #[test]
    fn good_ones_are_taken() {
        for schema in [
            json!({ "type": "object", "properties": { "$ref": { "type": "string" }, "$id": { "type": "string" }, "id": { "type": "integer" } } }),
            // A tree: it goes deeper each time.
            json!({ "type": "object", "properties": { "children": { "type": "array", "items": { "$ref": "#" } } } }),
            json!({ "$ref": "#/$defs/a~1b", "$defs": { "a/b": { "const": { "$ref": "x" } } } }),
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "definitions": { "a": {} }, "items": [{ "$ref": "#/definitions/a" }] }),
            json!({ "enum": [1, "two", null] }),
        ] {
            if let Err(error) = compile(&schema) {
                panic!("{schema}: {error}");
            }
        }
    }

    #[test]
    fn mistakes_name_their_places() {
        let validator = compile(
            &json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" }, "list": { "items": { "maxLength": 2 } } } }),
        );
        let validator = validator.unwrap();
        assert_eq!(mistakes(&validator, &json!({ "n": 1 })), None);
        let told = mistakes(&validator, &json!({ "list": ["ok", "x".repeat(1000)] })).unwrap();
        assert!(told.contains("\"n\" is a required property") && told.contains("at /list/1: "), "{told}");
        assert!(told.len() < 1000, "{told}");
    }

    #[test]
    fn patterns_cost_no_more_than_the_text() {
        let validator = compile(&json!({ "type": "string", "pattern": "^(a+)+$" })).unwrap();
        let begun = std::time::Instant::now();
        assert!(mistakes(&validator, &json!("a".repeat(50_000) + "!")).is_some());
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    }

    fn some_schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({})),
            Just(json!(true)),
            Just(json!({ "type": "string" })),
            prop_oneof![Just("#"), Just("#/$defs/a"), Just("#/$defs/b"), Just("#/properties/a")]
                .prop_map(|target| json!({ "$ref": target })),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            let key = prop_oneof![
                Just("not"),
                Just("items"),
                Just("if"),
                Just("then"),
                Just("additionalProperties"),
                Just("contains"),
                Just("propertyNames")
            ];
            prop_oneof![
                (key, inner.clone()).prop_map(|(key, schema)| json!({ key: schema })),
                proptest::collection::vec(inner.clone(), 1..3).prop_map(|list| json!({ "allOf": list })),
                proptest::collection::vec(inner.clone(), 1..3).prop_map(|list| json!({ "oneOf": list })),
                (inner.clone(), inner).prop_map(|(a, b)| json!({ "properties": { "a": a, "b": b } })),
            ]
        })
    }

    proptest! {
        /// An accepted schema checks any value in finite time and stack.
        #[test]
        fn whatever_is_taken_ends(root in some_schema(), a in some_schema(), b in some_schema()) {
            let mut schema = root;
            if let Some(object) = schema.as_object_mut() {
                object.insert("$defs".to_owned(), json!({ "a": a, "b": b }));
            }
            if let Ok(validator) = compile(&schema) {
                let value = (0..20).fold(json!("x"), |inner, _| json!({ "a": inner, "b": [inner.get("a").is_some()] }));
                mistakes(&validator, &value);
                mistakes(&validator, &json!([[[["x"]]]]));
            }
        }
    }
}
