//! The tools agree with what the contract says of them: their arguments, the metadata of their results and questions.

use std::collections::BTreeSet;

use polytree_protocol::{generate, permission_metadata::PermissionMetadata, tools::TOOLS};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{builtin, test_host::Place};

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// The schema of a type behind its reference.
fn resolved(schema: impl FnOnce(&mut SchemaGenerator) -> schemars::Schema) -> Value {
    let mut generator = SchemaGenerator::default();
    let schema = schema(&mut generator).to_value();
    match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => generator.definitions()[name].clone(),
        None => schema,
    }
}

/// Fails where a value has a field that the schema does not have.
fn fits(value: &Value, schema: &Value, what: &str) {
    let unknown: Vec<_> = names(value).difference(&names(&schema["properties"])).cloned().collect();
    assert!(unknown.is_empty(), "{what}: {unknown:?} of {value}");
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(required.as_str().unwrap()).is_some(), "{what}: {required} is missing in {value}");
    }
}

#[test]
fn every_tool_has_its_row_with_its_arguments() {
    let tools = builtin();
    let mut wanted: Vec<_> = tools.iter().map(|tool| tool.name()).collect();
    wanted.sort_unstable();
    assert_eq!(TOOLS.iter().map(|row| row.name).collect::<Vec<_>>(), wanted);
    for row in TOOLS {
        let tool = tools.iter().find(|tool| tool.name() == row.name).unwrap();
        let (own, told) = (tool.parameters(), resolved(row.input));
        assert_eq!(names(&own["properties"]), names(&told["properties"]), "{}", row.name);
        let required = |schema: &Value| -> BTreeSet<String> {
            schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(required(&own), required(&told), "{}", row.name);
    }
    let document = generate::openrpc();
    assert_eq!(document["x-tools"].as_array().unwrap().len(), TOOLS.len());
}

#[tokio::test]
async fn results_and_questions_hold_what_their_types_say() {
    let place = Place::new();
    place.write("a.txt", "one\ntwo\n");
    let long = "x\n".repeat(5000);
    let todo = json!([{ "content": "a", "status": "pending", "priority": "high" }]);
    let calls = [
        ("read", json!({ "filePath": "a.txt" })),
        ("read", json!({ "filePath": "." })),
        ("read", json!({ "filePath": "a.txt", "filePaths": [".", "missing"] })),
        ("edit", json!({ "filePath": "a.txt", "oldString": "two", "newString": "2" })),
        ("write", json!({ "filePath": "b.txt", "content": long })),
        ("glob", json!({ "pattern": "*.txt" })),
        ("grep", json!({ "pattern": "one" })),
        ("list", json!({})),
        ("bash", json!({ "command": "yes | head -n 5000; exit 3", "description": "d" })),
        ("bash", json!({ "command": "echo \u{202e}x; $X", "description": "d", "workdir": "." })),
        ("patch", json!({ "patchText": "*** Begin Patch\n*** Update File: a.txt\n@@\n-one\n+1\n*** Add File: c.txt\n+c\n*** End Patch" })),
        ("question", json!({ "questions": [{ "header": "h", "question": "q", "options": [{ "label": "a", "description": "b" }] }] })),
        ("todowrite", json!({ "todos": todo })),
        ("todoread", json!({})),
    ];
    let tools = builtin();
    for (name, input) in calls {
        let tool = tools.iter().find(|tool| tool.name() == name).unwrap();
        let row = TOOLS.iter().find(|row| row.name == name).unwrap();
        let output = place.call(tool, input.clone()).await.unwrap();
        fits(&input, &resolved(row.input), name);
        fits(&output.metadata, &resolved(row.metadata), name);
    }
    let told = resolved(SchemaGenerator::subschema_for::<PermissionMetadata>);
    let asks = place.host.asks();
    assert!(asks.iter().any(|ask| ask.kind == "edit") && asks.iter().any(|ask| ask.kind == "bash"));
    for ask in asks {
        fits(&ask.metadata, &told, &ask.kind);
        let typed: PermissionMetadata =
            serde_json::from_value(ask.metadata.clone()).unwrap_or_else(|error| panic!("{}: {error}", ask.kind));
        assert_eq!(serde_json::to_value(typed).unwrap().as_object().unwrap().len(), without_nulls(&ask.metadata), "{}", ask.metadata);
    }
    assert!(PermissionMetadata::schema_name() == "PermissionMetadata");
}

fn without_nulls(value: &Value) -> usize {
    value.as_object().unwrap().values().filter(|value| !value.is_null()).count()
}
