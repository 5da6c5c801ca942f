//! Encodings of files. A file is UTF-8 or UTF-16 if it has a byte order mark or is valid, UTF-8 with stray bytes if nearly
//! all of it is valid, and else has the most likely legacy encoding, which is reported as a guess. Decoded text can be
//! encoded to the same bytes, or reports that it cannot.

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The first of 256 private-use characters that stand for bytes that are not UTF-8, so that edits keep them.
const STRAY: u32 = 0x0010_FF00;
/// The size of the sample to guess a legacy encoding, from the first byte that is not ASCII.
const SAMPLE_BYTES: usize = 256 * 1024;
/// With fewer bytes, single-byte encodings cannot be distinguished.
const FEW_BYTES: usize = 6;
/// Runs of stray bytes are examined in chunks of this size.
const RUN_BYTES: usize = 4096;

/// The encoding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a byte order mark.
    Utf8,
    /// UTF-8 with a byte order mark.
    Utf8Mark,
    /// UTF-16, little-endian, with a byte order mark.
    Utf16Le,
    /// UTF-16, big-endian, with a byte order mark.
    Utf16Be,
    /// A legacy encoding, guessed from the bytes.
    Legacy(&'static encoding_rs::Encoding),
}

/// Why text cannot be decoded or encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A binary file.
    #[error("it is a binary file")]
    Binary,
    /// Edits would not keep its bytes.
    #[error("it is not valid {0}, so its characters would not survive a change")]
    Malformed(&'static str),
    /// A character that the file's encoding does not have.
    #[error("the file seems to be stored as {0}, which has no character {1:?}")]
    Unencodable(&'static str, char),
    /// A character that stands for a stray byte.
    #[error("the character {0:?} stands for a byte that is not UTF-8 and cannot be written")]
    Reserved(char),
}

/// The byte order marks.
const MARKS: [(Encoding, &[u8]); 3] =
    [(Encoding::Utf8Mark, b"\xEF\xBB\xBF"), (Encoding::Utf16Le, b"\xFF\xFE"), (Encoding::Utf16Be, b"\xFE\xFF")];

impl Encoding {
    /// The encoding by the byte order mark; UTF-8 without one.
    #[must_use]
    pub fn by_mark(bytes: &[u8]) -> Self {
        MARKS.iter().find(|(_, mark)| bytes.starts_with(mark)).map_or(Self::Utf8, |(encoding, _)| *encoding)
    }

    /// The byte order mark.
    #[must_use]
    pub fn mark(self) -> &'static [u8] {
        MARKS.iter().find(|(encoding, _)| *encoding == self).map_or(b"", |(_, mark)| mark)
    }

    /// Its name in the Encoding Standard.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 | Self::Utf8Mark => UTF_8.name(),
            Self::Utf16Le => UTF_16LE.name(),
            Self::Utf16Be => UTF_16BE.name(),
            Self::Legacy(encoding) => encoding.name(),
        }
    }

    /// The bytes of a file with this text.
    ///
    /// # Errors
    /// If the encoding does not have a character.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = self.mark().to_vec();
        match self {
            Self::Utf8 | Self::Utf8Mark => bytes.extend(text.as_bytes()),
            Self::Utf16Le => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Self::Utf16Be => bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Self::Legacy(encoding) => {
                let (encoded, _, lacks) = encoding.encode(text);
                if lacks {
                    let mut buffer = [0; 4];
                    let character = text.chars().find(|character| encoding.encode(character.encode_utf8(&mut buffer)).2);
                    return Err(Error::Unencodable(encoding.name(), character.unwrap_or(char::REPLACEMENT_CHARACTER)));
                }
                bytes.extend(encoded.as_ref());
            }
        }
        Ok(bytes)
    }
}

/// A decoded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// Its encoding.
    pub encoding: Encoding,
    /// Its text with its line endings, without the mark. Each stray byte is one private-use character.
    pub text: String,
    /// The number of stray bytes in a UTF-8 file.
    pub strays: usize,
    /// Decoding lost information: the text cannot be encoded again.
    is_lossy: bool,
}

impl TextFile {
    /// Decodes a whole file.
    ///
    /// # Errors
    /// If it is not text.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if is_binary(bytes) {
            return Err(Error::Binary);
        }
        let encoding = Encoding::by_mark(bytes);
        let rest = &bytes[encoding.mark().len()..];
        let wide = match encoding {
            Encoding::Utf16Le => UTF_16LE,
            Encoding::Utf16Be => UTF_16BE,
            _ => match std::str::from_utf8(rest) {
                Ok(text) => return Ok(Self { encoding, text: text.to_owned(), strays: 0, is_lossy: false }),
                Err(_) => return Ok(Self::of_doubtful(encoding, rest)),
            },
        };
        let (text, is_lossy) = wide.decode_without_bom_handling(rest);
        if text.contains('\0') {
            return Err(Error::Binary);
        }
        Ok(Self { encoding, text: text.into_owned(), strays: 0, is_lossy })
    }

    fn of_doubtful(encoding: Encoding, bytes: &[u8]) -> Self {
        let mut detector = if encoding == Encoding::Utf8Mark { Detector::after_mark() } else { Detector::default() };
        detector.push(bytes);
        match detector.finish() {
            (Encoding::Legacy(guess), _) => {
                let text = guess.decode_without_bom_handling(bytes).0.into_owned();
                let encoding = Encoding::Legacy(guess);
                // Some bytes have no character, and some characters several byte sequences.
                let is_lossy = encoding.encode(&text).as_deref() != Ok(bytes);
                Self { encoding, text, strays: 0, is_lossy }
            }
            _ => {
                let (mut text, mut strays, mut is_lossy) = (String::with_capacity(bytes.len()), 0, false);
                for chunk in bytes.utf8_chunks() {
                    is_lossy |= chunk.valid().chars().any(is_stray);
                    text.push_str(chunk.valid());
                    strays += chunk.invalid().len();
                    text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(STRAY + u32::from(*byte))));
                }
                Self { encoding, text, strays, is_lossy }
            }
        }
    }

    /// The bytes of this file with another text.
    ///
    /// # Errors
    /// If the file's encoding does not have a character, or unchanged parts would be lost.
    pub fn encode(&self, text: &str) -> Result<Vec<u8>, Error> {
        if self.is_lossy {
            return Err(Error::Malformed(self.encoding.name()));
        }
        if self.strays == 0 {
            return self.encoding.encode(text);
        }
        let mut bytes = self.encoding.mark().to_vec();
        for character in text.chars() {
            match stray_byte(character) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(bytes)
    }

    /// Refuses characters that would be written as stray bytes.
    ///
    /// # Errors
    /// If the text has such a character.
    pub fn check_new(&self, text: &str) -> Result<(), Error> {
        let reserved = (self.strays > 0).then(|| text.chars().find(|character| is_stray(*character))).flatten();
        reserved.map_or(Ok(()), |character| Err(Error::Reserved(character)))
    }

    /// A text of this file for display: stray bytes are U+FFFD.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        if self.strays == 0 { text.to_owned() } else { text.replace(is_stray, "\u{fffd}") }
    }

    /// Whether the text cannot be encoded to the original bytes.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.is_lossy
    }

    /// A note on how the file was decoded; `None` if nothing was guessed or replaced.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        note(self.encoding, self.strays).or_else(|| {
            let name = self.encoding.name();
            self.is_lossy
                .then(|| format!("Parts of this file are not valid {name} and shown as U+FFFD; edits would lose them and are refused."))
        })
    }
}

/// A note on a file with this encoding.
#[must_use]
pub fn note(encoding: Encoding, strays: usize) -> Option<String> {
    match (encoding, strays) {
        (Encoding::Legacy(encoding), _) => Some(format!(
            "This file is not UTF-8. It is shown as {}, an encoding that is guessed from its bytes: letters other than ASCII may be wrong.",
            encoding.name()
        )),
        (_, 0) => None,
        (_, 1) => Some("One byte of this file is not valid UTF-8; it is shown as U+FFFD, and edits elsewhere keep it.".to_owned()),
        (_, count) => {
            Some(format!("{count} bytes of this file are not valid UTF-8; they are shown as U+FFFD, and edits elsewhere keep them."))
        }
    }
}

/// The stray byte that a character stands for.
#[must_use]
pub fn stray_byte(character: char) -> Option<u8> {
    u32::from(character).checked_sub(STRAY).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80)
}

fn is_stray(character: char) -> bool {
    stray_byte(character).is_some()
}

/// Whether the first bytes of a file look binary: a NUL, also in UTF-16 (UTF-32 after its mark begins with one), or more
/// than 30 % control characters.
#[must_use]
pub fn is_binary(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(4096)];
    if matches!(Encoding::by_mark(bytes), Encoding::Utf16Le | Encoding::Utf16Be) {
        return sample.chunks_exact(2).any(|unit| unit == [0, 0]);
    }
    let control = sample.iter().filter(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31)).count();
    sample.contains(&0) || control * 10 > sample.len() * 3
}

/// Distinguishes UTF-8 from legacy encodings, incrementally. The result does not depend on the chunks.
#[derive(Debug, Default)]
pub struct Detector {
    /// An incomplete character at the end of a chunk.
    carry: Vec<u8>,
    /// The current run of stray bytes.
    run: Vec<u8>,
    /// From the first byte that is not ASCII.
    sample: Vec<u8>,
    is_sample_cut: bool,
    /// The number of multi-byte characters, and of sequences that only programs write that intend UTF-8.
    whole: usize,
    /// Those of them that rarely occur in other encodings.
    certain: usize,
    /// Unexplained stray bytes.
    unexplained: usize,
    strays: usize,
    /// It has a byte order mark of UTF-8.
    is_marked: bool,
}

impl Detector {
    /// For the bytes after a byte order mark of UTF-8.
    #[must_use]
    pub fn after_mark() -> Self {
        Self { is_marked: true, ..Self::default() }
    }

    /// Processes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.keep_sample(bytes);
        let joined;
        let input = if self.carry.is_empty() {
            bytes
        } else {
            joined = [self.carry.as_slice(), bytes].concat();
            self.carry.clear();
            &joined
        };
        let mut at = 0;
        for chunk in input.utf8_chunks() {
            let (valid, invalid) = (chunk.valid(), chunk.invalid());
            if !valid.is_empty() {
                self.end_run();
                self.whole += valid.bytes().filter(|byte| *byte >= 0xC0).count();
                self.certain += valid.bytes().filter(|byte| matches!(byte, 0xC2 | 0xC3 | 0xE0..)).count();
            }
            at += valid.len() + invalid.len();
            let is_unfinished = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if at == input.len() && is_unfinished {
                self.carry = invalid.to_vec();
            } else {
                self.stray(invalid);
            }
        }
    }

    /// The encoding (UTF-8 or a guess), and for UTF-8 the number of stray bytes.
    #[must_use]
    pub fn finish(mut self) -> (Encoding, usize) {
        self.end_run();
        self.strays += self.carry.len();
        // A truncated character at the end of the file.
        self.whole += usize::from(self.carry.len() > 1);
        let is_even = self.whole > 0 && self.whole == self.unexplained && self.whole == self.certain;
        if self.is_marked || self.strays == 0 || self.whole > self.unexplained || is_even {
            return (Encoding::Utf8, self.strays);
        }
        let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
        detector.feed(&self.sample, !self.is_sample_cut);
        let guess = detector.guess(None, chardetng::Utf8Detection::Deny);
        (Encoding::Legacy(if self.is_too_little_for(guess) { WINDOWS_1252 } else { guess }), 0)
    }

    /// Whether there are too few bytes for a guess, and windows-1252, by far the most common encoding, has all of them.
    fn is_too_little_for(&self, guess: &'static encoding_rs::Encoding) -> bool {
        if self.sample.iter().any(|byte| matches!(byte, 0x81 | 0x8D | 0x8F | 0x90 | 0x9D)) {
            return false;
        }
        if guess.is_single_byte() {
            let letters = self.sample.iter().filter(|byte| !byte.is_ascii()).count();
            let longest = self.sample.split(u8::is_ascii).map(<[u8]>::len).max().unwrap_or(0);
            // Words that are mostly not ASCII are in other scripts.
            letters < FEW_BYTES && longest < 3
        } else {
            let characters = guess.decode_without_bom_handling(&self.sample).0.chars().count();
            self.sample.len().saturating_sub(characters) < 2
        }
    }

    fn keep_sample(&mut self, bytes: &[u8]) {
        let from = if self.sample.is_empty() { bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len()) } else { 0 };
        let rest = &bytes[from..];
        let kept = rest.len().min(SAMPLE_BYTES - self.sample.len());
        self.sample.extend(&rest[..kept]);
        self.is_sample_cut |= kept < rest.len();
    }

    fn stray(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.run.push(*byte);
            if self.run.len() == RUN_BYTES {
                self.end_run();
            }
        }
    }

    fn end_run(&mut self) {
        self.strays += self.run.len();
        let mut rest = self.run.as_slice();
        while !rest.is_empty() {
            // An unpaired surrogate, or Java's encoding of NUL.
            let length = match rest {
                [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] => 3,
                [0xC0, 0x80, ..] => 2,
                _ => 0,
            };
            if length > 0 {
                self.whole += 1;
            } else {
                self.unexplained += 1;
            }
            let invalid = rest.utf8_chunks().next().map_or(1, |chunk| chunk.invalid().len().max(1));
            rest = &rest[if length > 0 { length } else { invalid }..];
        }
        self.run.clear();
    }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
