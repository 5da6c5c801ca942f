//! A window of lines out of a file of any size, taken from its bytes as they come: only the window is kept in memory.
//! Pure.

use crate::{
    file::text_file::{self, Encoding},
    stdx::{encoding::Detector, secrets::known::KnownSecrets},
};

/// Longer lines are cut.
pub const LINE_CHARACTERS: usize = 2000;
/// More text than this is not given at once.
pub const PAGE_BYTES: usize = 50 * 1024;

/// Takes a file's bytes and keeps the lines of the window.
pub struct Reader<'a> {
    secrets: &'a KnownSecrets,
    first: usize,
    last: usize,
    number: usize,
    line: Vec<u8>,
    line_is_empty: bool,
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
    full: bool,
    detector: Detector,
}

/// The lines of the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The lines, without their endings, long ones cut.
    pub lines: Vec<String>,
    /// How many lines the file has; at least so many where the reading was left.
    pub total: usize,
    /// Whether the page ends early because it is full, before the lines that were asked for.
    pub full: bool,
    /// Which of the lines are cut, counted from 0.
    pub cut: Vec<usize>,
    /// What has to be known of how the file is stored.
    pub note: Option<String>,
}

impl<'a> Reader<'a> {
    /// For `limit` lines from line `first`, from 1. The bytes must be of an encoding in which a line feed is one byte, without a mark.
    /// `secrets` are taken out before a line is cut.
    pub fn new(first: usize, limit: usize, secrets: &'a KnownSecrets) -> Self {
        Self {
            secrets,
            first,
            last: first.saturating_add(limit),
            number: 1,
            line: Vec::new(),
            line_is_empty: true,
            kept: Vec::new(),
            kept_bytes: 0,
            full: false,
            detector: Detector::default(),
        }
    }

    /// The same for a file that begins with the mark of UTF-8.
    pub fn after_mark(self) -> Self {
        Self { detector: Detector::after_mark(), ..self }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.detector.push(bytes);
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..at]);
            self.end_line();
            rest = &rest[at + 1..];
        }
        self.extend(rest);
    }

    /// Whether the page holds all it can: what follows is only counted.
    pub fn is_done(&self) -> bool {
        self.number >= self.last || self.full
    }

    /// Ends the file. A last line without a line feed counts.
    pub fn finish(mut self) -> Page {
        if !self.line_is_empty {
            self.end_line();
        }
        self.page()
    }

    /// Ends the reading before the file ends; of the total it is only known that there is more.
    pub fn finish_early(mut self) -> Page {
        self.number += 1;
        self.page()
    }

    fn page(self) -> Page {
        let (encoding, strays) = self.detector.finish();
        let note = text_file::note(encoding, strays);
        let mut page = Page { lines: Vec::new(), total: self.number - 1, full: self.full, cut: Vec::new(), note };
        let mut bytes = 0;
        for line in &self.kept {
            let text = match encoding {
                Encoding::Legacy(encoding) => encoding.decode_without_bom_handling(line).0,
                _ => String::from_utf8_lossy(line),
            };
            let (text, is_cut) = cut(&self.secrets.redact(&text));
            bytes += text.len() + 8;
            // The first line is always given: a page without lines would never end.
            if bytes > PAGE_BYTES && !page.lines.is_empty() {
                page.full = true;
                break;
            }
            if is_cut {
                page.cut.push(page.lines.len());
            }
            page.lines.push(text);
        }
        page
    }

    fn wanted(&self) -> bool {
        self.number >= self.first && self.number < self.last && !self.full
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.line_is_empty &= bytes.is_empty();
        if self.wanted() {
            // One character more than is shown tells that the line is longer; the longest has four bytes.
            let space = (4 * (LINE_CHARACTERS + 1) + 1 + self.secrets.longest()).saturating_sub(self.line.len());
            self.line.extend(&bytes[..bytes.len().min(space)]);
        }
    }

    fn end_line(&mut self) {
        if self.wanted() {
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            self.kept_bytes += line.len() + 8;
            self.kept.push(line);
            // The rest of the window is counted and not kept; what is too much is cut when the encoding is known.
            self.full = self.kept_bytes > PAGE_BYTES && self.number + 1 < self.last;
        }
        self.line.clear();
        self.line_is_empty = true;
        self.number += 1;
    }
}

/// The line, or its beginning, and whether that is all that is given.
fn cut(line: &str) -> (String, bool) {
    match line.char_indices().nth(LINE_CHARACTERS) {
        Some((at, _)) => (format!("{}...", &line[..at]), true),
        None => (line.to_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(bytes: &[u8], first: usize, limit: usize, chunk: usize) -> Page {
        let secrets = KnownSecrets::default();
        let mut reader = Reader::new(first, limit, &secrets);
        bytes.chunks(chunk).for_each(|chunk| reader.push(chunk));
        reader.finish()
    }

    #[test]
    fn long_lines_and_full_pages() {
        let long = page("ü".repeat(3000).as_bytes(), 1, 10, 7);
        assert_eq!((long.lines, long.cut), (vec!["ü".repeat(2000) + "..."], vec![0]));
        assert_eq!(page("a".repeat(2000).as_bytes(), 1, 10, 64).lines, ["a".repeat(2000)]);
        let text = format!("{}\n", "y".repeat(1000)).repeat(100);
        let many = page(text.as_bytes(), 1, 2000, 1000);
        assert!(many.full && many.total == 100);
        assert!(many.lines.iter().map(|line| line.len() + 8).sum::<usize>() <= PAGE_BYTES);
        assert_eq!(many.lines.len(), PAGE_BYTES / 1008);
    }

    proptest! {
        #[test]
        fn as_if_the_whole_text_were_split(text in "[a\u{e4}\r\n]{0,60}", first in 1..8usize, limit in 1..8usize, chunk in 1..9usize, latin: bool) {
            let bytes = if latin { encoding_rs::WINDOWS_1252.encode(&text).0.into_owned() } else { text.clone().into_bytes() };
            let result = page(&bytes, first, limit, chunk);
            let all: Vec<_> = text.split_terminator('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
            prop_assert_eq!(result.total, all.len());
            prop_assert_eq!(result.lines, all.into_iter().skip(first - 1).take(limit).collect::<Vec<_>>());
        }
    }
}
