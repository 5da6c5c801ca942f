//! Text as files have it: its encoding, and line endings, which are unified with a way back to the original.

use std::ops::Range;

pub use crate::stdx::encoding::{Encoding, TextFile, is_binary, note};

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

    proptest! {
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
