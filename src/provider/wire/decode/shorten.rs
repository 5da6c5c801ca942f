//! Cuts long strings out of JSON while it arrives. Pure.
//!
//! The Responses protocol repeats an answer several times when it ends, each time on one line. All of it has come before
//! in pieces, and what is new there (the usage, the reason) are short fields beside it; so the repetition is dropped
//! byte by byte instead of being held in memory. What comes out is JSON again, with shorter strings.

/// How much of a string is kept, in bytes, more or less a character.
const KEPT: usize = 4096;

/// Where in a string the next byte is.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Place {
    #[default]
    Outside,
    /// In the text, so many bytes after its quote.
    Text(usize),
    /// Behind a backslash.
    Escape(usize),
    /// So many digits of `\u` are still to come.
    Digits(usize, u8),
}

/// The state between two pieces.
#[derive(Debug, Default)]
pub(crate) struct Shortener {
    place: Place,
    /// The rest of this string is dropped.
    dropping: bool,
    /// The last digits of an escape, to know the first half of a character that is written as two escapes.
    digits: [u8; 2],
}

impl Shortener {
    /// Appends what is kept of `bytes` to `kept`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], kept: &mut Vec<u8>) {
        while let Some(&byte) = bytes.first() {
            let taken = match self.place {
                Place::Outside => memchr::memchr(b'"', bytes).map_or(bytes.len(), |quote| quote + 1),
                Place::Text(length) => {
                    let rest = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
                    // Nothing is cut within a character: its later bytes begin with the bits 10.
                    let within = byte & 0xc0 == 0x80 || byte == b'\\' && is_first_half(self.digits);
                    self.dropping |= length >= KEPT && !within;
                    if self.dropping { rest.max(1) } else { rest.min(KEPT.saturating_sub(length)).max(1) }
                }
                Place::Escape(_) | Place::Digits(..) => 1,
            };
            let (piece, rest) = bytes.split_at(taken);
            let last = piece[taken - 1];
            match self.place {
                Place::Digits(_, 4) => self.digits[0] = byte,
                Place::Digits(_, 3) => self.digits[1] = byte,
                Place::Text(_) if byte != b'\\' => self.digits = [0; 2],
                _ => {}
            }
            self.place = match self.place {
                Place::Outside if last == b'"' => Place::Text(0),
                Place::Outside => Place::Outside,
                Place::Text(_) if byte == b'"' => {
                    self.dropping = false;
                    Place::Outside
                }
                Place::Text(length) if byte == b'\\' => Place::Escape(length + 1),
                Place::Text(length) => Place::Text(length + taken),
                Place::Escape(length) if byte == b'u' => Place::Digits(length + 1, 4),
                Place::Escape(length) | Place::Digits(length, 1) => Place::Text(length + 1),
                Place::Digits(length, digits) => Place::Digits(length + 1, digits - 1),
            };
            if !self.dropping {
                kept.extend_from_slice(piece);
            }
            bytes = rest;
        }
    }
}

/// Whether an escape with these first digits is only half a character.
fn is_first_half(digits: [u8; 2]) -> bool {
    matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn shortened(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut shortener, mut kept) = (Shortener::default(), Vec::new());
        for piece in pieces {
            shortener.push(piece, &mut kept);
        }
        kept
    }

    #[test]
    fn short_strings_stay_and_long_ones_are_cut() {
        let value = json!({"a\"b\\": "x\ny", "long": "ä".repeat(KEPT), "list": [1, "z"], "end": "\u{1}"});
        let kept: Value = serde_json::from_slice(&shortened(&[value.to_string().as_bytes()])).unwrap();
        assert_eq!(kept["a\"b\\"], "x\ny");
        assert_eq!(kept["list"], json!([1, "z"]));
        assert_eq!(kept["end"], "\u{1}");
        assert_eq!(kept["long"], "ä".repeat(KEPT / 2));
    }

    proptest! {
        #[test]
        fn what_comes_out_is_json_however_it_comes_in(
            texts in proptest::collection::vec("([a-z]|ä|🦀|\"|\\\\|\n|\u{1}){0,40}", 1..4),
            times in 1_usize..300,
            size in 1_usize..50,
        ) {
            let value: Value = texts.iter().map(|text| text.repeat(times)).collect();
            // As services write that escape all but ASCII: a crab is two escapes.
            let json = value.to_string().replace('ä', "\\u00e4").replace('🦀', "\\ud83e\\udd80");
            let pieces: Vec<_> = json.as_bytes().chunks(size).collect();
            let kept = shortened(&pieces);
            prop_assert_eq!(&kept, &shortened(&[json.as_bytes()]));
            let kept: Value = serde_json::from_slice(&kept).unwrap();
            for (kept, whole) in kept.as_array().unwrap().iter().zip(value.as_array().unwrap()) {
                let (kept, whole) = (kept.as_str().unwrap(), whole.as_str().unwrap());
                prop_assert!(whole.starts_with(kept));
                prop_assert!(kept == whole || kept.len() > KEPT / 8);
            }
        }
    }
}
