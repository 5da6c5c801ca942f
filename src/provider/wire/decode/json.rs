//! A lenient, lazy JSON reader for the messages of model services. Pure.
//!
//! A field that is invalid or of an unexpected type counts as absent; the rest of the message stays readable. If a key
//! occurs twice, the last one counts, as in other JSON readers. Half a surrogate pair at the end of a string is kept,
//! because the next string may begin with the other half (`decode::text`). Only requested strings are allocated, so the
//! memory for a message does not depend on its content.
//!
//! `serde_json` rejects the whole message for a lone surrogate, a repeated field, `NaN`, or a field of another type.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::provider::wire::decode::text::{Text, unescape};

/// When an invalid value is converted as a whole, values below this depth become null: each level is parsed again for
/// each one above it.
const MAX_DEPTH: usize = 32;
/// The limit of token counts; sums of counts below it do not overflow.
const MAX_COUNT: u64 = 1 << 53;

/// A value, as its text. Empty for an absent value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The object or list at the beginning of a text, and the rest of the text. `None` if it is incomplete, or if the
    /// object is malformed.
    pub(crate) fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let text = text.trim_ascii_start();
        let end = match text.as_bytes().first()? {
            b'{' => {
                let mut entries = Entries { rest: &text[1..] };
                while entries.next().is_some() {}
                entries.rest.starts_with('}').then(|| text.len() - entries.rest.len() + 1)?
            }
            b'[' => length(text)?,
            _ => return None,
        };
        Some((Self(&text[..end]), &text[end..]))
    }

    /// The fields of these names; all are absent if this is not an object.
    pub(crate) fn fields<const COUNT: usize>(self, names: [&str; COUNT]) -> [Self; COUNT] {
        let mut fields = [Self(""); COUNT];
        for (key, value) in self.entries() {
            let key = if key.0.contains('\\') { Cow::Owned(key.text().whole()) } else { Cow::Borrowed(key.inner()) };
            if let Some(place) = names.iter().position(|name| *name == key) {
                fields[place] = value;
            }
        }
        fields
    }

    pub(crate) fn field(self, name: &str) -> Self {
        let [field] = self.fields([name]);
        field
    }

    /// The elements of a list; none if this is not a list.
    pub(crate) fn elements(self) -> impl Iterator<Item = Self> {
        let mut rest = if self.0.starts_with('[') { &self.0[1..] } else { "" };
        std::iter::from_fn(move || take_value(&mut rest))
    }

    /// The elements of a list that are objects.
    pub(crate) fn objects(self) -> impl Iterator<Item = Self> {
        self.elements().filter(|element| element.is_object())
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(crate) fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    fn is_string(self) -> bool {
        self.0.starts_with('"')
    }

    /// Whether this is not absent, null, false, zero or empty.
    pub(crate) fn is_truthy(self) -> bool {
        match self.0.as_bytes().first() {
            None => false,
            Some(b'{') => self.entries().next().is_some(),
            Some(b'[') => self.elements().next().is_some(),
            Some(_) => !matches!(self.0, "null" | "false" | "0" | "\"\""),
        }
    }

    /// The text of a string or of a number.
    pub(crate) fn text(self) -> Text {
        if self.is_string() {
            unescape(self.inner())
        } else if self.number().is_some() {
            Text::from(self.0.to_owned())
        } else {
            Text::default()
        }
    }

    /// A non-empty, complete string.
    pub(crate) fn word(self) -> Option<String> {
        Some(self.text().whole()).filter(|word| !word.is_empty())
    }

    /// A string for comparing; empty if this is not a string.
    pub(crate) fn name(self) -> Cow<'a, str> {
        match self.is_string() {
            true if self.0.contains('\\') => Cow::Owned(self.text().whole()),
            true => Cow::Borrowed(self.inner()),
            false => Cow::Borrowed(""),
        }
    }

    /// A count or an index; also accepts a fraction, or a number in a string.
    pub(crate) fn count(self) -> Option<u64> {
        let number = if self.is_string() { Self(self.inner().trim_ascii()) } else { self };
        let count = number.0.parse().ok().or_else(|| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; the fraction is dropped")]
            number.number().filter(|number| *number >= 0.0).map(|number| number as u64)
        });
        count.filter(|count| *count <= MAX_COUNT)
    }

    /// Whether this is `true` or `"true"`.
    pub(crate) fn is_true(self) -> bool {
        matches!(self.0, "true" | "\"true\"")
    }

    /// The arguments of a call, as an object or its text in a string; `None` if there are none.
    pub(crate) fn arguments(self) -> Option<String> {
        if self.is_string() {
            self.word().filter(|text| text.trim() != "null")
        } else {
            (self.is_object() && self.is_truthy()).then(|| self.value().to_string())
        }
    }

    /// Converts the whole value; invalid parts become null.
    pub(crate) fn value(self) -> Value {
        serde_json::from_str(self.0).unwrap_or_else(|_| self.value_to(MAX_DEPTH))
    }

    fn value_to(self, depth: usize) -> Value {
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        match self.0.as_bytes().first() {
            Some(b'"') => Value::String(self.text().whole()),
            Some(b'[') => self.elements().map(|element| element.value_to(depth)).collect(),
            Some(b'{') => {
                Value::Object(self.entries().map(|(key, value)| (key.text().whole(), value.value_to(depth))).collect::<Map<_, _>>())
            }
            _ => serde_json::from_str(self.0).unwrap_or_default(),
        }
    }

    /// The length in bytes.
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    fn entries(self) -> Entries<'a> {
        Entries { rest: if self.is_object() { &self.0[1..] } else { "" } }
    }

    /// The text between the quotes of a string.
    fn inner(self) -> &'a str {
        self.0.get(1..self.0.len() - 1).unwrap_or_default()
    }

    fn number(self) -> Option<f64> {
        // `parse` would accept words such as `nan` and `infinity`.
        let begins = self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        self.0.parse().ok().filter(|number: &f64| begins && number.is_finite())
    }
}

/// Iterates over the keys and values of an object. Stops at the end of the object, or at a malformed entry.
struct Entries<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Json<'a>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_ascii_start();
        if !self.rest.starts_with('"') {
            return None;
        }
        let (key, rest) = self.rest.split_at(length(self.rest)?);
        let mut rest = rest.trim_ascii_start().strip_prefix(':')?;
        let value = take_value(&mut rest)?;
        self.rest = rest;
        Some((Json(key), value))
    }
}

/// Splits off a value and the comma after it.
fn take_value<'a>(rest: &mut &'a str) -> Option<Json<'a>> {
    let text = rest.trim_ascii_start();
    let (value, after) = text.split_at(length(text)?);
    let after = after.trim_ascii_start();
    *rest = after.strip_prefix(',').unwrap_or(after);
    Some(Json(value))
}

/// The length of the value at the beginning of a text; `None` if there is none, or if it is incomplete.
fn length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'"' => string_length(bytes),
        b'{' | b'[' => {
            let (mut place, mut depth) = (0, 0_usize);
            loop {
                match bytes.get(place)? {
                    b'"' => {
                        place += string_length(&bytes[place..])?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                place += 1;
                if depth == 0 {
                    return Some(place);
                }
            }
        }
        _ => {
            let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b':' | b']' | b'}' | b'"');
            bytes.iter().position(is_end).filter(|length| *length > 0)
        }
    }
}

fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut place = 1;
    loop {
        place += memchr::memchr2(b'"', b'\\', bytes.get(place..)?)?;
        if bytes[place] == b'"' {
            return Some(place + 1);
        }
        place += 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Json<'_> {
        Json::parse(text).unwrap().0
    }

    #[test]
    fn a_field_of_another_type_is_absent() {
        let json = parse(r#"{"a": null, "b": [1, "x", {"c": true}], "d": {"e": "f"}, "g": -Infinity, "h": "\ud83d", "i": undefined}"#);
        let [a, b, d, g, h, i, missing] = json.fields(["a", "b", "d", "g", "h", "i", "missing"]);
        for (value, is_truthy) in [(a, false), (b, true), (d, true), (g, true), (h, true), (missing, false)] {
            assert_eq!(value.is_truthy(), is_truthy, "{value:?}");
        }
        assert_eq!(b.elements().count(), 3);
        assert!(b.objects().next().unwrap().field("c").is_true());
        assert_eq!(d.field("e").name(), "f");
        for value in [a, b, d, g, i, missing] {
            assert_eq!((value.word(), value.name().as_ref(), value.count(), value.is_true()), (None, "", None, false), "{value:?}");
        }
        for value in [a, d, g, h, i, missing] {
            assert_eq!(value.elements().count(), 0);
        }
        for value in [a, b, g, h, i, missing] {
            assert_eq!(value.field("e"), missing);
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let json = parse(r#"{"a":1,"b":{"a":9},"a":{"x":null,"x":2},"\u0061":{"x":3,"x":4}}"#);
        assert_eq!(json.field("a").field("x").count(), Some(4));
        assert_eq!(json.value(), json!({"a": {"x": 4}, "b": {"a": 9}}));
    }

    #[test]
    fn counts() {
        for (text, count) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("7.9", Some(7)),
            ("1e3", Some(1000)),
            ("\" 10\"", Some(10)),
            ("\"10.0\"", Some(10)),
            ("0", Some(0)),
            ("-1", None),
            ("NaN", None),
            ("\"nan\"", None),
            ("Infinity", None),
            ("1e300", None),
            ("18446744073709551615", None),
            ("\"\"", None),
            ("true", None),
            ("null", None),
            ("[7]", None),
        ] {
            assert_eq!(parse(&format!("{{\"n\":{text}}}")).field("n").count(), count, "{text}");
        }
    }

    #[test]
    fn invalid_parts_of_a_value_are_null() {
        let json = parse(r#"{"a": NaN, "b": [1, -Infinity, "x\ud83dy"], "c": {"d": undefined, "e": 1.5}, "f": "\x\'"}"#);
        assert_eq!(json.value(), json!({"a": null, "b": [1, null, "x\u{fffd}y"], "c": {"d": null, "e": 1.5}, "f": "x'"}));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&deep).value()["a"].is_array());
    }

    #[test]
    fn incomplete_values_are_rejected() {
        let whole = r#"{"a": "x\"}", "b": [{}, "]"], "c": 1}"#;
        assert_eq!(Json::parse(&format!(" {whole} \n{{")), Some((Json(whole), " \n{")));
        for end in 0..whole.len() {
            assert_eq!(Json::parse(&whole[..end]), None, "{end}");
        }
        for text in ["{warming up}", "{\"a\" 1}", "{\"a\":}", "{\"a\":1]", "text", "\"text\"", "12"] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
    }

    #[test]
    fn arguments_as_text_or_as_an_object() {
        let json = parse(r#"{"text": "{\"a\":1}", "object": {"a": 1}, "empty": {}, "blank": "", "null": null, "list": [1]}"#);
        let arguments = json.fields(["text", "object", "empty", "blank", "null", "list"]).map(Json::arguments);
        let expected = Some("{\"a\":1}".to_owned());
        assert_eq!(arguments, [expected.clone(), expected, None, None, None, None]);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let nested = leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[a-c\"\\\\{\\[ä]{0,3}", inner), 0..5).prop_map(|fields| fields.into_iter().collect()),
            ]
        });
        nested.prop_map(|value| json!({ "value": value }))
    }

    proptest! {
        #[test]
        fn valid_json_is_read_as_serde_reads_it(value in any_value(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let (json, rest) = Json::parse(&text).unwrap();
            prop_assert_eq!(rest, "");
            prop_assert_eq!(&json.value_to(MAX_DEPTH), &value);
            prop_assert_eq!(json.field("value").value(), value["value"].clone());
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in "[{\\[\\]}\":,\\\\ aun0-9ä\u{1}]{0,60}") {
            if let Some((json, _)) = Json::parse(&text) {
                json.value_to(MAX_DEPTH);
                for field in json.fields(["a", "u"]) {
                    let _ = (field.count(), field.text(), field.value());
                }
            }
        }
    }
}
