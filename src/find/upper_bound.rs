//! An upper bound of the fuzzy score of a word in a text, from one pass over its bytes. It is far cheaper than the
//! score, and usually enough to prune a candidate. The state after the folders is shared by all names in them.

/// The matcher's score of a character, its largest bonus at a word boundary, and its bonus for consecutive characters.
const MATCH_SCORE: u32 = 16;
const BOUNDARY_BONUS: u32 = 9;
const CONSECUTIVE_BONUS: u32 = 4;
/// The smallest penalty of a gap.
const GAP_PENALTY: u32 = 3;

/// A lower-case ASCII word to match in texts.
#[derive(Debug, Clone)]
pub struct Needle {
    /// For each byte of a text the positions in the word at which it occurs, ignoring case, as a bit set.
    positions: Box<[u32; 256]>,
    length: u32,
}

/// The state after a part of a text. Positions are bit sets of positions in the word.
#[derive(Debug, Clone, Copy)]
pub struct MatchState {
    /// One bit: how many characters of the word have occurred in order.
    next: u64,
    /// The positions of the previous byte, and that byte.
    before: u32,
    last: u8,
    /// The positions up to which the word matches without a gap here, and anywhere so far.
    run: u32,
    runs: u32,
    /// The positions whose character has occurred directly after its predecessor in the word.
    pairs: u32,
    /// The positions whose character has occurred at a possible word boundary of the text.
    starts: u32,
}

impl MatchState {
    /// The state before a text. A text begins like a name after a folder.
    pub const NONE: Self = Self { next: 1, before: 0, last: b'/', run: 0, runs: 0, pairs: 0, starts: 0 };
}

impl Needle {
    /// `None` if the word is longer than 32 bytes.
    pub fn new(word: &str) -> Option<Self> {
        let length = u32::try_from(word.len()).ok().filter(|length| (1..=32).contains(length))?;
        let mut positions = Box::new([0; 256]);
        for (position, byte) in word.bytes().enumerate() {
            positions[usize::from(byte)] |= 1 << position;
            if byte.is_ascii_lowercase() {
                positions[usize::from(byte.to_ascii_uppercase())] |= 1 << position;
            }
        }
        Some(Self { positions, length })
    }

    /// Continues with ASCII text.
    pub fn follow(&self, mut state: MatchState, text: &[u8]) -> MatchState {
        for byte in text {
            self.step(&mut state, *byte);
        }
        state
    }

    /// The states after a name by itself, and after the name with its folders, which end with a slash or are empty.
    /// Only for words without a slash: consecutive matches cannot span a slash.
    pub fn follow_name(&self, folders: &MatchState, name: &[u8]) -> (MatchState, MatchState) {
        let (mut own, mut next) = (MatchState::NONE, folders.next);
        for byte in name {
            next <<= u32::from(u64::from(self.positions[usize::from(*byte)]) & next != 0);
            self.step(&mut own, *byte);
        }
        let (runs, pairs, starts) = (own.runs | folders.runs, own.pairs | folders.pairs, own.starts | folders.starts);
        (own, MatchState { next, runs, pairs, starts, ..own })
    }

    fn step(&self, state: &mut MatchState, byte: u8) {
        let here = self.positions[usize::from(byte)];
        state.next <<= u32::from(u64::from(here) & state.next != 0);
        state.run = (state.run << 1 | 1) & here;
        state.runs |= state.run;
        state.pairs |= (state.before << 1) & here;
        let is_inside = byte.is_ascii_lowercase() & state.last.is_ascii_alphanumeric();
        state.starts |= if is_inside { 0 } else { here };
        (state.before, state.last) = (here, byte);
    }

    /// The upper bound of the score; `None` if the word does not match. `is_substring`: gaps are not allowed.
    pub fn upper_bound(&self, state: &MatchState, is_substring: bool) -> Option<u32> {
        let is_whole = state.runs >> (self.length - 1) & 1 != 0;
        if !is_whole && (is_substring || state.next >> self.length == 0) {
            return None;
        }
        // All positions except the first. A consecutive character after a boundary may get the boundary bonus.
        let rest_positions = u32::MAX >> (32 - self.length) & !1;
        let after_boundary = if state.starts == 0 { 0 } else { u32::MAX << state.starts.trailing_zeros() };
        let (pairs, others) = (state.pairs & rest_positions, rest_positions & !state.pairs);
        let score = MATCH_SCORE * self.length
            + 2 * BOUNDARY_BONUS * (state.starts & 1)
            + BOUNDARY_BONUS * ((pairs & after_boundary) | (others & state.starts)).count_ones()
            + CONSECUTIVE_BONUS * (pairs & !after_boundary).count_ones();
        let gaps = if others == 0 { u32::from(!is_whole) } else { others.count_ones() };
        Some(score - GAP_PENALTY * gaps)
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
        fn no_score_exceeds_the_bound_and_every_match_has_one(text in "([abcABC]{0,4}[./_ 1-]?){0,6}", word in "[abc1._-]{1,6}", at: prop::sample::Index, is_substring: bool) {
            let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
            let kind = if is_substring { AtomKind::Substring } else { AtomKind::Fuzzy };
            let atom = Atom::new(&word, CaseMatching::Smart, Normalization::Smart, kind, false);
            let score = atom.score(Utf32Str::Ascii(text.as_bytes()), &mut matcher).map(u32::from);
            let needle = Needle::new(&word).unwrap();
            let (first, rest) = text.as_bytes().split_at(at.index(text.len() + 1));
            let whole = needle.follow(needle.follow(MatchState::NONE, first), rest);
            let upper_bound = needle.upper_bound(&whole, is_substring);
            let name = text.rfind('/').map_or(0, |slash| slash + 1);
            let (folders, name) = text.as_bytes().split_at(name);
            let (own, behind) = needle.follow_name(&needle.follow(MatchState::NONE, folders), name);
            prop_assert_eq!(needle.upper_bound(&own, is_substring), needle.upper_bound(&needle.follow(MatchState::NONE, name), is_substring));
            prop_assert_eq!(needle.upper_bound(&behind, is_substring), upper_bound);
            // The matcher matches some words that begin with punctuation case-sensitively.
            prop_assert!(score.is_none() || upper_bound.is_some());
            prop_assert!(score <= upper_bound, "{score:?} {upper_bound:?}");
            let text = text.to_ascii_lowercase();
            let mut rest = text.bytes();
            let matches = if is_substring { text.contains(&word) } else { word.bytes().all(|byte| rest.any(|other| other == byte)) };
            prop_assert_eq!(upper_bound.is_some(), matches);
        }
    }
}
