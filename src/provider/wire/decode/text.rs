//! Joins texts whose pieces may end within a character: services that count in UTF-16 split an emoji into two escapes,
//! `\ud83d` at the end of one message and `\ude00` at the beginning of the next. Pure.
//!
//! Adjacent halves are joined; a lone half becomes U+FFFD.

use std::borrow::Cow;

/// Replaces half a character.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Text {
    /// It begins with the second half of a surrogate pair.
    before: Option<u16>,
    text: String,
    /// It ends with the first half of a surrogate pair.
    after: Option<u16>,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Text {
    pub(crate) fn is_empty(&self) -> bool {
        self.before.is_none() && self.text.is_empty() && self.after.is_none()
    }

    pub(crate) fn whole(self) -> String {
        let mut joiner = Joiner::default();
        let mut text = joiner.join(self);
        text.extend(joiner.rest());
        text
    }

    /// The text with a prefix.
    pub(crate) fn with_prefix(mut self, prefix: &str) -> Self {
        let half = self.before.take().map(|_| REPLACEMENT);
        self.text = prefix.chars().chain(half).chain(self.text.chars()).collect();
        self
    }
}

/// Joins the pieces of a text.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    half: Option<u16>,
}

impl Joiner {
    /// Adds a piece; returns the text so far. Half a character at its end is kept for the next piece.
    pub(crate) fn join(&mut self, piece: Text) -> String {
        if piece.is_empty() || piece.before.is_none() && self.half.is_none() {
            self.half = self.half.or(piece.after);
            return piece.text;
        }
        let units = self.half.take().into_iter().chain(piece.before);
        let mut text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or(REPLACEMENT)).collect();
        text.push_str(&piece.text);
        self.half = piece.after;
        text
    }

    /// The replacement for a half that was not completed.
    pub(crate) fn rest(&mut self) -> Option<char> {
        self.half.take().map(|_| REPLACEMENT)
    }
}

/// Decodes the text between the quotes of a JSON string. Invalid escapes are kept literally.
pub(crate) fn unescape(raw: &str) -> Text {
    let mut piece = Text::default();
    let mut rest = raw;
    while let Some(backslash) = memchr::memchr(b'\\', rest.as_bytes()) {
        if piece.text.capacity() == 0 {
            piece.text.reserve(raw.len());
        }
        piece.push_str(&rest[..backslash]);
        let mut escape = rest[backslash + 1..].chars();
        match escape.next() {
            Some('u') => match hexadecimal(escape.as_str()) {
                Some(unit) => {
                    piece.push_unit(unit);
                    rest = &escape.as_str()[4..];
                    continue;
                }
                None => piece.push(REPLACEMENT),
            },
            Some('n') => piece.push('\n'),
            Some('t') => piece.push('\t'),
            Some('r') => piece.push('\r'),
            Some('b') => piece.push('\u{8}'),
            Some('f') => piece.push('\u{c}'),
            Some(other) => piece.push(other),
            None => {}
        }
        rest = escape.as_str();
    }
    piece.push_str(rest);
    piece
}

/// The four digits of an escape.
fn hexadecimal(text: &str) -> Option<u16> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

impl Text {
    fn push_str(&mut self, text: &str) {
        if !text.is_empty() {
            self.close();
            self.text.push_str(text);
        }
    }

    fn push(&mut self, character: char) {
        self.close();
        self.text.push(character);
    }

    fn push_unit(&mut self, unit: u16) {
        match (unit, self.after.take()) {
            (0xdc00..=0xdfff, None) if self.is_empty() => self.before = Some(unit),
            (0xd800..=0xdbff, half) => {
                self.text.extend(half.map(|_| REPLACEMENT));
                self.after = Some(unit);
            }
            (_, half) => self.text.extend(char::decode_utf16(half.into_iter().chain([unit])).map(|unit| unit.unwrap_or(REPLACEMENT))),
        }
    }

    /// Replaces a half at the end that cannot be completed any more.
    fn close(&mut self) {
        self.text.extend(self.after.take().map(|_| REPLACEMENT));
    }
}

/// Replaces escapes of lone halves in JSON, so that every reader accepts it.
pub(crate) fn replace_lone_surrogates(json: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let (mut place, mut copied) = (0, 0);
    while let Some(backslash) = memchr::memchr(b'\\', &json.as_bytes()[place..]) {
        place += backslash;
        let unit = |at: usize| json.get(at..)?.strip_prefix("\\u").and_then(hexadecimal);
        match (unit(place), unit(place + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => place += 12,
            (Some(0xd800..=0xdfff), _) => {
                mended.push_str(&json[copied..place]);
                mended.push_str("\\ufffd");
                place += 6;
                copied = place;
            }
            // Another escape, of an ASCII character, or an invalid one.
            _ => place = json.ceil_char_boundary(place + 2),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    mended.push_str(&json[copied..]);
    Cow::Owned(mended)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
        let mut joiner = Joiner::default();
        let mut text: String = pieces.into_iter().map(|piece| joiner.join(unescape(piece))).collect();
        text.extend(joiner.rest());
        text
    }

    #[test]
    fn halves() {
        for (pieces, text) in [
            (&["a\\ud83d\\ude00b"][..], "a😀b"),
            (&["a\\ud83d", "\\ude00b"], "a😀b"),
            (&["a\\uD83D", "", "\\uDE00"], "a😀"),
            (&["\\ud83d", "\\ude00\\ud83d", "\\ude00"], "😀😀"),
            (&["a\\ud83d", " b"], "a\u{fffd} b"),
            (&["a\\ud83d", "\\ud83d\\ude00"], "a\u{fffd}😀"),
            (&["a", "\\ude00b"], "a\u{fffd}b"),
            (&["a\\ude00b\\ud83dc"], "a\u{fffd}b\u{fffd}c"),
            (&["\\ude00\\ude00"], "\u{fffd}\u{fffd}"),
            (&["\\ud83d\\ud83d"], "\u{fffd}\u{fffd}"),
            (&["\\ud83d\\n"], "\u{fffd}\n"),
            (&["\\ud83"], "\u{fffd}d83"),
            (&["a\\"], "a"),
            (&["\\u00e4\\\"\\\\\\/\\b\\f\\n\\r\\t\\'"], "ä\"\\/\u{8}\u{c}\n\r\t'"),
        ] {
            assert_eq!(joined(pieces.iter().copied()), text, "{pieces:?}");
        }
    }

    #[test]
    fn a_prefix() {
        assert_eq!(unescape("b\\ud83d").with_prefix("a "), Text { before: None, text: "a b".to_owned(), after: Some(0xd83d) });
        assert_eq!(unescape("\\ude00b").with_prefix("a ").whole(), "a \u{fffd}b");
    }

    #[test]
    fn json_is_repaired() {
        for (json, expected) in [
            (r#"{"a":"x\ud83d y"}"#, r#"{"a":"x\ufffd y"}"#),
            (r#"{"a":"\ude00\ud83d\ude00\ud83d"}"#, r#"{"a":"\ufffd\ud83d\ude00\ufffd"}"#),
            (r#"{"a":"C:\\ud83d"}"#, r#"{"a":"C:\\ud83d"}"#),
            (r#"{"a":"\\\ud83d"}"#, r#"{"a":"\\\ufffd"}"#),
            ("{\"a\":\"\\ä\\u00e4\\ud8", "{\"a\":\"\\ä\\u00e4\\ud8"),
        ] {
            assert_eq!(replace_lone_surrogates(json), expected);
        }
    }

    proptest! {
        #[test]
        fn any_split_between_code_units_is_joined(
            units in proptest::collection::vec(prop_oneof![0xd83c_u16..0xd83f, 0xdffe_u16..0xe001, 0x60_u16..0x64], 0..12),
            cuts in proptest::collection::vec(0_usize..12, 0..5),
        ) {
            let escaped: Vec<_> = units.iter().map(|unit| if *unit < 0x80 { char::from_u32((*unit).into()).unwrap().to_string() } else { format!("\\u{unit:04x}") }).collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(units.len())).chain([0, units.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| escaped[pair[0]..pair[1]].concat()).collect();
            let expected = String::from_utf16_lossy(&units);
            prop_assert_eq!(joined(pieces.iter().map(String::as_str)), expected.as_str());
            let json = format!("\"{}\"", escaped.concat());
            let strict: String = serde_json::from_str(&replace_lone_surrogates(&json)).unwrap();
            prop_assert_eq!(strict, expected);
        }

        #[test]
        fn valid_strings_are_read_as_serde_reads_them(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescape(&json[1..json.len() - 1]).whole(), text.as_str());
            prop_assert_eq!(replace_lone_surrogates(&json), json.as_str());
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in "(\\\\|u|d83d|de00|ä|x|\"){0,20}") {
            unescape(&text);
            replace_lone_surrogates(&text);
        }
    }
}
