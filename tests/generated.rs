//! The files in `schema/` match the tables and are valid, and the contract uses only shapes from which clients in any
//! language can be generated.

use std::{collections::HashSet, fs, path::PathBuf};

use polytree_protocol::{
    config::Config,
    errors::ErrorKind,
    event::Event,
    events::{EVENTS, EventPayload},
    generate::documents,
    method::Retry,
    methods::METHODS,
    session::{PartInput, SessionPromptParams},
};
use serde_json::{Value, json};

const COMMAND: &str = "cargo run -p polytree-protocol --bin generate";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generated(path: &str) -> Value {
    let document = documents().into_iter().find(|document| document.path == path).expect("a generated file");
    serde_json::from_str(&document.text).expect("generated files are JSON")
}

fn read_json(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_committed_files_are_current() {
    for document in documents() {
        let committed = fs::read_to_string(root().join(document.path)).unwrap_or_default().replace("\r\n", "\n");
        assert!(committed == document.text, "{} is stale; run: {COMMAND}", document.path);
    }
    let expected: HashSet<&str> = documents().iter().map(|document| document.path).collect();
    for entry in fs::read_dir(root().join("schema")).unwrap() {
        let name = format!("schema/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(expected.contains(name.as_str()), "nothing generates {name}");
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    for (first, second) in documents().iter().zip(documents()) {
        assert!(first.text == second.text, "{}", first.path);
        assert!(first.text.ends_with('\n') && !first.text.contains(" \n"), "{}", first.path);
    }
}

// ---- OpenRPC

#[test]
fn the_openrpc_document_fits_the_meta_schema() {
    let mut meta_schema = read_json("tests/data/openrpc/openrpc-meta-schema.json");
    let mut json_schema = read_json("tests/data/openrpc/json-schema-meta-schema.json");
    // Both declare their own dialect, which is draft 7.
    for schema in [&mut meta_schema, &mut json_schema] {
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    }
    let address = "https://meta.json-schema.tools";
    let registry = jsonschema::Registry::new().add(address, &json_schema).unwrap().add(format!("{address}/"), &json_schema).unwrap();
    let registry = registry.prepare().unwrap();
    let validator = jsonschema::options().offline().with_registry(&registry).build(&meta_schema).unwrap();
    let document = generated("schema/openrpc.json");
    let errors: Vec<String> = validator.iter_errors(&document).map(|error| format!("{}: {error:.200}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));

    let mut broken = document;
    broken["methods"][0]["paramStructure"] = json!("by-guess");
    assert!(!validator.is_valid(&broken), "the meta schema accepts anything");
}

#[test]
fn every_reference_leads_somewhere() {
    for document in documents().iter().filter(|document| document.path.ends_with(".json")) {
        let value = generated(document.path);
        visit(&value, &mut |schema| {
            if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
                assert!(value.pointer(pointer).is_some(), "{}: {reference} leads nowhere", document.path);
            }
        });
    }
}

#[test]
fn the_openrpc_document_holds_every_row_of_the_tables() {
    let document = generated("schema/openrpc.json");
    let names = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&document["methods"], "name"), METHODS.iter().map(|method| method.name).collect::<Vec<_>>());
    assert_eq!(names(&document["x-events"], "type"), EVENTS.iter().map(|event| event.name).collect::<Vec<_>>());
    assert_eq!(names(&document["x-errors"], "kind"), ErrorKind::ALL.iter().map(|kind| kind.word()).collect::<Vec<_>>());
    for method in document["methods"].as_array().unwrap() {
        let params = names(&method["params"], "name");
        assert!(params.contains(&"directory".to_owned()), "{}", method["name"]);
    }
}

// ---- the tables

#[test]
fn names_are_words_with_dots_and_unique() {
    let mut seen = HashSet::new();
    for name in METHODS.iter().map(|method| method.name) {
        let words: Vec<&str> = name.split('.').collect();
        assert!(words.len() >= 2, "{name} has no verb");
        assert!(words.iter().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())), "{name}");
        assert!(seen.insert(name), "{name} is there twice");
    }
    seen.clear();
    for name in EVENTS.iter().map(|event| event.name) {
        assert!(name.contains('.') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.'), "{name}");
        assert!(seen.insert(name), "{name} is there twice");
    }
}

#[test]
fn error_codes_and_words_are_unique_and_outside_reserved_ranges() {
    let (mut codes, mut words) = (HashSet::new(), HashSet::new());
    for kind in ErrorKind::ALL {
        assert!(codes.insert(kind.code()) && words.insert(kind.word()), "{kind:?}");
        let standard = matches!(kind.code(), -32700 | -32600..=-32600 | -32603..=-32601 | -32800);
        assert!(standard || kind.code() > 0, "{kind:?} takes a number that others use");
    }
}

#[test]
fn a_request_with_a_key_is_never_kept_to_be_sent_again() {
    let method = METHODS.iter().find(|method| method.name == "auth.set").unwrap();
    assert_eq!(method.retry, Retry::Never);
}

#[test]
fn summaries_are_one_sentence_and_routes_are_unique() {
    let mut routes = HashSet::new();
    for method in METHODS {
        assert!(method.summary.ends_with('.') && !method.summary.contains('\n'), "{}", method.name);
        if let Some(route) = method.route {
            assert!(matches!(route.verb, "GET" | "POST" | "DELETE") && route.path.starts_with('/'), "{}", method.name);
            assert!(routes.insert((route.verb, route.path)), "{}: its route is another method's", method.name);
        }
    }
}

// ---- the shapes

/// The types that accept two shapes. Users write them by hand, mostly in the short form.
const TWO_SHAPES: &[&str] = &[
    "SessionPromptParams.parts",
    "SessionSubmitParams.parts",
    "SessionQueueReplaceParams.parts",
    "SessionSteerParams.parts",
    "PermissionConfig",
    "PermissionSetting",
];

#[test]
fn type_names_are_unique() {
    let contract = generated("schema/schema.json");
    for name in contract["$defs"].as_object().unwrap().keys() {
        // The generator adds a number to types with the same name.
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "two types are called {}", name.trim_end_matches(char::is_numeric));
        assert!(
            name.starts_with(|first: char| first.is_ascii_uppercase()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{name}"
        );
    }
}

/// Generated clients turn them into arguments.
#[test]
fn params_may_be_names_in_any_language() {
    let reserved = [
        "case", "class", "default", "delete", "end", "for", "from", "function", "if", "import", "in", "is", "new", "package", "return",
        "switch", "this", "var", "with",
    ];
    for method in generated("schema/openrpc.json")["methods"].as_array().unwrap() {
        for param in method["params"].as_array().unwrap() {
            assert!(!reserved.contains(&param["name"].as_str().unwrap()), "{}: {}", method["name"], param["name"]);
        }
    }
}

#[test]
fn everything_is_described() {
    for (path, definitions) in [("schema/schema.json", "$defs"), ("schema/config.json", "definitions")] {
        let document = generated(path);
        let check = &mut |place: &str, schema: &Value| {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(is_described(property) || is_tag(name, property), "{path}: {place}.{name} has no description");
            }
        };
        for_each_schema("", &document, check);
        for (name, definition) in document[definitions].as_object().unwrap() {
            assert!(is_described(definition), "{path}: {name} has no description");
            for_each_schema(name, definition, check);
        }
    }
}

#[test]
fn unions_have_a_tag() {
    let contract = generated("schema/schema.json");
    let mut exceptions = HashSet::new();
    for (name, definition) in contract["$defs"].as_object().unwrap() {
        for_each_schema(name, definition, &mut |place, schema| {
            if !has_one_shape(schema) {
                assert!(TWO_SHAPES.contains(&place), "{place} is a union without a tag: {schema:#}");
                exceptions.insert(place.to_owned());
            }
        });
    }
    assert_eq!(exceptions, TWO_SHAPES.iter().map(|&name| name.to_owned()).collect(), "an exception is not needed any more");
}

fn is_described(schema: &Value) -> bool {
    schema["description"].as_str().is_some_and(|description| !description.trim().is_empty())
}

fn is_tag(property: &str, schema: &Value) -> bool {
    matches!(property, "type" | "role" | "status") && schema["const"].is_string()
}

/// An object, an array, a value, a reference, a nullable one of these, a string enum, or a tagged union.
fn has_one_shape(schema: &Value) -> bool {
    if let [text, blob] = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default()
        && blob["$ref"] == "#/$defs/BlobRef"
    {
        return has_one_shape(text);
    }
    if let Some(variants) = schema["anyOf"].as_array() {
        return matches!(variants.as_slice(), [_, null] if null["type"] == "null");
    }
    let Some(variants) = schema["oneOf"].as_array() else {
        return schema["type"].as_array().is_none_or(|types| types.len() == 2 && types[1] == "null");
    };
    let string_enum = variants.iter().all(|variant| variant["type"] == "string" && variant["const"].is_string());
    let tagged = ["type", "role", "status"].iter().any(|tag| {
        let constants: HashSet<&str> = variants.iter().filter_map(|variant| variant["properties"][tag]["const"].as_str()).collect();
        let required =
            variants.iter().all(|variant| variant["required"].as_array().is_some_and(|names| names.iter().any(|name| name == tag)));
        constants.len() == variants.len() && required
    });
    string_enum || tagged
}

/// Visits the schema and all schemas within it, with the property path of each.
fn for_each_schema(place: &str, schema: &Value, callback: &mut impl FnMut(&str, &Value)) {
    callback(place, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        for_each_schema(&format!("{place}.{name}"), property, callback);
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        for variant in schema[keyword].as_array().into_iter().flatten() {
            for_each_schema(place, variant, callback);
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            for_each_schema(place, &schema[keyword], callback);
        }
    }
}

fn visit(value: &Value, callback: &mut impl FnMut(&Value)) {
    callback(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, callback)),
        Value::Object(map) => map.values().for_each(|item| visit(item, callback)),
        _ => {}
    }
}

// ---- the schemas against what serde does

/// A validator of one type of the contract.
fn validator(name: &str) -> jsonschema::Validator {
    let mut schema = generated("schema/schema.json");
    schema["$ref"] = json!(format!("#/$defs/{name}"));
    jsonschema::options().offline().build(&schema).unwrap()
}

#[test]
fn prompts_are_accepted_by_schema_and_daemon_alike() {
    let validator = validator("SessionPromptParams");
    let session = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (accepted, params) in [
        (true, json!({ "parts": "explain this project" })),
        (true, json!({ "sessionID": session, "parts": [{ "type": "text", "text": "explain" }] })),
        (true, json!({ "parts": [{ "type": "file", "mime": "text/plain", "url": "file:///a" }], "tools": { "bash": false } })),
        (true, json!({ "parts": [], "model": { "providerID": "a", "modelID": "b/c" }, "directory": "/tmp" })),
        (false, json!({ "sessionID": session })),
        (false, json!({ "sessionID": "ses_1", "parts": "explain" })),
        (false, json!({ "sessionID": "ses_81ARZ3NDEKTSV4RRFFQ69G5FAV", "parts": "explain" })),
        (false, json!({ "sessionID": "ses_O1ARZ3NDEKTSV4RRFFQ69G5FAV", "parts": "explain" })),
        (false, json!({ "sessionID": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "parts": "explain" })),
        (false, json!({ "parts": 1 })),
        (false, json!({ "parts": [{ "type": "text", "text": "explain", "txet": 1 }] })),
        (false, json!({ "parts": [{ "text": "explain" }] })),
        (false, json!({ "parts": "explain", "part": [] })),
        (false, json!({ "parts": "explain", "model": "a/b" })),
    ] {
        assert_eq!(validator.is_valid(&params), accepted, "the schema: {params}");
        assert_eq!(serde_json::from_value::<SessionPromptParams>(params.clone()).is_ok(), accepted, "the daemon: {params}");
    }
}

#[test]
fn events_fit_the_schema() {
    let (event_validator, payload_validator) = (validator("Event"), validator("EventPayload"));
    let id = |prefix: &str| format!("{prefix}_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let part = json!({
        "type": "tool", "id": id("prt"), "sessionID": id("ses"), "messageID": id("msg"), "callID": "1", "tool": "read",
        "state": { "status": "running", "input": {}, "time": { "start": 1 } },
    });
    for (name, properties) in [
        ("server.connected", json!({})),
        ("session.status", json!({ "sessionID": id("ses"), "status": { "type": "waiting", "permissionID": id("per"), "since": 1 } })),
        ("session.status", json!({ "sessionID": id("ses"), "status": { "type": "idle" } })),
        ("message.part.updated", json!({ "part": part })),
        (
            "question.asked",
            json!({
                "id": id("que"), "sessionID": id("ses"), "messageID": id("msg"), "callID": "1", "time": { "created": 1 },
                "questions": [{ "header": "h", "question": "q", "options": [{ "label": "a", "description": "b" }], "multiple": false, "custom": true }],
            }),
        ),
        ("question.replied", json!({ "sessionID": id("ses"), "questionID": id("que"), "outcome": "answered", "answers": [["a"], []] })),
        ("question.replied", json!({ "sessionID": id("ses"), "questionID": id("que"), "outcome": "rejected", "answers": null })),
        (
            "process.updated",
            json!({ "info": {
                "id": id("prc"), "sessionID": id("ses"), "command": "make", "directory": "/tmp", "pid": 7, "started": 1, "status": "running",
            } }),
        ),
        ("permission.replied", json!({ "sessionID": id("ses"), "permissionID": id("per"), "response": "expired" })),
    ] {
        let payload: EventPayload = serde_json::from_value(json!({ "type": name, "properties": properties })).unwrap();
        let sent = serde_json::to_value(&payload).unwrap();
        assert!(payload_validator.is_valid(&sent), "{sent}");
        let event = Event {
            cursor: 1,
            time: 2,
            kind: payload.name().to_owned(),
            directory: Some("/tmp".to_owned()),
            project_id: None,
            session_id: None,
            properties: serde_json::from_str(&payload.properties()).unwrap(),
        };
        assert!(event_validator.is_valid(&serde_json::to_value(event).unwrap()), "{sent}");
    }
    assert!(!payload_validator.is_valid(&json!({ "type": "session.status", "properties": {} })));
    assert!(!payload_validator.is_valid(&json!({ "type": "session.started", "properties": {} })));
}

#[test]
fn a_long_text_may_be_a_reference_in_events_only() {
    let (events, messages, parts) = (validator("EventPayload"), validator("MessageWithParts"), validator("Part"));
    let id = |prefix: &str| format!("{prefix}_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let part = |text: Value| json!({ "type": "text", "id": id("prt"), "sessionID": id("ses"), "messageID": id("msg"), "text": text });
    let tool = |state: Value| json!({ "type": "tool", "id": id("prt"), "sessionID": id("ses"), "messageID": id("msg"), "callID": "1", "tool": "read", "state": state });
    let blob = |place: &str| json!({ "ref": place, "bytes": 70_000 });
    let done = |output: Value| {
        tool(json!({ "status": "completed", "input": {}, "output": output, "title": "", "metadata": {}, "time": { "start": 1 } }))
    };
    for (text, reference) in [(part("short".into()), part(blob("/part/text"))), (done("short".into()), done(blob("/part/state/output")))] {
        for part in [&text, &reference] {
            let event = json!({ "type": "message.part.updated", "properties": { "part": part } });
            assert!(events.is_valid(&event), "{event}");
        }
        assert!(parts.is_valid(&text) && !parts.is_valid(&reference), "{reference}");
    }
    assert!(!events.is_valid(&json!({ "type": "message.part.updated", "properties": { "part": part(json!({ "ref": "/part/text" })) } })));
    let question = json!({
        "id": id("per"), "sessionID": id("ses"), "messageID": id("msg"), "callID": "1", "type": "bash", "patterns": [blob("/patterns/0")],
        "always": [], "title": "t", "metadata": {}, "time": { "created": 1 },
    });
    assert!(events.is_valid(&json!({ "type": "permission.asked", "properties": question })));
    assert!(!validator("Permission").is_valid(&question));
    assert!(messages.is_valid(&json!({ "info": user_message(), "parts": [part("short".into())], "cursor": 1 })));
}

fn user_message() -> Value {
    json!({
        "role": "user", "id": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", "time": { "created": 1 },
        "state": "queued", "agent": "build", "model": { "providerID": "p", "modelID": "m" },
    })
}

#[test]
fn a_reference_has_no_keywords_beside_it_and_types_are_named() {
    for (path, definitions) in [("schema/schema.json", "/$defs"), ("schema/openrpc.json", "/components/schemas")] {
        let document = generated(path);
        visit(&document, &mut |schema| {
            let Some(object) = schema.as_object().filter(|object| object.contains_key("$ref")) else { return };
            assert_eq!(object.len(), 1, "{path}: many generators of types read nothing but the reference in {schema}");
        });
        for (name, definition) in document.pointer(definitions).unwrap().as_object().unwrap() {
            assert_eq!(definition["title"], name.as_str(), "{path}");
        }
        assert!(!document.to_string().contains("x-long"), "{path}");
    }
}

#[test]
fn what_is_sent_fits_what_is_accepted() {
    let validator = validator("PartInput");
    for part in [json!({ "type": "agent", "name": "plan" }), json!({ "type": "text", "text": "", "synthetic": true })] {
        let parsed: PartInput = serde_json::from_value(part).unwrap();
        assert!(validator.is_valid(&serde_json::to_value(&parsed).unwrap()), "{parsed:?}");
    }
}

#[test]
fn settings_are_accepted_by_schema_and_daemon_alike() {
    let validator = jsonschema::options().offline().build(&generated("schema/config.json")).unwrap();
    for (accepted, settings) in [
        (true, json!({})),
        (true, json!({ "$schema": "schema/config.json", "model": "local/small", "permission": "ask" })),
        (true, json!({ "permission": { "edit": "ask", "bash": { "*": "ask", "git status*": "allow" } }, "storage": { "log_days": 1 } })),
        (true, json!({ "agent": { "review": { "mode": "subagent", "reasoningEffort": "high" } } })),
        (
            true,
            json!({ "provider": { "local": { "options": { "baseURL": "http://127.0.0.1:1/v1", "top_k": 1 }, "models": { "small": {} } } } }),
        ),
        (false, json!({ "modle": "local/small" })),
        (false, json!({ "permission": { "bsh": "deny" } })),
        (false, json!({ "permission": { "bash": "never" } })),
        (false, json!({ "storage": { "durability": "paper" } })),
    ] {
        assert_eq!(validator.is_valid(&settings), accepted, "the schema: {settings}");
        assert_eq!(serde_json::from_value::<Config>(settings.clone()).is_ok(), accepted, "the daemon: {settings}");
    }
    assert!(validator.is_valid(&serde_json::to_value(Config::default()).unwrap()));
}
