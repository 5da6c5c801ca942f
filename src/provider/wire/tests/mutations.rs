//! Recorded streams with fields of other types and values, repeated keys and split characters: the visible text stays
//! the same.

use proptest::prelude::*;
use serde_json::Value;

use crate::provider::wire::{
    ALL,
    protocol::Wire,
    tests::{
        Ability, cells, event,
        unexpected::{decoded, end, text_event},
    },
};

/// Replacements for values. The last one is another index, which means another choice or block.
const UNEXPECTED_VALUES: [&str; 11] =
    ["null", "\"x\"", "{}", "[]", "-1", "NaN", "true", "\"\\ud83d\"", "[null,{\"a\":-Infinity}]", "{\"text\":7,\"type\":[]}", "1.5"];

struct Choices<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Choices<'_> {
    fn next(&mut self) -> usize {
        self.0.next().copied().unwrap_or_default().into()
    }

    fn unexpected(&mut self, name: &str) -> &'static str {
        let count = if name == "index" { UNEXPECTED_VALUES.len() - 1 } else { UNEXPECTED_VALUES.len() };
        UNEXPECTED_VALUES[self.next() % count]
    }
}

fn write(value: &Value, spine: &[&str], choices: &mut Choices<'_>, json: &mut String) {
    match value {
        Value::Object(fields) => {
            json.push('{');
            for (place, (name, value)) in fields.iter().enumerate() {
                json.push_str(if place > 0 { "," } else { "" });
                let key = Value::from(name.as_str());
                if choices.next().is_multiple_of(4) {
                    json.push_str(&format!("{key}:{},", choices.unexpected(name)));
                }
                json.push_str(&format!("{key}:"));
                if !spine.contains(&name.as_str()) && choices.next().is_multiple_of(4) {
                    json.push_str(choices.unexpected(name));
                } else {
                    write(value, spine, choices, json);
                }
            }
            json.push('}');
        }
        Value::Array(elements) => {
            json.push('[');
            for (place, element) in elements.iter().enumerate() {
                json.push_str(if place > 0 { "," } else { "" });
                write(element, spine, choices, json);
            }
            json.push(']');
        }
        scalar => json.push_str(&scalar.to_string()),
    }
}

/// The stream, changed.
fn mutated(wire: &dyn Wire, stream: &str, choices: &mut Choices<'_>) -> String {
    let mut changed = String::new();
    for line in stream.lines() {
        let (prefix, json) = line.split_at(if line.starts_with("data: ") { 6 } else { 0 });
        match serde_json::from_str::<Value>(json) {
            Ok(value @ Value::Object(_)) => {
                changed.push_str(prefix);
                write(&value, wire.column().spine, choices, &mut changed);
            }
            _ => changed.push_str(line),
        }
        changed.push('\n');
        if line.is_empty() && choices.next().is_multiple_of(4) {
            changed.push_str(&event(wire, &format!("{{\"type\":\"vendor\",\"usage\":{}}}", choices.unexpected("usage"))));
        }
    }
    changed
}

/// Text in UTF-16 code units, which services may split anywhere.
fn units() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(prop_oneof![0xd83c_u16..0xd840, 0xdc00_u16..0xdc04, 0x61_u16..0x7b, 0xe0_u16..0xff], 0..20)
}

proptest! {
    #[test]
    fn the_text_is_never_lost(wire in 0..ALL.len(), choices in proptest::collection::vec(any::<u8>(), 1..200)) {
        let wire = ALL[wire];
        for cell in cells(wire).into_iter().filter(|cell| !matches!(cell.ability, Ability::Refusal | Ability::ErrorInStream)) {
            let changed = mutated(wire, cell.stream, &mut Choices(choices.iter().cycle()));
            prop_assert_eq!(decoded(wire, changed.as_bytes()).0, decoded(wire, cell.stream.as_bytes()).0, "{}", changed);
        }
    }

    #[test]
    fn characters_may_be_split_anywhere(wire in 0..ALL.len(), units in units(), sizes in proptest::collection::vec(1_usize..4, 1..5)) {
        let wire = ALL[wire];
        let (mut stream, mut rest) = (String::new(), units.as_slice());
        for size in sizes.iter().cycle() {
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            stream += &text_event(wire, &piece.iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>());
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        stream += &end(wire);
        prop_assert_eq!(decoded(wire, stream.as_bytes()).0, String::from_utf16_lossy(&units));
    }
}
