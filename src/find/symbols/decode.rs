//! Decodes files, skips text that is not worth parsing, and converts byte offsets to lines and columns as editors count
//! them.

use std::borrow::Cow;

/// The size limit of a file; larger ones are data or generated.
pub(super) const MAX_BYTES: u64 = 1024 * 1024;
/// How many leading bytes are searched for NUL, which makes a file binary.
const BINARY_CHECK_BYTES: usize = 8192;
/// Shorter files are always parsed.
const ALWAYS_PARSED_BYTES: usize = 8192;
/// The limit of the mean line length of handwritten text, in bytes.
const MAX_MEAN_LINE_BYTES: usize = 300;
/// The limit of the line length of handwritten text, in bytes.
const MAX_LINE_BYTES: usize = 65_536;

/// The nesting limit of brackets; parsers become very slow beyond it.
const MAX_NESTED_BRACKETS: usize = 3000;

/// The text of a source file; `None` for a binary file.
pub(super) fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, length)) => Some(encoding.decode_without_bom_handling(bytes.get(length..)?).0),
        None if bytes[..bytes.len().min(BINARY_CHECK_BYTES)].contains(&0) => None,
        None => Some(String::from_utf8_lossy(bytes)),
    }
}

/// Whether the text may be handwritten: not minified, not data in one line.
pub(super) fn is_handwritten(text: &str) -> bool {
    if text.len() as u64 > MAX_BYTES {
        return false;
    }
    if is_too_nested(text) {
        return false;
    }
    if text.len() <= ALWAYS_PARSED_BYTES {
        return true;
    }
    let (mut lines, mut longest) = (0, 0);
    for line in text.split('\n') {
        lines += 1;
        longest = longest.max(line.len());
    }
    text.len() / lines <= MAX_MEAN_LINE_BYTES && longest <= MAX_LINE_BYTES
}

/// Whether brackets are nested too deeply. Those in strings count too: it is a rough measure.
fn is_too_nested(text: &str) -> bool {
    let mut depth = 0usize;
    text.bytes().any(|byte| {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_NESTED_BRACKETS
    })
}

/// A position in a text: line and column from 0, the column in UTF-16 code units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u32,
    pub character: u32,
}

/// Converts byte offsets to positions in one pass over the text.
pub(super) struct Positions(Vec<(u32, Position)>);

impl Positions {
    /// Computes the positions of these offsets, given in any order.
    pub fn new(text: &str, mut offsets: Vec<u32>) -> Self {
        offsets.sort_unstable();
        offsets.dedup();
        let bytes = text.as_bytes();
        let mut found = Vec::with_capacity(offsets.len());
        let mut place = Position::default();
        let mut at = 0;
        for offset in offsets {
            while at < (offset as usize).min(bytes.len()) {
                match bytes[at] {
                    b'\n' => place = Position { line: place.line + 1, character: 0 },
                    b'\r' if bytes.get(at + 1) != Some(&b'\n') => place = Position { line: place.line + 1, character: 0 },
                    // Continuation bytes add nothing; characters of four bytes are two code units.
                    0x80..=0xBF => {}
                    0xF0.. => place.character += 2,
                    _ => place.character += 1,
                }
                at += 1;
            }
            found.push((offset, place));
        }
        Self(found)
    }

    /// The position of one of the offsets.
    pub fn of(&self, offset: u32) -> Position {
        self.0.binary_search_by_key(&offset, |(known, _)| *known).map_or(Position::default(), |index| self.0[index].1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn minified_text_and_data_are_skipped() {
        assert_eq!(decode(b"fn a() {}\n").as_deref(), Some("fn a() {}\n"));
        assert_eq!(decode(b"\xEF\xBB\xBFfn").as_deref(), Some("fn"));
        assert_eq!(decode(b"\xFF\xFEf\0n\0").as_deref(), Some("fn"));
        assert_eq!(decode(b"a\xFFb").as_deref(), Some("a\u{FFFD}b"));
        assert_eq!(decode(b"a\0b"), None);
        assert!(!is_handwritten(&"x".repeat(10_000)));
        assert!(!is_handwritten(&format!("{}{}", "a\n".repeat(100_000), "x".repeat(70_000))));
        assert!(is_handwritten(&"let a = 1;\n".repeat(10_000)));
        assert!(!is_handwritten(&"let a = 1;\n".repeat(100_000)));
        assert!(is_handwritten(&"(".repeat(3000)));
        assert!(!is_handwritten(&"(\n".repeat(3001)));
    }

    proptest! {
        #[test]
        fn positions_are_those_of_an_editor(text in "[a\u{e4}\u{4e2d}\u{1f600}\n\r]{0,40}") {
            let offsets: Vec<u32> = text.char_indices().map(|(at, _)| u32::try_from(at).unwrap()).collect();
            let positions = Positions::new(&text, offsets.clone());
            for offset in offsets {
                let before = &text[..offset as usize];
                // A line ends with \r\n, \n or \r; the offset may be between the two of \r\n.
                let split = text[offset as usize..].starts_with('\n') && before.ends_with('\r');
                let normal = if split { before[..before.len() - 1].replace("\r\n", "\n") + "\u{b7}" } else { before.replace("\r\n", "\n") };
                let normal = normal.replace('\r', "\n");
                let line = normal.matches('\n').count();
                let last = normal.rsplit('\n').next().unwrap();
                let expected = Position { line: u32::try_from(line).unwrap(), character: u32::try_from(last.encode_utf16().count()).unwrap() };
                prop_assert_eq!(positions.of(offset), expected);
            }
        }
    }
}
