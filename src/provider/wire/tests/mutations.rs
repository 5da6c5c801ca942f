//! Recorded streams in which fields have other types and values, keys stand twice and characters are cut in half: the
//! text that a person sees stays the same.

use proptest::prelude::*;
use serde_json::Value;

use crate::provider::wire::{
    ALL,
    protocol::Wire,
    tests::{
        Ability, cells, event,
        odd::{end, heard, said},
    },
};

/// What stands in the place of a value. The last is another place, which is another choice or another block.
const ODD: [&str; 11] =
    ["null", "\"x\"", "{}", "[]", "-1", "NaN", "true", "\"\\ud83d\"", "[null,{\"a\":-Infinity}]", "{\"text\":7,\"type\":[]}", "1.5"];

/// Decides what is changed.
struct Dice<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Dice<'_> {
    fn roll(&mut self) -> usize {
        self.0.next().copied().unwrap_or_default().into()
    }

    fn odd(&mut self, name: &str) -> &'static str {
        let count = if name == "index" { ODD.len() - 1 } else { ODD.len() };
        ODD[self.roll() % count]
    }
}

fn write(value: &Value, spine: &[&str], dice: &mut Dice<'_>, json: &mut String) {
    match value {
        Value::Object(fields) => {
            json.push('{');
            for (place, (name, value)) in fields.iter().enumerate() {
                json.push_str(if place > 0 { "," } else { "" });
                let key = Value::from(name.as_str());
                if dice.roll().is_multiple_of(4) {
                    json.push_str(&format!("{key}:{},", dice.odd(name)));
                }
                json.push_str(&format!("{key}:"));
                if !spine.contains(&name.as_str()) && dice.roll().is_multiple_of(4) {
                    json.push_str(dice.odd(name));
                } else {
                    write(value, spine, dice, json);
                }
            }
            json.push('}');
        }
        Value::Array(elements) => {
            json.push('[');
            for (place, element) in elements.iter().enumerate() {
                json.push_str(if place > 0 { "," } else { "" });
                write(element, spine, dice, json);
            }
            json.push(']');
        }
        scalar => json.push_str(&scalar.to_string()),
    }
}

/// The stream, changed.
fn mutated(wire: &dyn Wire, stream: &str, dice: &mut Dice<'_>) -> String {
    let mut changed = String::new();
    for line in stream.lines() {
        let (prefix, json) = line.split_at(if line.starts_with("data: ") { 6 } else { 0 });
        match serde_json::from_str::<Value>(json) {
            Ok(value @ Value::Object(_)) => {
                changed.push_str(prefix);
                write(&value, wire.column().spine, dice, &mut changed);
            }
            _ => changed.push_str(line),
        }
        changed.push('\n');
        if line.is_empty() && dice.roll().is_multiple_of(4) {
            changed.push_str(&event(wire, &format!("{{\"type\":\"vendor\",\"usage\":{}}}", dice.odd("usage"))));
        }
    }
    changed
}

/// Text in UTF-16 as a service writes it that cuts it anywhere.
fn units() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(prop_oneof![0xd83c_u16..0xd840, 0xdc00_u16..0xdc04, 0x61_u16..0x7b, 0xe0_u16..0xff], 0..20)
}

proptest! {
    #[test]
    fn the_text_is_never_lost(wire in 0..ALL.len(), dice in proptest::collection::vec(any::<u8>(), 1..200)) {
        let wire = ALL[wire];
        for cell in cells(wire).into_iter().filter(|cell| !matches!(cell.ability, Ability::Refusal | Ability::ErrorInStream)) {
            let changed = mutated(wire, cell.stream, &mut Dice(dice.iter().cycle()));
            prop_assert_eq!(heard(wire, changed.as_bytes()).0, heard(wire, cell.stream.as_bytes()).0, "{}", changed);
        }
    }

    #[test]
    fn characters_may_be_cut_anywhere(wire in 0..ALL.len(), units in units(), sizes in proptest::collection::vec(1_usize..4, 1..5)) {
        let wire = ALL[wire];
        let (mut stream, mut rest) = (String::new(), units.as_slice());
        for size in sizes.iter().cycle() {
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            stream += &said(wire, &piece.iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>());
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        stream += &end(wire);
        prop_assert_eq!(heard(wire, stream.as_bytes()).0, String::from_utf16_lossy(&units));
    }
}
