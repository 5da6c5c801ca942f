//! The OpenRPC document: every method with its params, result and errors; and, as extensions, what OpenRPC has
//! no words for: events, HTTP statuses, whether a request may be sent again, and the specification's routes.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    json_schema::{Tidy, paragraphs, sorted_definitions, visit_contract},
    long_text::event_properties,
};
use crate::{
    PROTOCOL_VERSION,
    errors::{ErrorData, ErrorKind},
    events::EVENTS,
    method::{Kind, MethodSpec},
    methods::METHODS,
    tools::TOOLS,
};

const DEFINITIONS: &str = "/components/schemas";

/// `openrpc.json`.
pub fn document() -> Value {
    // OpenRPC 1.3 means draft 7, where nothing beside a `$ref` counts.
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = DEFINITIONS.into());
    let mut generator = settings.with_transform(Tidy).into_generator();
    visit_contract(&mut generator);
    let methods: Vec<Value> = METHODS.iter().map(|method| method_object(method, &mut generator)).collect();
    let events: Vec<Value> = EVENTS
        .iter()
        .map(|event| {
            let properties = event_properties(event, &mut generator);
            json!({ "type": event.name, "summary": event.summary, "logged": event.logged, "properties": properties })
        })
        .collect();
    let tools: Vec<Value> = TOOLS
        .iter()
        .map(|tool| json!({ "name": tool.name, "input": (tool.input)(&mut generator), "metadata": (tool.metadata)(&mut generator) }))
        .collect();
    let errors: Vec<Value> = ErrorKind::ALL
        .iter()
        .map(|kind| json!({ "kind": kind, "code": kind.code(), "httpStatus": kind.http_status(), "meaning": kind.meaning() }))
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "polytree",
            "version": format!("{PROTOCOL_VERSION}"),
            "description": "The protocol of the polytree daemon. Generated; see README.md.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "methods": methods,
        "components": {
            "errors": ErrorKind::ALL.iter().map(|&kind| (kind.word().to_owned(), error_object(kind))).collect::<Map<_, _>>(),
            "schemas": sorted_definitions(&mut generator),
        },
        "x-events": events,
        "x-tools": tools,
        "x-errors": errors,
    })
}

fn method_object(method: &MethodSpec, generator: &mut SchemaGenerator) -> Value {
    let params_reference = (method.params)(generator);
    let params = content_descriptors(&params_reference, generator);
    let takes = |name: &str| params.iter().any(|param| param["name"] == name);
    let errors: Vec<Value> = ErrorKind::ALL
        .iter()
        .filter(|&&kind| may_answer(kind, takes))
        .map(|kind| json!({ "$ref": format!("#/components/errors/{}", kind.word()) }))
        .collect();
    let answer = (method.result)(generator);
    let mut object = json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": params,
        "result": result_descriptor(method.kind, &answer, generator),
        "errors": errors,
        "x-params": params_reference,
        "x-kind": method.kind,
        "x-retry": method.retry,
    });
    if let Some(notification) = method.notification() {
        object["x-notification"] = json!({ "method": notification, "result": answer });
    }
    if let Some(route) = method.route {
        object["x-route"] = json!(route);
    }
    object
}

/// One descriptor for each property of a params type.
///
/// # Panics
/// When the params are not a named object whose properties are all described, as the macro `params!` makes them.
fn content_descriptors(reference: &Schema, generator: &mut SchemaGenerator) -> Vec<Value> {
    let pointer = reference.get("$ref").and_then(Value::as_str).expect("params types have names");
    let name = pointer.rsplit('/').next().expect("a pointer has a last token");
    let params = generator.definitions()[name].clone();
    let required: Vec<&str> = params["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = params["properties"].as_object().expect("params are objects");
    let mut descriptors = Vec::new();
    for (name, property) in properties {
        let mut schema = property.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.shift_remove("description"));
        let Some(Value::String(description)) = description else { panic!("{pointer}: {name} has no description") };
        let description = paragraphs(&description);
        let end = [". ", "; "].iter().filter_map(|end| description.find(end)).min().unwrap_or(description.len());
        let summary = description[..end].trim_end_matches('.');
        let mut descriptor = json!({ "name": name, "summary": summary });
        if end < description.len() {
            descriptor["description"] = description.as_str().into();
        }
        descriptor["required"] = required.contains(&name.as_str()).into();
        descriptor["schema"] = transformed(Schema::try_from(schema).expect("a property is a schema"), generator).to_value();
        descriptors.push(descriptor);
    }
    // OpenRPC wants it so, because generated clients take them by position.
    descriptors.sort_by_key(|descriptor| descriptor["required"] == false);
    descriptors
}

fn result_descriptor(kind: Kind, answer: &Schema, generator: &mut SchemaGenerator) -> Value {
    match kind {
        Kind::Call => json!({ "name": "result", "required": true, "schema": transformed(answer.clone(), generator) }),
        Kind::Subscription => json!({
            "name": "subscription",
            "summary": "The subscription's id, which stands in each of its notifications.",
            "required": true,
            "schema": { "type": "integer", "minimum": 0 },
        }),
    }
}

/// Whether a call can fail in this way at all. Each method has many ways to fail, so this only leaves out what
/// cannot be.
fn may_answer(kind: ErrorKind, takes: impl Fn(&str) -> bool) -> bool {
    match kind {
        // Before any method is known.
        ErrorKind::ParseError | ErrorKind::InvalidRequest | ErrorKind::MethodNotFound => false,
        ErrorKind::CursorExpired => takes("since"),
        ErrorKind::UnsupportedVersion => takes("protocolVersion"),
        ErrorKind::Busy => takes("sessionID"),
        _ => true,
    }
}

fn error_object(kind: ErrorKind) -> Value {
    json!({ "code": kind.code(), "message": kind.meaning(), "data": ErrorData::new(kind) })
}

/// Does to a schema outside the definitions what the generator does to those inside.
fn transformed(mut schema: Schema, generator: &mut SchemaGenerator) -> Schema {
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema
}
