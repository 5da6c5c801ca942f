//! The text of a file with its encoding and line endings. Line endings are normalised, with a mapping to the original.

use std::ops::Range;

pub use crate::stdx::encoding::{Encoding, TextFile, is_binary, note};

/// Text whose lines all end with a line feed, with a mapping to the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// The text without the carriage returns before line feeds.
    pub text: String,
    /// The offsets in `text` of the line feeds after which a carriage return was removed, ascending.
    dropped: Vec<usize>,
    /// The prevailing line ending of the whole text, computed once.
    overall: Option<Ending>,
}

impl Unified {
    /// Removes carriage returns before line feeds.
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

    /// The range in the original for a range in `text`.
    pub fn original(&self, range: &Range<usize>) -> Range<usize> {
        let map = |offset: usize| offset + self.dropped.partition_point(|dropped| *dropped < offset);
        map(range.start)..map(range.end)
    }

    /// Converts line endings to those that prevail in a range, or in the whole text if the range has none.
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

    proptest! {
        #[test]
        fn unified_text_maps_to_the_original(text in "[ab\r\n]{0,40}", at in 0..40usize, length in 0..40usize) {
            let unified = Unified::new(&text);
            prop_assert_eq!(&unified.text, &text.replace("\r\n", "\n"));
            let start = at.min(unified.text.len());
            let end = (start + length).min(unified.text.len());
            let original = unified.original(&(start..end));
            prop_assert_eq!(text[original.clone()].replace("\r\n", "\n"), &unified.text[start..end]);
            // The parts before and after are complete too: no line ending is split.
            prop_assert_eq!(text[..original.start].replace("\r\n", "\n"), &unified.text[..start]);
            prop_assert_eq!(text[original.end..].replace("\r\n", "\n"), &unified.text[end..]);
        }

        #[test]
        fn replacing_text_with_itself_changes_nothing_in_uniform_files(lines in prop::collection::vec("[ab]{0,3}", 1..6), crlf: bool, from in 0..6usize) {
            let text = lines.join(if crlf { "\r\n" } else { "\n" });
            let unified = Unified::new(&text);
            let range = from.min(unified.text.len())..unified.text.len();
            let put = unified.with_endings_of(&range, &unified.text[range.clone()]);
            prop_assert_eq!(&put, &text[unified.original(&range)]);
        }
    }
}
