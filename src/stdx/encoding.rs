//! How files store text. A file is UTF-8 or UTF-16 where it says or proves so, UTF-8 with stray bytes where nearly all
//! of it is UTF-8, and else in the legacy encoding that its bytes look most like: a guess, which is told as one.
//! Whatever was decoded can be encoded to the same bytes, or says that it cannot.

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes that are no UTF-8 become characters from here on (private use), so that they survive a change.
const STRAY: u32 = 0x0010_FF00;
/// So many bytes, from the first that is not ASCII, are looked at to guess a legacy encoding.
const SAMPLE_BYTES: usize = 256 * 1024;
/// Fewer bytes than this tell no single-byte encoding from another.
const FEW_BYTES: usize = 6;
/// Runs of stray bytes are judged in pieces of this length.
const RUN_BYTES: usize = 4096;

/// How a file's characters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a byte order mark.
    Utf8,
    /// UTF-8 after a byte order mark.
    Utf8Mark,
    /// UTF-16, little end first, after a mark.
    Utf16Le,
    /// UTF-16, big end first, after a mark.
    Utf16Be,
    /// An older encoding, guessed from the bytes.
    Legacy(&'static encoding_rs::Encoding),
}

/// Why text cannot be decoded or encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not text at all.
    #[error("it is a binary file")]
    Binary,
    /// Its bytes would not survive a change.
    #[error("it is not valid {0}, so its characters would not survive a change")]
    Malformed(&'static str),
    /// A character that the file's encoding lacks.
    #[error("the file seems to be stored as {0}, which has no character {1:?}")]
    Unencodable(&'static str, char),
    /// A character that stands for a byte of a file that is not all UTF-8.
    #[error("the character {0:?} stands for a byte that is not UTF-8 and cannot be written")]
    Reserved(char),
}

/// The marks by which a file tells its encoding.
const MARKS: [(Encoding, &[u8]); 3] =
    [(Encoding::Utf8Mark, b"\xEF\xBB\xBF"), (Encoding::Utf16Le, b"\xFF\xFE"), (Encoding::Utf16Be, b"\xFE\xFF")];

impl Encoding {
    /// What the bytes are by their mark; UTF-8 without one if they have none.
    pub fn by_mark(bytes: &[u8]) -> Self {
        MARKS.iter().find(|(_, mark)| bytes.starts_with(mark)).map_or(Self::Utf8, |(encoding, _)| *encoding)
    }

    /// The bytes that a file of this encoding begins with.
    pub fn mark(self) -> &'static [u8] {
        MARKS.iter().find(|(encoding, _)| *encoding == self).map_or(b"", |(_, mark)| mark)
    }

    /// Its name, as the Encoding Standard has it.
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
    /// When the encoding lacks a character.
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// How it is stored.
    pub encoding: Encoding,
    /// Its text with the line endings that it has, without the mark. Each stray byte is one private character.
    pub text: String,
    /// How many bytes of a UTF-8 file are not UTF-8.
    pub strays: usize,
    /// The text has lost something: it cannot be encoded again.
    is_lossy: bool,
}

impl TextFile {
    /// Decodes a whole file.
    ///
    /// # Errors
    /// When it is not text.
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
                // Some bytes have no character, and some characters several encodings.
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
    /// When the file's encoding lacks a character, or what stays the same in it would be lost.
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
    /// When the text has such a character.
    pub fn check_new(&self, text: &str) -> Result<(), Error> {
        let reserved = (self.strays > 0).then(|| text.chars().find(|character| is_stray(*character))).flatten();
        reserved.map_or(Ok(()), |character| Err(Error::Reserved(character)))
    }

    /// A text of this file for people and models: stray bytes are U+FFFD.
    pub fn shown(&self, text: &str) -> String {
        if self.strays == 0 { text.to_owned() } else { text.replace(is_stray, "\u{fffd}") }
    }

    /// Whether the text cannot be encoded to the bytes that it came from.
    pub fn is_lossy(&self) -> bool {
        self.is_lossy
    }

    /// What a reader must know about how the file was decoded; `None` where nothing was guessed or replaced.
    pub fn note(&self) -> Option<String> {
        note(self.encoding, self.strays).or_else(|| {
            let name = self.encoding.name();
            self.is_lossy
                .then(|| format!("Parts of this file are not valid {name} and shown as U+FFFD; edits would lose them and are refused."))
        })
    }
}

/// What a reader must know of a file that is stored so.
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

/// The byte that a character of a decoded file stands for.
pub fn stray_byte(character: char) -> Option<u8> {
    u32::from(character).checked_sub(STRAY).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80)
}

fn is_stray(character: char) -> bool {
    stray_byte(character).is_some()
}

/// Whether the first bytes of a file look like no text: a NUL, also in UTF-16 (which UTF-32 after its mark has at once),
/// or more than three in ten are control characters.
pub fn is_binary(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(4096)];
    if matches!(Encoding::by_mark(bytes), Encoding::Utf16Le | Encoding::Utf16Be) {
        return sample.chunks_exact(2).any(|unit| unit == [0, 0]);
    }
    let control = sample.iter().filter(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31)).count();
    sample.contains(&0) || control * 10 > sample.len() * 3
}

/// Tells UTF-8 from older encodings, from bytes as they come. The result does not depend on how they are cut.
#[derive(Debug, Default)]
pub struct Detector {
    /// An unfinished character at the end.
    carry: Vec<u8>,
    /// Stray bytes in a row.
    run: Vec<u8>,
    /// From the first byte that is not ASCII.
    sample: Vec<u8>,
    is_sample_cut: bool,
    /// Characters of several bytes, and sequences that only programs which meant UTF-8 write.
    whole: usize,
    /// Those of them that are rare as accidents of other encodings.
    certain: usize,
    /// Stray bytes that nothing explains.
    unexplained: usize,
    strays: usize,
    /// A byte order mark has said that it is UTF-8.
    is_marked: bool,
}

impl Detector {
    /// For the bytes after the mark of UTF-8.
    pub fn after_mark() -> Self {
        Self { is_marked: true, ..Self::default() }
    }

    /// Takes the next bytes.
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
    pub fn finish(mut self) -> (Encoding, usize) {
        self.end_run();
        self.strays += self.carry.len();
        // A character that was cut at the end of the file.
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

    /// Whether there are too few bytes for the guess, and windows-1252, by far the most common, explains them all.
    fn is_too_little_for(&self, guess: &'static encoding_rs::Encoding) -> bool {
        if self.sample.iter().any(|byte| matches!(byte, 0x81 | 0x8D | 0x8F | 0x90 | 0x9D)) {
            return false;
        }
        if guess.is_single_byte() {
            let letters = self.sample.iter().filter(|byte| !byte.is_ascii()).count();
            let longest = self.sample.split(u8::is_ascii).map(<[u8]>::len).max().unwrap_or(0);
            // Words that are mostly not ASCII are those of other scripts.
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
            // Half a surrogate pair, or NUL as Java writes it, each encoded by itself.
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
