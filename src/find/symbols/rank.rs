//! How well a symbol fits a query. The query's words must all be in the name, letter by letter in their order; a word
//! with a capital letter is meant as it is written. What stands before `::`, `.`, `#` or `->` must be in the name of
//! what contains the symbol.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{Atom, AtomKind, CaseMatching, Normalization},
};

use super::{
    kind::SymbolKind,
    table::{Entry, characters},
};

/// The length limit of a query, in bytes; the rest is ignored.
pub(super) const MAX_QUERY: usize = 256;
/// How many of the first letters of a name are searched for beginnings of words.
const LOOKED_AT: usize = 64;

/// The smaller, the better it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    tier: Tier,
    first: u16,
    second: u16,
    length: u16,
}

/// How a word is in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// It is the name.
    Exact,
    /// It is the name but for the case of letters.
    ExactButCase,
    /// The name begins with it.
    Prefix,
    /// Each piece of it begins where a word of the name does.
    Words,
    /// Its letters are there in this order.
    Letters,
}

/// A query, ready to be compared with many names.
#[derive(Debug)]
pub(super) struct Query {
    /// The name may be meant with or without what contains it.
    readings: Vec<Reading>,
    /// Without a name asked for, what is inside of others is left out.
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
    /// Which characters it has, for a quick no.
    characters: u32,
    is_exact_case: bool,
    atom: Atom,
}

/// What comparing needs; one for each thread.
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
    /// `only_top` is for a query without a name: then it leaves out what is inside of others.
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

    /// How well the symbol fits; `None` when it does not, or not better than `worst`.
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
            // Without a name asked for, the order is that of the files.
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
        // Equal ones keep the order of the files, so the first stay.
        worst.is_none_or(|worst| rank < worst).then_some(rank)
    }
}

/// Of about equal matches what is usually looked for comes first. A letter is worth 16.
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
            characters: characters(&ascii),
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
        Some(if begins_words(name, word, equals) { Tier::Words } else { Tier::Letters })
    }

    fn score(&self, name: &str, scratch: &mut Scratch) -> u16 {
        self.atom.score(Utf32Str::new(name, &mut scratch.letters), &mut scratch.matcher).unwrap_or(0)
    }
}

/// Whether the word can be cut into pieces each of which stands in the name from the beginning of a word on. All places
/// are tried at once: a bit for each place of the name.
fn begins_words(name: &[u8], word: &[u8], equals: impl Fn(u8, u8) -> bool) -> bool {
    let name = &name[..name.len().min(LOOKED_AT)];
    let places = |fits: &dyn Fn(usize) -> bool| (0..name.len()).filter(|at| fits(*at)).fold(0u64, |bits, at| bits | 1 << at);
    let beginnings = places(&|at| begins_word(name, at));
    let mut last = u64::MAX;
    for (index, letter) in word.iter().enumerate() {
        let here = places(&|at| equals(name[at], *letter));
        last = if index == 0 {
            here & beginnings
        } else {
            // Right after the letter before, or at any beginning further on than the earliest place for that letter.
            let further = last.trailing_zeros().checked_add(1).and_then(|from| u64::MAX.checked_shl(from)).unwrap_or(0);
            here & ((last << 1) | (beginnings & further))
        };
        if last == 0 {
            return false;
        }
    }
    true
}

/// Whether a word of a name begins here: `parse_json`, `parseJSONFile`, `sha256sum`.
fn begins_word(name: &[u8], at: usize) -> bool {
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
