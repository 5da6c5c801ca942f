//! What a person types to find a file, in the language of fzf: words of which all must match, each as a fuzzy sequence, or
//! `'word` as it stands, `^word` at the beginning, `word$` at the end, `!word` not at all, `one | other` either. A word
//! without capitals matches both cases.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{Atom, AtomKind, CaseMatching, Normalization},
};

use super::{
    bound::{Sought, Trace},
    listing::{self, Characters},
};

/// The length limit of a query, in characters.
pub const MAX_CHARACTERS: usize = 1000;
/// The limit of words in a query.
pub const MAX_WORDS: usize = 32;

/// The bonus for a match in the name of a file and not in the folders above it.
const NAME_BONUS: u32 = 12;
/// The further bonus for a name that is the word.
const WHOLE_NAME_BONUS: u32 = 16;
/// The most that the first character of a word gets, and each further one: the values of the matcher.
const FIRST: u32 = 16 + 2 * 9;
const FURTHER: u32 = 16 + 9;

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
    /// Its text; none where case or accents make it uncertain what matches.
    plain: Option<Box<[u8]>>,
    /// The same to be sought before anything dearer is done, where it may stand anywhere.
    sought: Option<Sought>,
    /// A path, so that it is not sought in a name alone.
    has_slash: bool,
    length: usize,
}

impl Word {
    /// The most points that it can get, but for a name that is the word as a whole.
    fn most(&self) -> u32 {
        let further = u32::try_from(self.length - 1).unwrap_or(u32::MAX);
        if self.atom.negative { 0 } else { FIRST + FURTHER * further + NAME_BONUS }
    }

    /// The same looked at more closely; `None` where it does not match.
    fn most_for(&self, folders: &Trace, name: &[u8], is_directory: bool) -> Option<u32> {
        let Some(sought) = &self.sought else { return Some(self.most()) };
        let as_it_stands = self.atom.kind == AtomKind::Substring;
        if self.has_slash {
            let whole = sought.follow(sought.follow(*folders, name), if is_directory { b"/" } else { b"" });
            return sought.most(&whole, as_it_stands);
        }
        let (own, whole) = sought.follow_name(folders, name);
        let own = sought.most(&own, as_it_stands).map(|most| most + NAME_BONUS);
        // Nothing in the folders can be worth more than this.
        if own.is_some_and(|own| own >= self.most() - NAME_BONUS) {
            return own;
        }
        own.max(sought.most(&whole, as_it_stands))
    }
}

/// A query, ready to be matched.
#[derive(Debug, Clone)]
pub struct Query {
    /// All must match, and of each any.
    groups: Vec<Vec<Word>>,
    /// What every path that matches has.
    needs: Characters,
    /// The most points, but for a name that is a word as a whole.
    most: u32,
    /// The lengths of the words below 64 characters, as a set.
    lengths: u64,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// When it is too long.
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
            let sought = if is_plain && is_anywhere { Sought::new(&text) } else { None };
            let word = Word { has_slash: text.contains('/'), plain: is_plain.then(|| text.into_bytes().into()), sought, length, atom };
            match groups.last_mut() {
                Some(group) if continues => group.push(word),
                _ => groups.push(vec![word]),
            }
            continues = false;
        }
        let needs = |word: &Word| if word.atom.negative { 0 } else { characters_of(word.atom.needle_text()) };
        let needs =
            groups.iter().map(|group| group.iter().map(needs).fold(listing::ALL, |all, word| all & word)).fold(0, |all, group| all | group);
        let most = groups.iter().map(|group| group.iter().map(Word::most).max().unwrap_or(0)).sum();
        let lengths = groups.iter().flatten().filter(|word| word.length < 64).fold(0, |set, word| set | 1 << word.length);
        Ok(Self { groups, needs, most, lengths })
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The characters that every path has which matches.
    #[must_use]
    pub fn needs(&self) -> Characters {
        self.needs
    }

    /// The most points that a path can get whose name has so many bytes; `plain` when each of them is a character.
    #[must_use]
    pub fn most(&self, name: usize, plain: bool) -> u32 {
        let is_whole = !plain || name >= 64 || self.lengths & (1 << name) != 0;
        self.most + if is_whole { WHOLE_NAME_BONUS * u32::try_from(self.groups.len()).unwrap_or(u32::MAX) } else { 0 }
    }
}

impl Query {
    /// What there is to see of nothing, for [`Query::follow`].
    pub fn begin(&self, traces: &mut Vec<Trace>) {
        traces.extend(self.words().map(|_| Trace::NONE));
    }

    /// What there is to see of folders above names, for [`Query::most_for`]: goes on through `text` from what was seen of
    /// the folders above, the last of `traces`, and puts it behind them.
    pub fn follow(&self, text: &[u8], traces: &mut Vec<Trace>) {
        let start = traces.len() - self.words().count();
        for (place, word) in self.words().enumerate() {
            let before = traces[start + place];
            traces.push(word.sought.as_ref().map_or(Trace::NONE, |sought| sought.follow(before, text)));
        }
    }

    fn words(&self) -> impl Iterator<Item = &Word> {
        self.groups.iter().flatten()
    }

    /// The most points that a path can get, looked at more closely than [`Query::most`] does; `None` where it does not match.
    /// `traces` are those of its folders; all of it is ASCII.
    #[must_use]
    pub fn most_for(&self, traces: &[Trace], name: &[u8], is_directory: bool) -> Option<u32> {
        let mut all = self.most(name.len(), true) - self.most;
        let mut traces = traces.iter();
        for group in &self.groups {
            let most = |(word, trace): (&Word, &Trace)| word.most_for(trace, name, is_directory);
            all += group.iter().zip(traces.by_ref()).filter_map(most).max()?;
        }
        Some(all)
    }

    /// Whether a path that can get so many points is likely to be among the best.
    #[must_use]
    pub fn is_promising(&self, most: u32) -> bool {
        most >= self.most
    }
}

fn characters_of(text: Utf32Str<'_>) -> Characters {
    // A character beyond ASCII is in no set, so nothing is left out for it.
    text.chars().filter(char::is_ascii).fold(0, |set, c| {
        let mut buffer = [0; 4];
        set | listing::characters(c.encode_utf8(&mut buffer).as_bytes())
    })
}

/// The words: what stands between white space that is not escaped.
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

/// Gives points to paths. Keeps the memory that matching takes.
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
    /// The points of a path that matches; more is better. `name` is where its last name begins; a directory's ends with `/`.
    pub fn score(&mut self, query: &Query, path: &[u8], name: usize) -> Option<u32> {
        if path.is_ascii() {
            let place = Place { path: Utf32Str::Ascii(path), name, is_directory: path.ends_with(b"/") };
            return place.score(query, &mut self.matcher);
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.extend(String::from_utf8_lossy(&path[..name]).chars());
        let start = text.len();
        text.extend(String::from_utf8_lossy(&path[name..]).chars());
        let place = Place { path: Utf32Str::Unicode(&text), name: start, is_directory: path.ends_with(b"/") };
        let score = place.score(query, &mut self.matcher);
        self.text = text;
        score
    }
}

#[derive(Clone, Copy)]
struct Place<'a> {
    path: Utf32Str<'a>,
    name: usize,
    is_directory: bool,
}

impl Place<'_> {
    fn score(self, query: &Query, matcher: &mut Matcher) -> Option<u32> {
        let mut all = 0;
        for group in &query.groups {
            all += group.iter().filter_map(|word| self.word(word, matcher)).max()?;
        }
        Some(all)
    }

    fn word(self, word: &Word, matcher: &mut Matcher) -> Option<u32> {
        let atom = &word.atom;
        let whole = self.path.len();
        match atom.kind {
            // The slash that marks a directory is not what its name ends with, unless somebody types it.
            AtomKind::Postfix | AtomKind::Exact if self.is_directory => {
                let bare = Self::edge(self.path.slice(..whole - 1), word, matcher);
                let marked = Self::edge(self.path, word, matcher);
                if atom.negative { bare.and(marked) } else { bare.or(marked) }
            }
            AtomKind::Prefix | AtomKind::Postfix | AtomKind::Exact => Self::edge(self.path, word, matcher),
            AtomKind::Fuzzy | AtomKind::Substring if !atom.negative && !word.has_slash => {
                let end = whole - usize::from(self.is_directory);
                let name = self.path.slice(self.name..end);
                let own = Self::anywhere(name, word, matcher)
                    .map(|score| u32::from(score) + NAME_BONUS + if name.len() == word.length { WHOLE_NAME_BONUS } else { 0 });
                // Nothing in the folders can be worth more than this.
                let best = FIRST + FURTHER * u32::try_from(word.length - 1).unwrap_or(0);
                match own {
                    Some(own) if own >= best => Some(own),
                    own => own.max(Self::anywhere(self.path, word, matcher).map(u32::from)),
                }
            }
            _ => Self::anywhere(self.path, word, matcher).map(u32::from),
        }
    }

    /// Matches a word anywhere in a text. One that begins with signs the matcher seeks in this very case, so it is sought
    /// here.
    fn anywhere(text: Utf32Str<'_>, word: &Word, matcher: &mut Matcher) -> Option<u16> {
        if let (AtomKind::Substring, Utf32Str::Ascii(bytes), Some(plain)) = (word.atom.kind, text, &word.plain)
            && plain.iter().position(u8::is_ascii_lowercase).is_some_and(|first| first > 1)
        {
            let at = bytes.windows(word.length).position(|window| window.eq_ignore_ascii_case(plain));
            return match at {
                Some(at) => word.atom.score(text.slice(at..at + word.length), matcher),
                None => word.atom.negative.then_some(0),
            };
        }
        word.atom.score(text, matcher)
    }

    /// Matches a word with the beginning or the end of a text. The matcher gets no more than that: where the case counts, it
    /// compares the word with all that it gets.
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
