//! The reading of one command: how far it is, and what was found.

use super::{
    effects::{Effects, Given},
    inner::guesses,
    place::{Access, Place, path_uses},
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
    /// What `--include` names.
    pub includes: Vec<Argument>,
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

    /// A file or a directory that is read, in the latter what is below it as far as options say.
    pub(super) fn read(&mut self, word: &Argument, kind: Kind) {
        let access = self.reading(kind);
        if word.text == "-" || word.text.is_empty() {
            return;
        }
        let name = if matches!(access, Access::Deep { .. }) { self.included() } else { None };
        if self.has(Mode::Follows) && access != Access::List {
            let what = Found { name: name.clone(), hidden: true, ignored: true, follows: true, tracked: None };
            self.effects.paths.extend(path_uses(&word.below(what), &self.place, Access::Read));
        }
        match name {
            Some(name) => {
                let what = Found { name: Some(name), hidden: true, ignored: true, ..Found::default() };
                self.effects.paths.extend(path_uses(&word.below(what), &self.place, Access::Read));
            }
            None => self.file(word, access),
        }
    }

    /// A pattern for the names of all files that are read below directories; `{a,b}` stands for two of them.
    fn included(&self) -> Option<String> {
        let is_known = |word: &&Argument| {
            let is_whole = word.holes.is_empty() && !word.tilde && !word.text.is_empty();
            is_whole && !word.text.contains(['[', '{', ',', '\\', '/']) && !word.text.starts_with(['!', '^'])
        };
        let names: Vec<String> = self.includes.iter().filter(is_known).map(|word| word.text.to_lowercase()).collect();
        match names.as_slice() {
            [] => None,
            _ if names.len() < self.includes.len() => None,
            [name] => Some(name.clone()),
            names => Some(format!("{{{}}}", names.join(","))),
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
