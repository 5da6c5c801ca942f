//! Ranks symbols for a query. All words of the query must be subsequences of the name; a word with a capital letter is
//! case-sensitive. A word before `::`, `.`, `#` or `->` must match the name of the container.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{Atom, AtomKind, CaseMatching, Normalization},
};

use super::{kind::SymbolKind, table::Entry};
use crate::find::listing;

/// The length limit of a query, in bytes; the rest is ignored.
pub(super) const MAX_QUERY_BYTES: usize = 256;
/// How many leading letters of a name are searched for word boundaries: the bits of a `u64`.
const MAX_BOUNDARY_LETTERS: usize = 64;

/// Smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    tier: Tier,
    first: u16,
    second: u16,
    length: u16,
}

/// How a word matches a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Exact,
    /// It equals the name, ignoring case.
    ExactButCase,
    /// It is a prefix of the name.
    Prefix,
    /// It consists of pieces that each begin at a word boundary of the name.
    Words,
    /// It is a subsequence of the name.
    Letters,
}

/// A parsed query.
#[derive(Debug)]
pub(super) struct Query {
    /// Interpretations with and without a container.
    readings: Vec<Reading>,
    /// A query without a name matches only top-level symbols.
    only_top: bool,
}

#[derive(Debug)]
struct Reading {
    words: Vec<Word>,
    container: Option<Word>,
}

#[derive(Debug)]
struct Word {
    text: String,
    /// Its characters, for a quick rejection.
    characters: u32,
    is_exact_case: bool,
    atom: Atom,
}

/// Reusable buffers; one per thread.
pub(super) struct Scratch {
    matcher: Matcher,
    letters: Vec<char>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { matcher: Matcher::new(Config::DEFAULT), letters: Vec::new() }
    }
}

impl Query {
    /// `only_top`: a query without a name matches only top-level symbols.
    pub fn new(text: &str, only_top: bool) -> Self {
        let text = text.trim();
        let text = text.strip_suffix("()").unwrap_or(text);
        let words = |text: &str| text.split_whitespace().map(Word::new).collect::<Vec<_>>();
        let mut readings = vec![Reading { words: words(text), container: None }];
        let cut = ["::", "->", ".", "#", "\\", ":"]
            .iter()
            .filter_map(|mark| Some((text.rfind(mark)?, mark.len())))
            .max_by_key(|(at, length)| at + length);
        if let Some((at, length)) = cut {
            let before = text[..at].trim().trim_end_matches([':', '.', '#', '\\']);
            let container = before.rsplit([':', '.', '#', '\\', '>']).next().map(str::trim).filter(|container| !container.is_empty());
            if let Some(container) = container {
                readings.push(Reading { words: words(&text[at + length..]), container: Some(Word::new(container)) });
            }
        }
        Self { readings, only_top }
    }

    /// The rank of a symbol; `None` if it does not match, or is not better than `worst`.
    pub fn rank(&self, entry: Entry<'_>, worst: Option<Rank>, scratch: &mut Scratch) -> Option<Rank> {
        self.readings.iter().filter_map(|reading| reading.rank(entry, worst, self.only_top, scratch)).min()
    }
}

impl Reading {
    fn rank(&self, entry: Entry<'_>, worst: Option<Rank>, only_top: bool, scratch: &mut Scratch) -> Option<Rank> {
        if self.words.iter().any(|word| word.characters & entry.characters() != word.characters) {
            return None;
        }
        let mut tier = Tier::Exact;
        if let Some(container) = &self.container {
            tier = container.tier(entry.container()?, scratch)?;
        } else if self.words.is_empty() && only_top && !entry.is_top() {
            return None;
        }
        let name = entry.name();
        for word in &self.words {
            tier = tier.max(word.tier(name, scratch)?);
        }
        let class = u16::from(entry.kind().class());
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let rank = match tier {
            // Without a name the order of the files is kept.
            _ if self.words.is_empty() => Rank { tier, first: 0, second: 0, length: 0 },
            Tier::Exact | Tier::ExactButCase | Tier::Prefix => Rank { tier, first: class, second: 0, length },
            Tier::Words | Tier::Letters => {
                if worst.is_some_and(|worst| worst.tier < tier) {
                    return None;
                }
                let score = self.words.iter().map(|word| word.score(name, scratch)).fold(0u16, u16::saturating_add);
                Rank { tier, first: u16::MAX - score.saturating_add(bonus(entry.kind())), second: class, length }
            }
        };
        // Among equal ranks the first in file order stays.
        worst.is_none_or(|worst| rank < worst).then_some(rank)
    }
}

/// A bonus for kinds that users usually search for. A matching letter scores 16.
fn bonus(kind: SymbolKind) -> u16 {
    match kind.class() {
        0 => 8,
        1 => 6,
        2 => 4,
        _ => 0,
    }
}

impl Word {
    fn new(text: &str) -> Self {
        let ascii: String = text.chars().filter(char::is_ascii).collect();
        Self {
            characters: listing::characters(ascii.as_bytes()),
            is_exact_case: text.chars().any(char::is_uppercase),
            atom: Atom::new(text, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy, false),
            text: text.to_owned(),
        }
    }

    fn tier(&self, name: &str, scratch: &mut Scratch) -> Option<Tier> {
        if !(name.is_ascii() && self.text.is_ascii()) {
            self.atom.score(Utf32Str::new(name, &mut scratch.letters), &mut scratch.matcher)?;
            return Some(match () {
                () if name == self.text => Tier::Exact,
                () if name.starts_with(&self.text) => Tier::Prefix,
                () => Tier::Letters,
            });
        }
        let (name, word) = (name.as_bytes(), self.text.as_bytes());
        let equals = |one: u8, other: u8| one == other || (!self.is_exact_case && one.eq_ignore_ascii_case(&other));
        if name.len() >= word.len() && name.iter().zip(word).all(|(one, other)| equals(*one, *other)) {
            return Some(match () {
                () if name == word => Tier::Exact,
                () if name.len() == word.len() => Tier::ExactButCase,
                () => Tier::Prefix,
            });
        }
        let mut rest = name.iter();
        if !word.iter().all(|letter| rest.any(|other| equals(*other, *letter))) {
            return None;
        }
        Some(if matches_at_boundaries(name, word, equals) { Tier::Words } else { Tier::Letters })
    }

    fn score(&self, name: &str, scratch: &mut Scratch) -> u16 {
        self.atom.score(Utf32Str::new(name, &mut scratch.letters), &mut scratch.matcher).unwrap_or(0)
    }
}

/// Whether the word can be split into pieces that each begin at a word boundary of the name. All positions are tried at
/// once, as a bit set of positions in the name.
fn matches_at_boundaries(name: &[u8], word: &[u8], equals: impl Fn(u8, u8) -> bool) -> bool {
    let name = &name[..name.len().min(MAX_BOUNDARY_LETTERS)];
    let positions = |fits: &dyn Fn(usize) -> bool| (0..name.len()).filter(|at| fits(*at)).fold(0u64, |bits, at| bits | 1 << at);
    let boundaries = positions(&|at| is_boundary(name, at));
    let mut last = u64::MAX;
    for (index, letter) in word.iter().enumerate() {
        let here = positions(&|at| equals(name[at], *letter));
        last = if index == 0 {
            here & boundaries
        } else {
            // Directly after the previous letter, or at any boundary after the earliest position of that letter.
            let further = last.trailing_zeros().checked_add(1).and_then(|from| u64::MAX.checked_shl(from)).unwrap_or(0);
            here & ((last << 1) | (boundaries & further))
        };
        if last == 0 {
            return false;
        }
    }
    true
}

/// Whether there is a word boundary here, as in `parse_json`, `parseJSONFile` and `sha256sum`.
fn is_boundary(name: &[u8], at: usize) -> bool {
    let here = name[at];
    let Some(before) = at.checked_sub(1).map(|before| name[before]) else { return true };
    if !here.is_ascii_alphanumeric() {
        return false;
    }
    let next_is_lower = name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    !before.is_ascii_alphanumeric()
        || (here.is_ascii_uppercase() && (!before.is_ascii_uppercase() || next_is_lower))
        || (here.is_ascii_digit() && !before.is_ascii_digit())
        || (here.is_ascii_lowercase() && before.is_ascii_digit())
}
