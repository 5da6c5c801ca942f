//! The most points that a word can get in a text, seen in one pass over its bytes: far cheaper than the points, and mostly
//! enough to see that they would be too few. What is seen of the folders serves for every name in them.

/// What the matcher gives for a character, most for one after a sign or a change of kind, and for one after its neighbour.
const MATCH: u32 = 16;
const START: u32 = 9;
const NEIGHBOUR: u32 = 4;
/// What a gap between characters costs at least.
const GAP: u32 = 3;

/// A word without capitals or anything beyond ASCII, to be sought in texts.
#[derive(Debug, Clone)]
pub struct Sought {
    /// For each byte of a text the places in the word where it stands, in either case.
    places: Box<[u32; 256]>,
    length: u32,
}

/// What was seen of a text so far.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    /// One bit: how many characters of the word have come in their order.
    next: u64,
    /// The places of the byte before, and that byte.
    before: u32,
    last: u8,
    /// The places up to which the word stands here without a gap, and all where it has stood so.
    run: u32,
    runs: u32,
    /// The places whose character has come directly after the one before it in the word.
    pairs: u32,
    /// The places whose character has come where a word of the text may begin.
    starts: u32,
}

impl Trace {
    /// Nothing yet. A text begins as what follows a folder does.
    pub const NONE: Self = Self { next: 1, before: 0, last: b'/', run: 0, runs: 0, pairs: 0, starts: 0 };
}

impl Sought {
    /// `None` for a word that is too long for it.
    #[must_use]
    pub fn new(word: &str) -> Option<Self> {
        let length = u32::try_from(word.len()).ok().filter(|length| (1..=32).contains(length))?;
        let mut places = Box::new([0; 256]);
        for (place, byte) in word.bytes().enumerate() {
            places[usize::from(byte)] |= 1 << place;
            if byte.is_ascii_lowercase() {
                places[usize::from(byte.to_ascii_uppercase())] |= 1 << place;
            }
        }
        Some(Self { places, length })
    }

    /// Goes on through a text of ASCII.
    #[must_use]
    pub fn follow(&self, mut trace: Trace, text: &[u8]) -> Trace {
        for byte in text {
            let here = self.places[usize::from(*byte)];
            trace.next <<= u32::from(u64::from(here) & trace.next != 0);
            trace.run = (trace.run << 1 | 1) & here;
            trace.runs |= trace.run;
            trace.pairs |= (trace.before << 1) & here;
            let is_inside = byte.is_ascii_lowercase() && trace.last.is_ascii_alphanumeric();
            trace.starts |= if is_inside { 0 } else { here };
            (trace.before, trace.last) = (here, *byte);
        }
        trace
    }

    /// The most points that the word can get in the text; `None` where it does not match. `as_it_stands` when there may be
    /// no gaps.
    #[must_use]
    pub fn most(&self, trace: &Trace, as_it_stands: bool) -> Option<u32> {
        let is_whole = trace.runs >> (self.length - 1) & 1 != 0;
        if !is_whole && (as_it_stands || trace.next >> self.length == 0) {
            return None;
        }
        let start = |place: u32| trace.starts >> place & 1;
        let mut most = MATCH + 2 * START * start(0);
        let (mut may_lead, mut is_gapless) = (start(0), true);
        for place in 1..self.length {
            may_lead |= start(place);
            most += MATCH;
            if trace.pairs >> place & 1 != 0 {
                most += if may_lead != 0 { START } else { NEIGHBOUR };
            } else {
                is_gapless = false;
                most = most + START * start(place) - GAP;
            }
        }
        Some(if is_gapless && !is_whole { most - GAP } else { most })
    }
}

#[cfg(test)]
mod tests {
    use nucleo_matcher::{
        Config, Matcher, Utf32Str,
        pattern::{Atom, AtomKind, CaseMatching, Normalization},
    };
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_text_gets_more_and_none_is_lost(text in "([abcABC]{0,4}[./_ 1-]?){0,6}", word in "[abc1._-]{1,6}", at: prop::sample::Index, as_it_stands: bool) {
            let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
            let kind = if as_it_stands { AtomKind::Substring } else { AtomKind::Fuzzy };
            let atom = Atom::new(&word, CaseMatching::Smart, Normalization::Smart, kind, false);
            let points = atom.score(Utf32Str::Ascii(text.as_bytes()), &mut matcher).map(u32::from);
            let sought = Sought::new(&word).unwrap();
            let (first, rest) = text.as_bytes().split_at(at.index(text.len() + 1));
            let most = sought.most(&sought.follow(sought.follow(Trace::NONE, first), rest), as_it_stands);
            // The matcher seeks some words that begin with signs in one case only.
            prop_assert!(points.is_none() || most.is_some());
            prop_assert!(points <= most, "{points:?} {most:?}");
            let text = text.to_ascii_lowercase();
            let mut rest = text.bytes();
            let matches = if as_it_stands { text.contains(&word) } else { word.bytes().all(|byte| rest.any(|other| other == byte)) };
            prop_assert_eq!(most.is_some(), matches);
        }
    }
}
