//! Queries for file names in the syntax of fzf. All words must match, each as a fuzzy subsequence, or as a substring
//! (`'word`), prefix (`^word`), suffix (`word$`), negation (`!word`) or alternative (`one | other`). A word without
//! capitals is case-insensitive.

mod positions;

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{Atom, AtomKind, CaseMatching, Normalization},
};

use super::{
    listing::{self, Characters},
    upper_bound::{MatchState, Needle},
};

/// The length limit of a query, in characters.
pub const MAX_CHARACTERS: usize = 1000;
/// The limit of words in a query.
pub const MAX_WORDS: usize = 32;

/// The bonus for a match within the file name.
const NAME_BONUS: u32 = 12;
/// The additional bonus if the name equals the word.
const WHOLE_NAME_BONUS: u32 = 16;
/// The matcher's largest score of the first character of a word, and of each further one.
const MAX_FIRST_SCORE: u32 = 16 + 2 * 9;
const MAX_FURTHER_SCORE: u32 = 16 + 9;

/// Why a query is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has too many characters.
    #[error("must have at most {MAX_CHARACTERS} characters, not {0}")]
    Long(usize),
    /// It has too many words.
    #[error("must have at most {MAX_WORDS} words, not {0}")]
    Words(usize),
}

/// A word of a query.
#[derive(Debug, Clone)]
struct Word {
    atom: Atom,
    /// Its text if it is lower-case ASCII.
    plain: Option<Box<[u8]>>,
    /// For the upper bound of its score, if it may match at any position.
    needle: Option<Needle>,
    /// It contains a slash, so that it cannot match within a name.
    has_slash: bool,
    length: usize,
}

impl Word {
    /// The largest possible score, without [`WHOLE_NAME_BONUS`].
    fn max_score(&self) -> u32 {
        let further = u32::try_from(self.length - 1).unwrap_or(u32::MAX);
        if self.atom.negative { 0 } else { MAX_FIRST_SCORE + MAX_FURTHER_SCORE * further + NAME_BONUS }
    }

    /// A tighter upper bound for a path; `None` if it does not match.
    fn max_score_for(&self, folders: &MatchState, name: &[u8], is_directory: bool) -> Option<u32> {
        let Some(needle) = &self.needle else { return Some(self.max_score()) };
        let is_substring = self.atom.kind == AtomKind::Substring;
        if self.has_slash {
            let in_path = needle.follow(needle.follow(*folders, name), if is_directory { b"/" } else { b"" });
            return needle.upper_bound(&in_path, is_substring);
        }
        let (in_name, in_path) = needle.follow_name(folders, name);
        let in_name = needle.upper_bound(&in_name, is_substring).map(|max_score| max_score + NAME_BONUS);
        // A match in the folders cannot score more.
        if in_name.is_some_and(|in_name| in_name >= self.max_score() - NAME_BONUS) {
            return in_name;
        }
        in_name.max(needle.upper_bound(&in_path, is_substring))
    }
}

/// A parsed query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Every group must match; a group matches if any of its words does.
    groups: Vec<Vec<Word>>,
    /// The characters that every matching path contains.
    required: Characters,
    /// The largest possible score, without [`WHOLE_NAME_BONUS`].
    max_score: u32,
    /// The lengths of the words below 64 characters, as a bit set.
    lengths: u64,
}

impl Query {
    /// Parses a query.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let characters = text.chars().count();
        if characters > MAX_CHARACTERS {
            return Err(Error::Long(characters));
        }
        let words = words(text);
        if words.len() > MAX_WORDS {
            return Err(Error::Words(words.len()));
        }
        let mut groups: Vec<Vec<Word>> = Vec::new();
        let mut continues = false;
        for word in words {
            if word == "|" {
                continues = !groups.is_empty();
                continue;
            }
            let atom = Atom::parse(word, CaseMatching::Smart, Normalization::Smart);
            let length = atom.needle_text().len();
            if length == 0 {
                continue;
            }
            let text: String = atom.needle_text().chars().collect();
            let is_plain = text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase());
            let is_anywhere = matches!(atom.kind, AtomKind::Fuzzy | AtomKind::Substring) && !atom.negative;
            let needle = if is_plain && is_anywhere { Needle::new(&text) } else { None };
            let word = Word { has_slash: text.contains('/'), plain: is_plain.then(|| text.into_bytes().into()), needle, length, atom };
            match groups.last_mut() {
                Some(group) if continues => group.push(word),
                _ => groups.push(vec![word]),
            }
            continues = false;
        }
        let required = |word: &Word| if word.atom.negative { 0 } else { characters_of(word.atom.needle_text()) };
        let required = groups
            .iter()
            .map(|group| group.iter().map(required).fold(listing::ALL, |all, word| all & word))
            .fold(0, |all, group| all | group);
        let max_score = groups.iter().map(|group| group.iter().map(Word::max_score).max().unwrap_or(0)).sum();
        let lengths = groups.iter().flatten().filter(|word| word.length < 64).fold(0, |set, word| set | 1 << word.length);
        Ok(Self { groups, required, max_score, lengths })
    }

    /// Whether it has no words.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The characters that every matching path contains.
    pub fn required(&self) -> Characters {
        self.required
    }

    /// An upper bound of the score of a path by the length of its name in bytes; `plain`: the name is ASCII.
    pub fn max_score(&self, name: usize, plain: bool) -> u32 {
        let is_whole = !plain || name >= 64 || self.lengths & (1 << name) != 0;
        self.max_score + if is_whole { WHOLE_NAME_BONUS * u32::try_from(self.groups.len()).unwrap_or(u32::MAX) } else { 0 }
    }
}

impl Query {
    /// Adds the initial states for [`Query::follow`].
    pub fn begin(&self, states: &mut Vec<MatchState>) {
        states.extend(self.words().map(|_| MatchState::NONE));
    }

    /// Adds the states after the folder `text`, starting from the last states in `states`, for [`Query::max_score_for`].
    pub fn follow(&self, text: &[u8], states: &mut Vec<MatchState>) {
        let start = states.len() - self.words().count();
        for (target, word) in self.words().enumerate() {
            let before = states[start + target];
            states.push(word.needle.as_ref().map_or(MatchState::NONE, |needle| needle.follow(before, text)));
        }
    }

    fn words(&self) -> impl Iterator<Item = &Word> {
        self.groups.iter().flatten()
    }

    /// A tighter upper bound than [`Query::max_score`]; `None` if the path does not match. `states` are those after its
    /// folders. The path must be ASCII.
    pub fn max_score_for(&self, states: &[MatchState], name: &[u8], is_directory: bool) -> Option<u32> {
        let mut all = self.max_score(name.len(), true) - self.max_score;
        let mut states = states.iter();
        for group in &self.groups {
            let max_score = |(word, state): (&Word, &MatchState)| word.max_score_for(state, name, is_directory);
            all += group.iter().zip(states.by_ref()).filter_map(max_score).max()?;
        }
        Some(all)
    }

    /// Whether a path with this upper bound is likely to be among the best.
    pub fn is_promising(&self, max_score: u32) -> bool {
        max_score >= self.max_score
    }
}

fn characters_of(text: Utf32Str<'_>) -> Characters {
    // Non-ASCII characters are in no set, so they must not be required.
    text.chars().filter(char::is_ascii).fold(0, |set, c| {
        let mut buffer = [0; 4];
        set | listing::characters(c.encode_utf8(&mut buffer).as_bytes())
    })
}

/// Splits at white space that is not escaped.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !is_escaped {
            words.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    words.push(&text[start..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Scores paths. Reuses the memory of the matcher.
pub struct Scorer {
    matcher: Matcher,
    text: Vec<char>,
}

impl Default for Scorer {
    fn default() -> Self {
        Self { matcher: Matcher::new(Config::DEFAULT.match_paths()), text: Vec::new() }
    }
}

impl Scorer {
    /// The score of a matching path; more is better. `name` is the offset of the last component; a directory ends with
    /// `/`.
    pub fn score(&mut self, query: &Query, path: &[u8], name: usize) -> Option<u32> {
        if path.is_ascii() {
            let target = Target { path: Utf32Str::Ascii(path), name, is_directory: path.ends_with(b"/") };
            return target.score(query, &mut self.matcher);
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.extend(String::from_utf8_lossy(&path[..name]).chars());
        let start = text.len();
        text.extend(String::from_utf8_lossy(&path[name..]).chars());
        let target = Target { path: Utf32Str::Unicode(&text), name: start, is_directory: path.ends_with(b"/") };
        let score = target.score(query, &mut self.matcher);
        self.text = text;
        score
    }
}

#[derive(Clone, Copy)]
struct Target<'a> {
    path: Utf32Str<'a>,
    name: usize,
    is_directory: bool,
}

impl Target<'_> {
    fn score(self, query: &Query, matcher: &mut Matcher) -> Option<u32> {
        let mut all = 0;
        for group in &query.groups {
            all += group.iter().filter_map(|word| self.word(word, matcher)).max()?;
        }
        Some(all)
    }

    fn word(self, word: &Word, matcher: &mut Matcher) -> Option<u32> {
        let atom = &word.atom;
        let length = self.path.len();
        match atom.kind {
            // The trailing slash of a directory is not part of its name, unless the user types it.
            AtomKind::Postfix | AtomKind::Exact if self.is_directory => {
                let bare = Self::edge(self.path.slice(..length - 1), word, matcher);
                let marked = Self::edge(self.path, word, matcher);
                if atom.negative { bare.and(marked) } else { bare.or(marked) }
            }
            AtomKind::Prefix | AtomKind::Postfix | AtomKind::Exact => Self::edge(self.path, word, matcher),
            AtomKind::Fuzzy | AtomKind::Substring if !atom.negative && !word.has_slash => {
                let end = length - usize::from(self.is_directory);
                let name = self.path.slice(self.name..end);
                let in_name = Self::anywhere(name, word, matcher)
                    .map(|score| u32::from(score) + NAME_BONUS + if name.len() == word.length { WHOLE_NAME_BONUS } else { 0 });
                // A match in the folders cannot score more.
                let max_in_path = MAX_FIRST_SCORE + MAX_FURTHER_SCORE * u32::try_from(word.length - 1).unwrap_or(0);
                match in_name {
                    Some(in_name) if in_name >= max_in_path => Some(in_name),
                    in_name => in_name.max(Self::anywhere(self.path, word, matcher).map(u32::from)),
                }
            }
            _ => Self::anywhere(self.path, word, matcher).map(u32::from),
        }
    }

    /// Matches a word at any position. The matcher treats substrings that begin with punctuation as case-sensitive, so
    /// these are searched here.
    fn anywhere(text: Utf32Str<'_>, word: &Word, matcher: &mut Matcher) -> Option<u16> {
        match Self::punctuated(text, word) {
            Some(Some(at)) => word.atom.score(text.slice(at..at + word.length), matcher),
            Some(None) => word.atom.negative.then_some(0),
            None => word.atom.score(text, matcher),
        }
    }

    /// Where a substring that begins with punctuation stands; `None` for all other words.
    fn punctuated(text: Utf32Str<'_>, word: &Word) -> Option<Option<usize>> {
        let (AtomKind::Substring, Utf32Str::Ascii(bytes), Some(plain)) = (word.atom.kind, text, &word.plain) else { return None };
        let begins = plain.iter().position(u8::is_ascii_lowercase).is_some_and(|first| first > 1);
        begins.then(|| bytes.windows(word.length).position(|window| window.eq_ignore_ascii_case(plain)))
    }

    /// Matches a word with the beginning or end of a text. The matcher gets only that part: for case-sensitive words it
    /// would compare the whole text.
    fn edge(text: Utf32Str<'_>, word: &Word, matcher: &mut Matcher) -> Option<u32> {
        let (atom, length, whole) = (&word.atom, word.length, text.len());
        let edge = match atom.kind {
            AtomKind::Prefix if length <= whole => text.slice(..length),
            AtomKind::Postfix if length <= whole => text.slice(whole - length..),
            _ => text,
        };
        atom.score(edge, matcher).map(u32::from)
    }
}
