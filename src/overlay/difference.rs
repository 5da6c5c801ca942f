//! The edits that turn one text into another: replacements of whole lines, in UTF-16 positions. Pure.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use memchr::memchr2;
use polytree_protocol::buffer::{TextChange, TextPosition, TextRange};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// The limit of the diff: texts that have little in common would take minutes. After it the edits are still correct,
/// but no longer minimal.
const DIFF_TIMEOUT: Duration = Duration::from_secs(1);

/// The line ranges in which two texts differ: between two of them there is always a common line.
pub fn regions(before: &[&str], after: &[&str]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut regions: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for operation in capture_diff_slices_deadline(Algorithm::Myers, before, after, Some(Instant::now() + DIFF_TIMEOUT)) {
        if matches!(operation, DiffOp::Equal { .. }) {
            continue;
        }
        let (from, to) = (operation.old_range(), operation.new_range());
        match regions.last_mut() {
            Some((last_from, last_to)) if last_from.end == from.start && last_to.end == to.start => {
                last_from.end = from.end;
                last_to.end = to.end;
            }
            _ => regions.push((from, to)),
        }
    }
    regions
}

/// The edits that turn `old` into `new`, from the last position to the first: applied in sequence or all at once, the
/// result is the same.
pub fn difference(old: &str, new: &str) -> Vec<TextChange> {
    let (before, after) = (lines(old), lines(new));
    let edit = |(from, to): &(Range<usize>, Range<usize>)| TextChange {
        range: Some(TextRange { start: position(&before, from.start), end: position(&before, from.end) }),
        text: after[to.clone()].concat(),
    };
    regions(&before, &after).iter().rev().map(edit).collect()
}

/// The lines with their terminators. A text that ends with a line break has no empty line after it.
pub fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr2(b'\n', b'\r', rest.as_bytes()) {
        let end = if rest[at..].starts_with("\r\n") { at + 2 } else { at + 1 };
        lines.push(&rest[..end]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// The position before a line, or after the last one.
pub fn position(lines: &[&str], index: usize) -> TextPosition {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    match index.checked_sub(1).and_then(|last| lines.get(last)) {
        // There is no line below one without a terminator.
        Some(last) if index == lines.len() && !last.ends_with(['\n', '\r']) => {
            TextPosition { line: number(index - 1), character: number(last.encode_utf16().count()) }
        }
        _ => TextPosition { line: number(index), character: 0 },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::overlay::apply::apply;

    fn shown(old: &str, new: &str) -> Vec<(u32, u32, u32, u32, String)> {
        let show = |change: TextChange| {
            let TextRange { start, end } = change.range.unwrap();
            (start.line, start.character, end.line, end.character, change.text)
        };
        difference(old, new).into_iter().map(show).collect()
    }

    #[test]
    fn only_lines_that_differ_are_edited() {
        assert_eq!(shown("a\nb\nc\n", "a\nB\nc\n"), [(1, 0, 2, 0, "B\n".to_owned())]);
        assert_eq!(shown("a\nb", "a\nb\nc"), [(1, 0, 1, 1, "b\nc".to_owned())]);
        assert_eq!(shown("a\r\n😀", "a\r\n"), [(1, 0, 1, 2, String::new())]);
        assert_eq!(shown("1\n2\n3\n4\n", "0\n2\n3\n5\n"), [(3, 0, 4, 0, "5\n".to_owned()), (0, 0, 1, 0, "0\n".to_owned())]);
        assert_eq!(shown("", "x"), [(0, 0, 0, 0, "x".to_owned())]);
        assert!(difference("same\r", "same\r").is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn edits_lead_from_one_text_to_the_other(old in "[ab\u{1f600}\u{2028}\r\n]{0,30}", new in "[ab\u{1f600}\u{2028}\r\n]{0,30}") {
            let edits = difference(&old, &new);
            prop_assert_eq!(&apply(Some(&old), &edits).unwrap(), &new);
            // All at once: each with positions of the old text, the first position last.
            let mut at_once = old.clone();
            for edit in &edits {
                let TextRange { start, end } = edit.range.unwrap();
                let offset = |position: TextPosition| {
                    let before: String = lines(&old)[..position.line as usize].concat();
                    let rest = &old[before.len()..];
                    let mut units = position.character as usize;
                    before.len() + rest.char_indices().find(|(_, c)| { let here = units == 0; units = units.saturating_sub(c.len_utf16()); here }).map_or(rest.len(), |(at, _)| at)
                };
                at_once.replace_range(offset(start)..offset(end), &edit.text);
            }
            prop_assert_eq!(at_once, new);
        }
    }
}
