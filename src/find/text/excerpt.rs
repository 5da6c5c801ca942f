//! A line as clients see it: text of a bounded length, with the places of matches in it. Pure.

use std::{borrow::Cow, ops::Range};

use polytree_protocol::text::{TextSubmatch, Utf16Range};

/// The longest text of a line that is shown, in bytes.
pub const SHOWN_BYTES: usize = 4096;
/// How much before the first match is shown where a line is cut, in bytes.
const LEAD: usize = 256;

/// What is shown of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// The matches in it.
    pub submatches: Vec<TextSubmatch>,
    /// How many bytes of the line stand before it.
    pub before: usize,
    /// How many bytes of the line stand after it.
    pub after: usize,
    /// Whether bytes that are no UTF-8 were replaced.
    pub lossy: bool,
}

/// What to show of a line with matches at these places, which are in order.
pub fn show<'a>(line: &'a [u8], matches: &[Range<usize>]) -> Shown<'a> {
    let window = window(line, matches.first(), SHOWN_BYTES);
    let shown = &line[window.clone()];
    let matches = matches.iter().filter(|found| found.start <= window.end && found.end >= window.start);
    let inside = matches.map(|found| found.start.max(window.start) - window.start..found.end.min(window.end) - window.start);
    let (before, after) = (window.start, line.len() - window.end);
    if let Ok(text) = str::from_utf8(shown) {
        // A pattern may ask for bytes, and what matches nothing matches also between the bytes of a character: clients
        // are told whole characters.
        let whole = inside
            .filter(|found| !found.is_empty() || text.is_char_boundary(found.start))
            .map(|found| text.floor_char_boundary(found.start)..text.ceil_char_boundary(found.end));
        let submatches = if text.is_ascii() { whole.map(plain).collect() } else { whole.map(|found| with_utf16(text, found)).collect() };
        return Shown { text: Cow::Borrowed(text), submatches, before, after, lossy: false };
    }
    // Text is put together from what is between matches and from matches, so that places in it are known.
    let (mut text, mut at, mut submatches) = (String::new(), 0, Vec::new());
    let is_inside = |place: usize| shown.get(place).is_some_and(|byte| byte & 0xC0 == 0x80);
    for found in inside.filter(|found| !found.is_empty() || !is_inside(found.start)) {
        text.push_str(&String::from_utf8_lossy(&shown[at..found.start.max(at)]));
        let start = text.len();
        text.push_str(&String::from_utf8_lossy(&shown[found.start.max(at)..found.end.max(at)]));
        at = at.max(found.end);
        submatches.push(start..text.len());
    }
    text.push_str(&String::from_utf8_lossy(&shown[at..]));
    let submatches = submatches.into_iter().map(|found| with_utf16(&text, found)).collect();
    Shown { text: Cow::Owned(text), submatches, before, after, lossy: true }
}

/// The column of a place in a line, from 1, in UTF-16 code units.
pub fn column(line: &[u8], place: usize) -> u64 {
    let before = &line[..place.min(line.len())];
    if before.is_ascii() {
        return before.len() as u64 + 1;
    }
    let units = |text: &str| if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
    before.utf8_chunks().map(|chunk| units(chunk.valid()) + usize::from(!chunk.invalid().is_empty())).sum::<usize>() as u64 + 1
}

/// The part of a line that is shown, of at most `most` bytes: all, or its beginning, or what is around the first match.
#[must_use]
pub fn window(line: &[u8], first: Option<&Range<usize>>, most: usize) -> Range<usize> {
    if line.len() <= most {
        return 0..line.len();
    }
    let start = first.filter(|first| first.end > most).map_or(0, |first| first.start.saturating_sub(LEAD));
    let start = boundary(line, start);
    start..boundary(line, (start + most).min(line.len()))
}

/// The nearest place at or before `place` where a character begins, if one is as near as one can be.
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

    fn found<'a>(shown: &'a Shown<'_>) -> Vec<&'a str> {
        shown
            .submatches
            .iter()
            .map(|place| &shown.text[usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap()])
            .collect()
    }

    fn by_utf16(shown: &Shown<'_>) -> Vec<String> {
        let units: Vec<u16> = shown.text.encode_utf16().collect();
        let range = |place: &TextSubmatch| place.utf16.unwrap_or(Utf16Range { start: place.start, end: place.end });
        let ranges = shown.submatches.iter().map(range);
        ranges
            .map(|place| String::from_utf16(&units[usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap()]).unwrap())
            .collect()
    }

    #[test]
    fn places_in_both_units() {
        let line = "ä𝄞 word, word";
        let first = line.find("word").unwrap();
        let last = line.rfind("word").unwrap();
        let shown = show(line.as_bytes(), &[first..first + 4, last..last + 4]);
        assert_eq!((found(&shown), by_utf16(&shown)), (vec!["word", "word"], vec!["word".to_owned(), "word".to_owned()]));
        assert_eq!(shown.submatches[0], TextSubmatch { start: 7, end: 11, utf16: Some(Utf16Range { start: 4, end: 8 }) });
        assert_eq!(column(line.as_bytes(), first), 5);
        let shown = show(b"a word", std::slice::from_ref(&(2..6)));
        assert_eq!(shown.submatches, [TextSubmatch { start: 2, end: 6, utf16: None }]);
    }

    #[test]
    fn what_is_no_text_keeps_its_places() {
        let shown = show(b"caf\xE9 word \xFF", std::slice::from_ref(&(5..9)));
        assert_eq!((shown.text.as_ref(), found(&shown), shown.lossy), ("caf\u{FFFD} word \u{FFFD}", vec!["word"], true));
        assert_eq!(by_utf16(&shown), ["word"]);
        assert_eq!(column(b"caf\xE9 word", 5), 6);
    }

    #[test]
    fn a_long_line_is_cut_around_its_match() {
        let line = format!("{}needle{}", "ä".repeat(100_000), "ö".repeat(100_000));
        let shown = show(line.as_bytes(), &[200_000..200_006, 300_000..300_002]);
        assert_eq!(found(&shown), ["needle"]);
        assert!(!shown.lossy && shown.text.len() <= SHOWN_BYTES && shown.text.len() > SHOWN_BYTES - 4);
        assert_eq!(shown.before + shown.text.len() + shown.after, line.len());
        assert_eq!(column(line.as_bytes(), 200_000), 100_001);
        // A match that is longer than what is shown ends with it.
        let shown = show(line.as_bytes(), std::slice::from_ref(&(0..400_006)));
        assert_eq!((found(&shown)[0].len(), shown.before), (shown.text.len(), 0));
    }

    proptest! {
        #[test]
        fn nothing_is_out_of_place(line in prop::collection::vec(prop_oneof![Just(b'a'), Just(0xC3), Just(0xA4), Just(0xFF), any::<u8>()], 0..60), cuts in prop::collection::vec(0..60usize, 0..6), repeat in 1..200usize) {
            let line: Vec<u8> = line.repeat(repeat);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| (cut * repeat).min(line.len())).collect();
            cuts.sort_unstable();
            let matches: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let shown = show(&line, &matches);
            prop_assert!(shown.text.len() <= 3 * SHOWN_BYTES);
            // What matches nothing within a character is not told.
            let is_told = |found: &&Range<usize>| !found.is_empty() || line.get(found.start).is_none_or(|byte| byte & 0xC0 != 0x80);
            let matches: Vec<_> = matches.iter().filter(is_told).cloned().collect();
            prop_assert_eq!(shown.lossy, str::from_utf8(&line[shown.before..line.len() - shown.after]).is_err());
            for (place, original) in shown.submatches.iter().zip(&matches) {
                let (start, end) = (usize::try_from(place.start).unwrap(), usize::try_from(place.end).unwrap());
                prop_assert!(shown.text.get(start..end).is_some(), "{}..{} of {:?}", start, end, shown.text);
                if line.len() <= SHOWN_BYTES && shown.lossy {
                    prop_assert_eq!(&shown.text[start..end], String::from_utf8_lossy(&line[original.clone()]));
                }
            }
            if let (Some(first), false) = (matches.first(), shown.lossy) {
                prop_assert!(!shown.submatches.is_empty(), "{first:?}");
            }
            for place in 0..line.len().min(100) {
                prop_assert!(column(&line, place) <= place as u64 + 1);
            }
        }
    }
}
