//! The reading of one command: how far it is, and what was found.

use super::{
    effects::{Effects, Given},
    inner::guesses,
    place::{Access, Place, path_uses},
    selection::{Chosen, Selection},
    table::{Kind, Mode, Program},
    word::{Argument, Found},
};

/// What was noticed that decides what "always" grants.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Code, settings or remote machines: only as it stands.
    pub is_exact: bool,
    /// Nothing can be granted: what it runs is not in the line.
    pub is_never: bool,
    /// The file with the program that an interpreter runs, or with what a build does.
    pub script: Option<Argument>,
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
    /// Which files are read below directories.
    pub selection: Selection,
    /// The file of settings that an option names.
    pub config: Option<Argument>,
}

impl Walk<'_, '_> {
    pub(super) fn is_risky(&self) -> bool {
        self.program.is_risky() || self.parent.is_some_and(Program::is_risky)
    }

    pub(super) fn has(&self, mode: Mode) -> bool {
        self.modes.contains(&mode) && !(mode == Mode::Follows && self.modes.contains(&Mode::Links))
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

    /// A file or a directory that is read, in the latter what is below it as far as options say.
    pub(super) fn read(&mut self, word: &Argument, kind: Kind) {
        let access = self.reading(kind);
        if word.text == "-" || word.text.is_empty() {
            return;
        }
        let follows = self.has(Mode::Follows) && access != Access::List;
        let is_deep = matches!(access, Access::Deep { .. });
        let chosen = if is_deep { self.selection.chosen(self.has(Mode::Hidden)) } else { Vec::new() };
        if chosen.is_empty() {
            if follows {
                self.file(&word.below(Found { hidden: true, ignored: true, follows, ..Found::default() }), Access::Read);
            }
            self.file(word, access);
            return;
        }
        // A file that is named is read in any case.
        self.file(word, Access::Read);
        for Chosen { directory, found } in chosen {
            let place = directory.map_or_else(|| word.clone(), |directory| Argument::plain(&directory));
            self.file(&place.below(Found { follows, ..found }), Access::Read);
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
