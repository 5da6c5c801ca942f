//! The reading of one command: how far it is, and what was found.

use super::{
    effects::{Effects, Given},
    inner::guesses,
    place::{Access, Place, path_uses},
    table::{Mode, Program},
    word::Argument,
};

/// What was noticed that decides what "always" grants.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Code, settings or remote machines: only as it stands.
    pub is_exact: bool,
    /// Nothing can be granted: what it runs is not in the line.
    pub is_never: bool,
    /// The file with the program that an interpreter runs.
    pub script_at: Option<usize>,
}

/// A command that is being read.
pub(super) struct Walk<'a, 'b> {
    pub words: &'a [Argument],
    pub given: Given<'a>,
    pub program: &'static Program,
    pub parent: Option<&'static Program>,
    pub effects: &'b mut Effects,
    pub notes: Notes,
    pub place: Place,
    pub modes: Vec<Mode>,
    pub operands: Vec<(usize, Place)>,
    pub skips_first: bool,
    pub has_into: bool,
    pub has_code: bool,
    /// The file of settings that an option names.
    pub config: Option<Argument>,
}

impl Walk<'_, '_> {
    pub(super) fn is_risky(&self) -> bool {
        self.program.is_risky() || self.parent.is_some_and(Program::is_risky)
    }

    pub(super) fn has(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    pub(super) fn guess(&mut self, at: usize) {
        let words = &self.words[at.min(self.words.len())..];
        self.effects.inner.extend(guesses(words));
        self.effects.is_unclear = true;
    }

    pub(super) fn file(&mut self, word: &Argument, access: Access) {
        if word.text != "-" && !word.text.is_empty() {
            self.effects.paths.extend(path_uses(word, &self.place, access));
        }
    }

    /// Something that an option writes: a rule judges it like a redirection.
    pub(super) fn write(&mut self, word: &Argument) {
        if matches!(word.text.as_str(), "-" | "" | "/dev/null" | "/dev/stdout" | "/dev/stderr") {
            return;
        }
        self.effects.writes.push(format!("> {}", word.text));
        self.file(word, Access::Write);
    }
}
