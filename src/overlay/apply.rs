//! Applies text changes in the form of the Language Server Protocol: ranges in lines and UTF-16 code units, in
//! sequence, all or none. Pure. A few changes are applied to the string itself; many are applied to a rope, so that ten
//! thousand cost little more than one.

use memchr::memchr2;
use polytree_protocol::buffer::{TextChange, TextPosition, TextRange};
use ropey::Rope;

/// More changes than this are applied to a rope; building it costs about as much as this many changes of the string.
const MAX_STRING_CHANGES: usize = 8;

/// Why a change cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChange {
    /// The text has fewer lines.
    #[error("change {change}: there is no line {line} in the text, which has {lines}")]
    NoLine {
        /// The change, from 0.
        change: usize,
        /// The line, from 0.
        line: u32,
        /// The number of lines.
        lines: usize,
    },
    /// The position is inside a character.
    #[error("change {change}: character {character} of line {line} is between the two halves of a surrogate pair")]
    Half {
        /// The change, from 0.
        change: usize,
        /// The line, from 0.
        line: u32,
        /// The UTF-16 code unit, from 0.
        character: u32,
    },
    /// The range ends before it starts.
    #[error("change {change}: the range ends before it starts")]
    Backwards {
        /// The change, from 0.
        change: usize,
    },
    /// The change has a range, but the text is not known.
    #[error("change {change}: its base text is not known")]
    NoText {
        /// The change, from 0.
        change: usize,
    },
}

/// The text after all changes. `base` is needed unless a change replaces the whole text.
///
/// # Errors
/// When a change is invalid for the text that the changes before it have made.
pub fn apply(base: Option<&str>, changes: &[TextChange]) -> Result<String, InvalidChange> {
    // Changes before a whole text have no effect.
    let whole = changes.iter().rposition(|change| change.range.is_none());
    let (base, first) = match whole {
        Some(index) => (changes[index].text.as_str(), index + 1),
        None => (base.ok_or(InvalidChange::NoText { change: 0 })?, 0),
    };
    let rest = &changes[first..];
    let parts = rest.iter().enumerate().filter_map(|(index, change)| Some((first + index, change.range?, change.text.as_str())));
    if rest.len() > MAX_STRING_CHANGES { apply_to_rope(base, parts) } else { apply_to_string(base, parts) }
}

fn apply_to_string<'a>(base: &str, changes: impl Iterator<Item = (usize, TextRange, &'a str)>) -> Result<String, InvalidChange> {
    let mut text = base.to_owned();
    for (change, range, new) in changes {
        check_order(change, range)?;
        let start = offset(&text, range.start, change)?;
        let end = offset(&text, range.end, change)?;
        text.replace_range(start..end, new);
    }
    Ok(text)
}

fn apply_to_rope<'a>(base: &str, changes: impl Iterator<Item = (usize, TextRange, &'a str)>) -> Result<String, InvalidChange> {
    let mut rope = Rope::from_str(base);
    for (change, range, new) in changes {
        check_order(change, range)?;
        let start = char_index(&rope, range.start, change)?;
        let end = char_index(&rope, range.end, change)?;
        rope.remove(start..end);
        rope.insert(start, new);
    }
    Ok(rope.to_string())
}

fn check_order(change: usize, range: TextRange) -> Result<(), InvalidChange> {
    if range.end < range.start { Err(InvalidChange::Backwards { change }) } else { Ok(()) }
}

/// The byte offset of a position.
fn offset(text: &str, position: TextPosition, change: usize) -> Result<usize, InvalidChange> {
    let bytes = text.as_bytes();
    let mut start = 0;
    for lines in 0..position.line {
        let Some(at) = memchr2(b'\n', b'\r', &bytes[start..]) else {
            return Err(InvalidChange::NoLine { change, line: position.line, lines: lines as usize + 1 });
        };
        start += at + 1;
        if bytes[start - 1] == b'\r' && bytes.get(start) == Some(&b'\n') {
            start += 1;
        }
    }
    let end = memchr2(b'\n', b'\r', &bytes[start..]).map_or(bytes.len(), |at| start + at);
    let mut left = position.character as usize;
    for (at, character) in text[start..end].char_indices() {
        if left == 0 {
            return Ok(start + at);
        }
        left = left.checked_sub(character.len_utf16()).ok_or_else(|| half(position, change))?;
    }
    Ok(end)
}

/// The character index of a position.
fn char_index(rope: &Rope, position: TextPosition, change: usize) -> Result<usize, InvalidChange> {
    let (line, lines) = (position.line as usize, rope.len_lines());
    if line >= lines {
        return Err(InvalidChange::NoLine { change, line: position.line, lines });
    }
    let start = rope.line_to_char(line);
    let mut end = if line + 1 < lines { rope.line_to_char(line + 1) } else { rope.len_chars() };
    for ending in ['\n', '\r'] {
        if end > start && rope.char(end - 1) == ending {
            end -= 1;
        }
    }
    let unit = rope.char_to_utf16_cu(start) + position.character as usize;
    if unit >= rope.char_to_utf16_cu(end) {
        return Ok(end);
    }
    let at = rope.utf16_cu_to_char(unit);
    if rope.char_to_utf16_cu(at) == unit { Ok(at) } else { Err(half(position, change)) }
}

fn half(position: TextPosition, change: usize) -> InvalidChange {
    InvalidChange::Half { change, line: position.line, character: position.character }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(from: (u32, u32), to: (u32, u32), text: &str) -> TextChange {
        let at = |(line, character)| TextPosition { line, character };
        TextChange { range: Some(TextRange { start: at(from), end: at(to) }), text: text.to_owned() }
    }

    fn whole(text: &str) -> TextChange {
        TextChange { range: None, text: text.to_owned() }
    }

    /// A naive implementation of the specification: code units one by one, a new list for each change.
    fn naive(base: &str, changes: &[TextChange]) -> Option<String> {
        let mut units: Vec<u16> = base.encode_utf16().collect();
        for change in changes {
            let Some(range) = change.range else {
                units = change.text.encode_utf16().collect();
                continue;
            };
            let find = |position: TextPosition| {
                let mut starts = vec![0];
                for (index, unit) in units.iter().enumerate() {
                    let is_end = *unit == 10 || (*unit == 13 && units.get(index + 1) != Some(&10));
                    if is_end {
                        starts.push(index + 1);
                    }
                }
                let start = *starts.get(position.line as usize)?;
                let end = (start..units.len()).find(|index| matches!(units[*index], 10 | 13)).unwrap_or(units.len());
                let at = (start + position.character as usize).min(end);
                let is_half =
                    at > 0 && at < units.len() && (0xD800..0xDC00).contains(&units[at - 1]) && (0xDC00..0xE000).contains(&units[at]);
                (!is_half).then_some(at)
            };
            if range.end < range.start {
                return None;
            }
            let (start, end) = (find(range.start)?, find(range.end)?);
            units.splice(start..end, change.text.encode_utf16());
        }
        Some(String::from_utf16(&units).unwrap())
    }

    #[test]
    fn positions_follow_the_language_server_protocol() {
        let text = "a😀b\r\nzwei\rdrei\u{2028}x\n";
        for (changes, expected) in [
            (vec![change((0, 3), (0, 4), "B")], "a😀B\r\nzwei\rdrei\u{2028}x\n"),
            (vec![change((0, 99), (1, 0), "-")], "a😀b-zwei\rdrei\u{2028}x\n"),
            (vec![change((2, 4), (2, 5), " ")], "a😀b\r\nzwei\rdrei x\n"),
            (vec![change((3, 0), (3, 7), "end")], "a😀b\r\nzwei\rdrei\u{2028}x\nend"),
            (vec![change((0, 0), (3, 0), ""), change((0, 0), (0, 0), "new")], "new"),
            (vec![change((9, 9), (9, 9), "lost"), whole("w"), change((0, 1), (0, 1), "!")], "w!"),
            (vec![], text),
        ] {
            assert_eq!(apply(Some(text), &changes).unwrap(), expected);
        }
        assert_eq!(apply(Some(text), &[change((0, 2), (0, 3), "")]), Err(InvalidChange::Half { change: 0, line: 0, character: 2 }));
        assert_eq!(apply(Some(text), &[change((0, 0), (4, 0), "")]), Err(InvalidChange::NoLine { change: 0, line: 4, lines: 4 }));
        assert_eq!(apply(Some(text), &[whole("x"), change((0, 1), (0, 0), "")]), Err(InvalidChange::Backwards { change: 1 }));
        assert_eq!(apply(None, &[change((0, 0), (0, 0), "")]), Err(InvalidChange::NoText { change: 0 }));
        assert_eq!(apply(None, &[whole("x")]).unwrap(), "x");
        assert!(apply(Some(""), &[change((u32::MAX, u32::MAX), (u32::MAX, u32::MAX), "")]).is_err());
    }

    fn text() -> impl Strategy<Value = String> {
        "[ab\u{e4}\u{1f600}\u{2028}\u{85}\r\n]{0,24}"
    }

    fn changes(max_changes: usize) -> impl Strategy<Value = Vec<TextChange>> {
        let position = || (0..6u32, 0..8u32);
        let one = (proptest::option::weighted(0.95, (position(), position())), text()).prop_map(|(range, text)| match range {
            Some((a, b)) => change(a.min(b), a.max(b), &text),
            None => whole(&text),
        });
        prop::collection::vec(one, 0..max_changes)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn both_algorithms_agree_with_the_naive_one(base in text(), changes in changes(14)) {
            let last = changes.iter().rposition(|change| change.range.is_none());
            // Changes before a whole text are not even validated.
            let (start, counted) = match last {
                Some(index) => (changes[index].text.clone(), changes[index + 1..].to_vec()),
                None => (base.clone(), changes.clone()),
            };
            let expected = naive(&start, &counted);
            prop_assert!(apply(Some(&base), &changes).ok() == expected);
            let parts = || counted.iter().map(|change| (0, change.range.unwrap(), change.text.as_str()));
            prop_assert!(apply_to_string(&start, parts()).ok() == expected);
            prop_assert_eq!(apply_to_rope(&start, parts()).ok(), expected);
        }
    }
}
