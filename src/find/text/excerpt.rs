//! Excerpts of lines for clients: text of bounded length with the ranges of matches. Pure.

use std::{borrow::Cow, ops::Range};

use polytree_protocol::text::{TextSubmatch, Utf16Range};

/// The length limit of an excerpt, in bytes.
pub const MAX_EXCERPT_BYTES: usize = 4096;
/// How much of a truncated line is shown before the first match, in bytes.
const LEAD_BYTES: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt<'a> {
    pub text: Cow<'a, str>,
    pub submatches: Vec<TextSubmatch>,
    /// The number of omitted bytes before the text.
    pub before: usize,
    /// The number of omitted bytes after the text.
    pub after: usize,
    /// Whether invalid UTF-8 was replaced.
    pub lossy: bool,
}

/// The excerpt of a line with matches at these ranges, which are sorted.
pub fn excerpt_of<'a>(line: &'a [u8], matches: &[Range<usize>]) -> Excerpt<'a> {
    let window = window(line, matches.first(), MAX_EXCERPT_BYTES);
    let excerpt = &line[window.clone()];
    let matches = matches.iter().filter(|found| found.start <= window.end && found.end >= window.start);
    let inside = matches.map(|found| found.start.max(window.start) - window.start..found.end.min(window.end) - window.start);
    let (before, after) = (window.start, line.len() - window.end);
    if let Ok(text) = str::from_utf8(excerpt) {
        // Byte patterns and empty matches may end within a character; the ranges are extended to whole characters.
        let whole = inside
            .filter(|found| !found.is_empty() || text.is_char_boundary(found.start))
            .map(|found| text.floor_char_boundary(found.start)..text.ceil_char_boundary(found.end));
        let submatches = if text.is_ascii() { whole.map(plain).collect() } else { whole.map(|found| with_utf16(text, found)).collect() };
        return Excerpt { text: Cow::Borrowed(text), submatches, before, after, lossy: false };
    }
    // Matches and the text between them are converted separately, so that the ranges in the result are known.
    let (mut text, mut at, mut submatches) = (String::new(), 0, Vec::new());
    let is_inside = |place: usize| excerpt.get(place).is_some_and(|byte| byte & 0xC0 == 0x80);
    for found in inside.filter(|found| !found.is_empty() || !is_inside(found.start)) {
        text.push_str(&String::from_utf8_lossy(&excerpt[at..found.start.max(at)]));
        let start = text.len();
        text.push_str(&String::from_utf8_lossy(&excerpt[found.start.max(at)..found.end.max(at)]));
        at = at.max(found.end);
        submatches.push(start..text.len());
    }
    text.push_str(&String::from_utf8_lossy(&excerpt[at..]));
    let submatches = submatches.into_iter().map(|found| with_utf16(&text, found)).collect();
    Excerpt { text: Cow::Owned(text), submatches, before, after, lossy: true }
}

/// The column of a byte offset in a line, from 1, in UTF-16 code units.
pub fn column(line: &[u8], place: usize) -> u64 {
    let before = &line[..place.min(line.len())];
    if before.is_ascii() {
        return before.len() as u64 + 1;
    }
    let units = |text: &str| if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
    before.utf8_chunks().map(|chunk| units(chunk.valid()) + usize::from(!chunk.invalid().is_empty())).sum::<usize>() as u64 + 1
}

/// The part of a line to show, at most `limit` bytes: the whole line, its beginning, or the part around the first
/// match.
pub fn window(line: &[u8], first: Option<&Range<usize>>, limit: usize) -> Range<usize> {
    if line.len() <= limit {
        return 0..line.len();
    }
    let start = first.filter(|first| first.end > limit).map_or(0, |first| first.start.saturating_sub(LEAD_BYTES));
    let start = boundary(line, start);
    start..boundary(line, (start + limit).min(line.len()))
}

/// The nearest character boundary at or before `offset`, if there is one within a character's length.
fn boundary(line: &[u8], place: usize) -> usize {
    let continues = |at: &usize| line.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (place.saturating_sub(3)..=place).rev().find(|at| !continues(at)).unwrap_or(place)
}

fn plain(found: Range<usize>) -> TextSubmatch {
    TextSubmatch { start: found.start as u64, end: found.end as u64, utf16: None }
}

fn with_utf16(text: &str, found: Range<usize>) -> TextSubmatch {
    let units = |from: usize, to: usize| text[from..to].encode_utf16().count() as u64;
    let start = units(0, found.start);
    let end = start + units(found.start, found.end);
    let utf16 = (start, end) != (found.start as u64, found.end as u64);
    TextSubmatch { utf16: utf16.then_some(Utf16Range { start, end }), ..plain(found) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found<'a>(excerpt: &'a Excerpt<'_>) -> Vec<&'a str> {
        excerpt
            .submatches
            .iter()
            .map(|place| &excerpt.text[usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap()])
            .collect()
    }

    fn by_utf16(excerpt: &Excerpt<'_>) -> Vec<String> {
        let units: Vec<u16> = excerpt.text.encode_utf16().collect();
        let range = |place: &TextSubmatch| place.utf16.unwrap_or(Utf16Range { start: place.start, end: place.end });
        let ranges = excerpt.submatches.iter().map(range);
        ranges
            .map(|place| String::from_utf16(&units[usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap()]).unwrap())
            .collect()
    }

    #[test]
    fn ranges_in_both_units() {
        let line = "ä𝄞 word, word";
        let first = line.find("word").unwrap();
        let last = line.rfind("word").unwrap();
        let excerpt = excerpt_of(line.as_bytes(), &[first..first + 4, last..last + 4]);
        assert_eq!((found(&excerpt), by_utf16(&excerpt)), (vec!["word", "word"], vec!["word".to_owned(), "word".to_owned()]));
        assert_eq!(excerpt.submatches[0], TextSubmatch { start: 7, end: 11, utf16: Some(Utf16Range { start: 4, end: 8 }) });
        assert_eq!(column(line.as_bytes(), first), 5);
        let excerpt = excerpt_of(b"a word", std::slice::from_ref(&(2..6)));
        assert_eq!(excerpt.submatches, [TextSubmatch { start: 2, end: 6, utf16: None }]);
    }

    #[test]
    fn invalid_utf8_keeps_the_ranges() {
        let excerpt = excerpt_of(b"caf\xE9 word \xFF", std::slice::from_ref(&(5..9)));
        assert_eq!((excerpt.text.as_ref(), found(&excerpt), excerpt.lossy), ("caf\u{FFFD} word \u{FFFD}", vec!["word"], true));
        assert_eq!(by_utf16(&excerpt), ["word"]);
        assert_eq!(column(b"caf\xE9 word", 5), 6);
    }

    #[test]
    fn a_long_line_is_cut_around_its_match() {
        let line = format!("{}needle{}", "ä".repeat(100_000), "ö".repeat(100_000));
        let excerpt = excerpt_of(line.as_bytes(), &[200_000..200_006, 300_000..300_002]);
        assert_eq!(found(&excerpt), ["needle"]);
        assert!(!excerpt.lossy && excerpt.text.len() <= MAX_EXCERPT_BYTES && excerpt.text.len() > MAX_EXCERPT_BYTES - 4);
        assert_eq!(excerpt.before + excerpt.text.len() + excerpt.after, line.len());
        assert_eq!(column(line.as_bytes(), 200_000), 100_001);
        // A match that is longer than the excerpt ends with it.
        let excerpt = excerpt_of(line.as_bytes(), std::slice::from_ref(&(0..400_006)));
        assert_eq!((found(&excerpt)[0].len(), excerpt.before), (excerpt.text.len(), 0));
    }

    proptest! {
        #[test]
        fn ranges_are_valid_for_any_line(line in prop::collection::vec(prop_oneof![Just(b'a'), Just(0xC3), Just(0xA4), Just(0xFF), any::<u8>()], 0..60), cuts in prop::collection::vec(0..60usize, 0..6), repeat in 1..200usize) {
            let line: Vec<u8> = line.repeat(repeat);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| (cut * repeat).min(line.len())).collect();
            cuts.sort_unstable();
            let matches: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let excerpt = excerpt_of(&line, &matches);
            prop_assert!(excerpt.text.len() <= 3 * MAX_EXCERPT_BYTES);
            // Empty matches within a character are not reported.
            let is_reported = |found: &&Range<usize>| !found.is_empty() || line.get(found.start).is_none_or(|byte| byte & 0xC0 != 0x80);
            let matches: Vec<_> = matches.iter().filter(is_reported).cloned().collect();
            prop_assert_eq!(excerpt.lossy, str::from_utf8(&line[excerpt.before..line.len() - excerpt.after]).is_err());
            for (place, original) in excerpt.submatches.iter().zip(&matches) {
                let (start, end) = (usize::try_from(place.start).unwrap(), usize::try_from(place.end).unwrap());
                prop_assert!(excerpt.text.get(start..end).is_some(), "{}..{} of {:?}", start, end, excerpt.text);
                if line.len() <= MAX_EXCERPT_BYTES && excerpt.lossy {
                    prop_assert_eq!(&excerpt.text[start..end], String::from_utf8_lossy(&line[original.clone()]));
                }
            }
            if let (Some(first), false) = (matches.first(), excerpt.lossy) {
                prop_assert!(!excerpt.submatches.is_empty(), "{first:?}");
            }
            for place in 0..line.len().min(100) {
                prop_assert!(column(&line, place) <= place as u64 + 1);
            }
        }
    }
}
