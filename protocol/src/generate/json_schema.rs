//! JSON Schema of the wire types, the events and the settings file.
//!
//! Everywhere the schema says what is accepted. What the daemon sends fits it too; it may always hold a field
//! that is marked as optional.

use schemars::{
    Schema, SchemaGenerator,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};

use super::long_text::{LONG, event_properties};
use crate::{PROTOCOL_VERSION, config::Config, errors::ErrorData, events::EVENTS, methods::METHODS, tools::TOOLS};

/// `schema.json`: every type of the contract by name.
pub fn contract() -> Value {
    let mut generator = SchemaSettings::draft2020_12().with_transform(Tidy).into_generator();
    visit_contract(&mut generator);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "polytree",
        "description": format!("The types of the polytree protocol, version {PROTOCOL_VERSION}. Generated; see README.md."),
        "$defs": sorted_definitions(&mut generator),
    })
}

/// `config.json`: the settings file, in the draft that editors understand best.
pub fn settings() -> Value {
    let generator = SchemaSettings::draft07().with_transform(Tidy).into_generator();
    let mut schema = generator.into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), "polytree settings".into());
    if let Some(Value::Object(definitions)) = schema.get_mut("definitions") {
        title(definitions);
    }
    // Not JSON Schema, but read by the language servers that check JSON in editors.
    schema.insert("allowComments".to_owned(), true.into());
    schema.insert("allowTrailingCommas".to_owned(), true.into());
    schema.to_value()
}

/// Makes the generator know every type of the contract.
pub fn visit_contract(generator: &mut SchemaGenerator) {
    for method in METHODS {
        (method.params)(generator);
        (method.result)(generator);
    }
    let events: Vec<Value> = EVENTS
        .iter()
        .map(|event| {
            let properties = event_properties(event, generator);
            json!({
                "type": "object",
                "description": event.summary,
                "properties": {
                    "type": { "type": "string", "const": event.name, "description": "The event." },
                    "properties": described(properties, "What the event tells."),
                },
                "required": ["type", "properties"],
            })
        })
        .collect();
    for tool in TOOLS {
        (tool.input)(generator);
        (tool.metadata)(generator);
    }
    generator.subschema_for::<ErrorData>();
    let payload = json!({ "description": "`type` and `properties` of an event, for each row of the event table.", "oneOf": events });
    generator.definitions_mut().insert("EventPayload".to_owned(), payload);
}

/// The schemas that the generator has collected, by name.
pub fn sorted_definitions(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut definitions = generator.take_definitions(true);
    title(&mut definitions);
    definitions
}

/// Sorts definitions and gives each its name as a title, by which generators of types call them.
fn title(definitions: &mut Map<String, Value>) {
    definitions.sort_keys();
    for (name, definition) in definitions {
        if let Value::Object(definition) = definition {
            definition.shift_insert(0, "title".to_owned(), name.as_str().into());
        }
    }
}

fn described(mut schema: Schema, description: &str) -> Schema {
    schema.insert("description".to_owned(), description.into());
    schema
}

const RUST_NUMBERS: &[&str] = &["double", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64"];

/// Makes schemas shorter and easier to read, without changing what they accept.
#[derive(Clone)]
pub struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        // That an optional field is absent needs no saying.
        if object.get("default").is_some_and(Value::is_null) {
            object.shift_remove("default");
        }
        object.shift_remove(LONG);
        // Rust's names of numbers are no formats of JSON Schema, and strict validators refuse what they do not know.
        if object.get("format").and_then(Value::as_str).is_some_and(|format| RUST_NUMBERS.contains(&format))
            && object.shift_remove("format").is_some_and(|format| format == "uint32")
        {
            object.entry("maximum").or_insert(u32::MAX.into());
        }
        // Many generators of types read nothing of what stands beside a reference.
        if object.len() > 1
            && let Some(reference) = object.shift_remove("$ref")
            && let Some(all) = object.entry("allOf").or_insert_with(|| json!([])).as_array_mut()
        {
            all.push(json!({ "$ref": reference }));
        }
        if let Some(Value::String(description)) = object.shift_remove("description") {
            object.shift_insert(0, "description".to_owned(), paragraphs(&description).into());
        }
    }
}

/// Takes the line ends away that only the source text needs: those inside a paragraph.
pub fn paragraphs(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}
