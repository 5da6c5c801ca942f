//! Text as files have it: encodings and line endings. Decoding and encoding are exact inverses, so whatever an edit
//! does not touch keeps every byte; inside, text is Unicode and its lines end with a line feed.

use std::ops::Range;

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How a file's characters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a mark.
    Utf8,
    /// UTF-8 after a byte order mark.
    Utf8Mark,
    /// UTF-16, little end first, after a mark.
    Utf16Le,
    /// UTF-16, big end first, after a mark.
    Utf16Be,
    /// One byte each; what every file is that is nothing else.
    Windows1252,
}

/// Why text cannot be decoded or encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not text at all.
    #[error("it is a binary file")]
    Binary,
    /// Broken UTF-16, which would not survive a change.
    #[error("it is not valid {0}")]
    Malformed(&'static str),
    /// A character that the file's encoding lacks.
    #[error("the file is stored as windows-1252, which has no character {0:?}")]
    Unencodable(char),
}

/// The marks by which a file tells its encoding.
const MARKS: [(Encoding, &[u8]); 3] =
    [(Encoding::Utf8Mark, b"\xEF\xBB\xBF"), (Encoding::Utf16Le, b"\xFF\xFE"), (Encoding::Utf16Be, b"\xFE\xFF")];

impl Encoding {
    /// What the bytes are by their mark; UTF-8 without one if they have none.
    #[must_use]
    pub fn by_mark(bytes: &[u8]) -> Self {
        MARKS.iter().find(|(_, mark)| bytes.starts_with(mark)).map_or(Self::Utf8, |(encoding, _)| *encoding)
    }

    /// The bytes that a file of this encoding begins with.
    #[must_use]
    pub fn mark(self) -> &'static [u8] {
        MARKS.iter().find(|(encoding, _)| *encoding == self).map_or(b"", |(_, mark)| mark)
    }

    /// The bytes of a file with this text.
    ///
    /// # Errors
    /// When the encoding lacks a character.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = self.mark().to_vec();
        match self {
            Self::Utf8 | Self::Utf8Mark => bytes.extend(text.as_bytes()),
            Self::Utf16Le => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Self::Utf16Be => bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Self::Windows1252 => {
                let lacks = |text: &str| WINDOWS_1252.encode(text).2;
                if lacks(text) {
                    let mut buffer = [0; 4];
                    let character = text.chars().find(|character| lacks(character.encode_utf8(&mut buffer)));
                    return Err(Error::Unencodable(character.unwrap_or(char::REPLACEMENT_CHARACTER)));
                }
                bytes.extend(WINDOWS_1252.encode(text).0.as_ref());
            }
        }
        Ok(bytes)
    }
}

/// A decoded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// How it is stored.
    pub encoding: Encoding,
    /// Its text with the line endings that it has, without the mark.
    pub text: String,
}

impl TextFile {
    /// Decodes a whole file.
    ///
    /// # Errors
    /// When it is not text, or would change by being decoded and encoded.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if is_binary(bytes) {
            return Err(Error::Binary);
        }
        let encoding = Encoding::by_mark(bytes);
        let rest = &bytes[encoding.mark().len()..];
        let decoded = match encoding {
            Encoding::Utf16Le => UTF_16LE.decode_without_bom_handling_and_without_replacement(rest),
            Encoding::Utf16Be => UTF_16BE.decode_without_bom_handling_and_without_replacement(rest),
            _ => UTF_8.decode_without_bom_handling_and_without_replacement(rest),
        };
        match (decoded, encoding) {
            (Some(text), _) => Ok(Self { encoding, text: text.into_owned() }),
            (None, Encoding::Utf8) => {
                Ok(Self { encoding: Encoding::Windows1252, text: WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned() })
            }
            (None, Encoding::Utf8Mark) => Err(Error::Malformed("UTF-8, though it has a byte order mark")),
            (None, _) => Err(Error::Malformed("UTF-16, though it has a byte order mark")),
        }
    }
}

/// Whether the first bytes of a file look like no text: a NUL, or more than three in ten are control characters.
#[must_use]
pub fn is_binary(bytes: &[u8]) -> bool {
    if matches!(Encoding::by_mark(bytes), Encoding::Utf16Le | Encoding::Utf16Be) {
        return false;
    }
    let sample = &bytes[..bytes.len().min(4096)];
    let control = sample.iter().filter(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31)).count();
    sample.contains(&0) || control * 10 > sample.len() * 3
}

/// Text whose lines all end with a line feed, with the way back to the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// The text without the carriage returns before line feeds.
    pub text: String,
    /// Where in `text` a carriage return was dropped: the offsets of their line feeds, ascending.
    dropped: Vec<usize>,
    /// What prevails in all of it; counted once, since it is asked for at each of many places.
    overall: Option<Ending>,
}

impl Unified {
    /// Drops carriage returns before line feeds.
    #[must_use]
    pub fn new(original: &str) -> Self {
        let mut text = String::with_capacity(original.len());
        let mut dropped = Vec::new();
        let mut rest = original;
        while let Some(at) = rest.find("\r\n") {
            text.push_str(&rest[..at]);
            dropped.push(text.len());
            text.push('\n');
            rest = &rest[at + 2..];
        }
        text.push_str(rest);
        let mut unified = Self { text, dropped, overall: None };
        unified.overall = unified.prevailing(0..unified.text.len());
        unified
    }

    /// The place in the original of a range in `text`.
    #[must_use]
    pub fn original(&self, range: &Range<usize>) -> Range<usize> {
        let place = |offset: usize| offset + self.dropped.partition_point(|dropped| *dropped < offset);
        place(range.start)..place(range.end)
    }

    /// The text with the line endings that prevail in a range of the original, or in all of it where the range has none.
    #[must_use]
    pub fn with_endings_of(&self, range: &Range<usize>, text: &str) -> String {
        let unified = text.replace("\r\n", "\n");
        let within = self.prevailing(range.clone()).or(self.overall);
        if within == Some(Ending::CrLf) { unified.replace('\n', "\r\n") } else { unified }
    }

    fn prevailing(&self, range: Range<usize>) -> Option<Ending> {
        let both = self.text[range.clone()].bytes().filter(|byte| *byte == b'\n').count();
        let before = |offset| self.dropped.partition_point(|dropped| *dropped < offset);
        let returns = before(range.end) - before(range.start);
        (both > 0).then(|| if returns * 2 > both { Ending::CrLf } else { Ending::Lf })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Lf,
    CrLf,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNICODE: [Encoding; 4] = [Encoding::Utf8, Encoding::Utf8Mark, Encoding::Utf16Le, Encoding::Utf16Be];

    #[test]
    fn encodings_are_told_apart() {
        for (encoding, bytes) in [
            (Encoding::Utf8, "grün\r\n".as_bytes()),
            (Encoding::Utf8Mark, b"\xEF\xBB\xBFgr\xC3\xBCn\r\n"),
            (Encoding::Windows1252, b"gr\xFCn\r\n"),
            (Encoding::Utf16Le, b"\xFF\xFEg\0r\0\xFC\0n\0\r\0\n\0"),
            (Encoding::Utf16Be, b"\xFE\xFF\0g\0r\0\xFC\0n\0\r\0\n"),
        ] {
            let file = TextFile::decode(bytes).unwrap();
            assert_eq!((file.encoding, file.text.as_str()), (encoding, "grün\r\n"));
            assert_eq!(encoding.encode(&file.text).unwrap(), bytes);
        }
        assert_eq!(TextFile::decode(b"PK\x03\x04\0\0"), Err(Error::Binary));
        assert!(matches!(TextFile::decode(b"\xFF\xFEa"), Err(Error::Malformed(_))));
        assert_eq!(Encoding::Windows1252.encode("a→b"), Err(Error::Unencodable('→')));
        assert_eq!(TextFile::decode(b"").unwrap().text, "");
    }

    proptest! {
        #[test]
        fn decoding_loses_nothing(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), 32u8..127, 128u8..=255], 0..200), mark in 0..4usize) {
            let mut all = [&b""[..], b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"][mark].to_vec();
            all.extend(bytes);
            if let Ok(file) = TextFile::decode(&all) {
                prop_assert_eq!(file.encoding.encode(&file.text).unwrap(), all);
            }
        }

        #[test]
        fn encoding_is_decoded_again(text in "[a-z\n\r\u{e4}\u{20ac}\u{1f600}]{1,40}") {
            for encoding in UNICODE {
                prop_assert_eq!(TextFile::decode(&encoding.encode(&text).unwrap()).unwrap(), TextFile { encoding, text: text.clone() });
            }
        }

        #[test]
        fn unified_text_leads_back(text in "[ab\r\n]{0,40}", at in 0..40usize, length in 0..40usize) {
            let unified = Unified::new(&text);
            prop_assert_eq!(&unified.text, &text.replace("\r\n", "\n"));
            let start = at.min(unified.text.len());
            let end = (start + length).min(unified.text.len());
            let original = unified.original(&(start..end));
            prop_assert_eq!(text[original.clone()].replace("\r\n", "\n"), &unified.text[start..end]);
            // The parts before and after are whole as well: no ending is cut in two.
            prop_assert_eq!(text[..original.start].replace("\r\n", "\n"), &unified.text[..start]);
            prop_assert_eq!(text[original.end..].replace("\r\n", "\n"), &unified.text[end..]);
        }

        #[test]
        fn the_same_text_put_back_changes_nothing_in_uniform_files(lines in prop::collection::vec("[ab]{0,3}", 1..6), crlf: bool, from in 0..6usize) {
            let text = lines.join(if crlf { "\r\n" } else { "\n" });
            let unified = Unified::new(&text);
            let range = from.min(unified.text.len())..unified.text.len();
            let put = unified.with_endings_of(&range, &unified.text[range.clone()]);
            prop_assert_eq!(&put, &text[unified.original(&range)]);
        }
    }
}
