//! Where a `BlobRef` may stand in an event. A field that may hold a text of any length is marked with `x-long`; an event
//! has its own variants of the types that hold such a field, since methods always send them whole.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::{event::BlobRef, events::EventSpec};

/// Marks a field. It is not in the generated files.
pub const LONG: &str = "x-long";

/// The schema of an event's properties: a reference to their type, or to its variant `Event…`.
///
/// # Panics
/// When the properties have no name of their own.
pub fn event_properties(event: &EventSpec, generator: &mut SchemaGenerator) -> Schema {
    let mut properties = (event.properties)(generator).to_value();
    let blob = generator.subschema_for::<BlobRef>().to_value();
    vary(&mut properties, &blob, generator.definitions_mut());
    Schema::try_from(properties).expect("a reference is a schema")
}

/// Replaces long texts, and references to types that hold any. True when something was replaced.
fn vary(schema: &mut Value, blob: &Value, definitions: &mut Map<String, Value>) -> bool {
    let mut varied = false;
    match schema {
        Value::Array(items) => {
            for item in items {
                varied |= vary(item, blob, definitions);
            }
        }
        Value::Object(object) if object.contains_key(LONG) => {
            object.shift_remove(LONG);
            let place = object.get_mut("items");
            if let Some(items) = place {
                *items = json!({ "oneOf": [items.clone(), blob] });
            } else {
                let kind = object.shift_remove("type");
                object.insert("oneOf".to_owned(), json!([{ "type": kind }, blob]));
            }
            varied = true;
        }
        Value::Object(object) => {
            for (name, value) in object {
                varied |= match value {
                    Value::String(reference) if name == "$ref" => vary_reference(reference, blob, definitions),
                    value => vary(value, blob, definitions),
                };
            }
        }
        _ => {}
    }
    varied
}

fn vary_reference(reference: &mut String, blob: &Value, definitions: &mut Map<String, Value>) -> bool {
    let (place, name) = reference.rsplit_once('/').expect("a reference has a path");
    let variant = format!("Event{name}");
    if !definitions.contains_key(&variant) {
        let mut definition = definitions[name].clone();
        if !vary(&mut definition, blob, definitions) {
            return false;
        }
        definitions.insert(variant.clone(), definition);
    }
    *reference = format!("{place}/{variant}");
    true
}
