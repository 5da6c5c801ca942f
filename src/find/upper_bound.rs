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
            self.step(&mut trace, *byte);
        }
        trace
    }

    /// What is to be seen of a name by itself, and of the same behind its folders, which end with a slash or are none. Only
    /// for a word without a slash, which nothing can match across one but in order.
    #[must_use]
    pub fn follow_name(&self, folders: &Trace, name: &[u8]) -> (Trace, Trace) {
        let (mut own, mut next) = (Trace::NONE, folders.next);
        for byte in name {
            next <<= u32::from(u64::from(self.places[usize::from(*byte)]) & next != 0);
            self.step(&mut own, *byte);
        }
        let (runs, pairs, starts) = (own.runs | folders.runs, own.pairs | folders.pairs, own.starts | folders.starts);
        (own, Trace { next, runs, pairs, starts, ..own })
    }

    fn step(&self, trace: &mut Trace, byte: u8) {
        let here = self.places[usize::from(byte)];
        trace.next <<= u32::from(u64::from(here) & trace.next != 0);
        trace.run = (trace.run << 1 | 1) & here;
        trace.runs |= trace.run;
        trace.pairs |= (trace.before << 1) & here;
        let is_inside = byte.is_ascii_lowercase() & trace.last.is_ascii_alphanumeric();
        trace.starts |= if is_inside { 0 } else { here };
        (trace.before, trace.last) = (here, byte);
    }

    /// The most points that the word can get in the text; `None` where it does not match. `as_it_stands` when there may be
    /// no gaps.
    #[must_use]
    pub fn most(&self, trace: &Trace, as_it_stands: bool) -> Option<u32> {
        let is_whole = trace.runs >> (self.length - 1) & 1 != 0;
        if !is_whole && (as_it_stands || trace.next >> self.length == 0) {
            return None;
        }
        // Of all places but the first: those behind one that may begin a word get the more for a neighbour.
        let further = u32::MAX >> (32 - self.length) & !1;
        let led = if trace.starts == 0 { 0 } else { u32::MAX << trace.starts.trailing_zeros() };
        let (pairs, others) = (trace.pairs & further, further & !trace.pairs);
        let points = MATCH * self.length
            + 2 * START * (trace.starts & 1)
            + START * ((pairs & led) | (others & trace.starts)).count_ones()
            + NEIGHBOUR * (pairs & !led).count_ones();
        let gaps = if others == 0 { u32::from(!is_whole) } else { others.count_ones() };
        Some(points - GAP * gaps)
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
            let whole = sought.follow(sought.follow(Trace::NONE, first), rest);
            let most = sought.most(&whole, as_it_stands);
            let name = text.rfind('/').map_or(0, |slash| slash + 1);
            let (folders, name) = text.as_bytes().split_at(name);
            let (own, behind) = sought.follow_name(&sought.follow(Trace::NONE, folders), name);
            prop_assert_eq!(sought.most(&own, as_it_stands), sought.most(&sought.follow(Trace::NONE, name), as_it_stands));
            prop_assert_eq!(sought.most(&behind, as_it_stands), most);
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
