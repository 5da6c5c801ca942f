//! A word of a command as far as it is known before the command runs.

use std::{borrow::Cow, ops::Range};

/// One argument of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::tool) struct Argument {
    /// Without quotes; what is not known stands as it was written.
    pub text: String,
    /// The parts of the text that are known only when it runs.
    pub holes: Vec<Range<usize>>,
    /// May become no argument or several.
    pub splits: bool,
    /// Where the first unquoted file name pattern is.
    pub glob: Option<usize>,
    /// Begins with an unquoted `~`.
    pub tilde: bool,
    /// Came out of braces.
    pub braced: bool,
    /// Ends in a hole that stands for what was found below a directory.
    pub found: Option<Found>,
    /// How it is written where it is not literal and some of it is quoted.
    pub spelling: Option<String>,
}

/// What of a directory was found, by `find` and the like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// A pattern for the name of what was found, or of a directory on the way to it; `None` for everything.
    pub name: Option<String>,
    /// Also names that begin with a dot.
    pub hidden: bool,
    /// Also what git ignores.
    pub ignored: bool,
    /// Links to directories are followed.
    pub follows: bool,
    /// What git has stored, and not what is there now.
    pub tracked: Option<Extent>,
    /// Of that, only what differs from the index.
    pub differs: bool,
}

/// How much of what git has stored is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of the repository.
    All,
    /// What is below the path; all if nothing of that name is there, since it is a revision then.
    Below,
}

/// Expansions whose value never begins with `-` and is never more than one word.
const TAME: &[&str] = &[
    "$PWD", "${PWD}", "$HOME", "${HOME}", "$USER", "${USER}", "$UID", "$$", "$?", "$#", "$!", "$RANDOM", "$SECONDS", "$LINENO", "$(pwd)",
    "$(nproc)", "`nproc`", "`pwd`",
];

/// Whether the value of the expansion is one word without surprises.
pub(super) fn is_tame(raw: &str) -> bool {
    TAME.contains(&raw) || (raw.starts_with("$((") && raw.ends_with("))"))
}

/// The words of a command as they would be written.
pub(in crate::tool) fn spelled(words: &[Argument]) -> String {
    words.iter().map(Argument::spelled).collect::<Vec<_>>().join(" ")
}

fn is_plain_character(character: char) -> bool {
    character.is_alphanumeric() || "_-./,:@%+^".contains(character)
}

/// Whether bash takes the text for one word that means just this.
fn is_plain(text: &str) -> bool {
    let is_plain = |(at, character)| is_plain_character(character) || (at > 0 && "=~#!".contains(character));
    matches!(text, "{}" | "[" | "]" | "!" | "=" | "==") || (!text.is_empty() && text.chars().enumerate().all(is_plain))
}

/// The text in single quotes, if it needs any inside of a word.
pub(in crate::tool) fn quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(is_plain_character) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl Argument {
    /// An argument with nothing special about it.
    pub(in crate::tool) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// Whether the text is exactly what the command will get.
    pub(in crate::tool) fn is_literal(&self) -> bool {
        self.holes.is_empty() && self.glob.is_none() && !self.tilde
    }

    /// The text, if it is exactly what the command will get.
    pub(in crate::tool) fn literal(&self) -> Option<&str> {
        self.is_literal().then_some(self.text.as_str())
    }

    /// The word with as few quotes as it needs: two words that differ are spelled differently.
    pub(in crate::tool) fn spelled(&self) -> Cow<'_, str> {
        if let Some(spelling) = &self.spelling {
            return Cow::Borrowed(spelling);
        }
        if self.is_literal() {
            return if is_plain(&self.text) { Cow::Borrowed(&self.text) } else { Cow::Owned(quoted(&self.text)) };
        }
        let (mut text, mut at) = (String::new(), 0);
        let known = |part: &str, text: &mut String| {
            let is_pattern = part.chars().all(|c| is_plain_character(c) || "*?[]{}~=#!".contains(c));
            text.push_str(&if is_pattern { Cow::Borrowed(part) } else { Cow::Owned(quoted(part)) });
        };
        for hole in self.holes.iter().filter(|hole| hole.end <= self.text.len()) {
            known(&self.text[at.min(hole.start)..hole.start], &mut text);
            text.push_str(&self.text[hole.clone()]);
            at = hole.end;
        }
        known(&self.text[at..], &mut text);
        Cow::Owned(text)
    }

    /// Makes every occurrence of `mark` unknown: something else is put there when it runs.
    pub(in crate::tool) fn with_hole_at(mut self, mark: &str) -> Self {
        let found: Vec<_> = self.text.match_indices(mark).map(|(at, mark)| at..at + mark.len()).collect();
        self.holes.extend(found);
        self.holes.sort_by_key(|hole| hole.start);
        self
    }

    /// Something below this directory, whose name is known only when it is found.
    pub(in crate::tool) fn below(&self, found: Found) -> Self {
        let mut file = self.clone();
        if !file.text.ends_with('/') {
            file.text.push('/');
        }
        let at = file.text.len();
        file.text.push_str("{}");
        file.holes.push(at..file.text.len());
        file.found = Some(found);
        file.spelling = None;
        file
    }

    /// What stands behind the first `from` bytes.
    pub(super) fn behind(&self, from: usize) -> Self {
        let holes = self.holes.iter().filter(|hole| hole.start >= from).map(|hole| hole.start - from..hole.end - from);
        Self {
            text: self.text[from..].to_owned(),
            holes: holes.collect(),
            splits: self.splits,
            glob: self.glob.filter(|at| *at >= from).map(|at| at - from),
            tilde: from == 0 && self.tilde,
            braced: self.braced,
            found: self.found.clone(),
            spelling: None,
        }
    }

    /// The part of the text that is known, from its beginning.
    pub(super) fn known(&self) -> &str {
        let end = self.holes.iter().map(|hole| hole.start).chain(self.glob).min().unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Whether all that is unknown is one word that cannot be taken for an option.
    fn is_tame(&self) -> bool {
        self.holes.iter().all(|hole| is_tame(&self.text[hole.clone()]))
    }

    /// Whether it may bring words of its own, each of which may be an option.
    pub(super) fn may_bring_words(&self) -> bool {
        self.splits && !self.is_tame()
    }

    /// Whether it may be an option although that is not written.
    pub(super) fn may_be_hidden_option(&self) -> bool {
        let at_start = self.holes.first().is_some_and(|hole| hole.start == 0) && !self.is_tame();
        at_start || self.may_bring_words() || (self.text.starts_with('-') && (self.glob.is_some() || !self.is_tame()))
    }

    /// Whether it is a pattern that a file with a name like an option would match.
    pub(super) fn may_match_option(&self) -> bool {
        self.glob == Some(0)
    }
}
