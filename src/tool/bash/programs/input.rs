//! Programs that run what they read: from a file that is the standard input, or from the standard input itself where their
//! words name nothing else to run.

use super::{
    code::snippet,
    effects::{Dialect, Inner},
    place::Access,
    shells,
    table::{Kind, Trait},
    walk::Walk,
    word::Argument,
};

/// Options that only make a program say something about itself.
const ASKING: &[&str] = &["--version", "-V", "-v", "--help", "-h"];

/// Whether a word names the standard input, or another open file of which only redirections would tell what it holds.
pub(super) fn is_input(word: &Argument) -> bool {
    let text = word.text.as_str();
    let is_descriptor = text.starts_with("/dev/fd/") || (text.starts_with("/proc/") && text.contains("/fd/"));
    matches!(text, "-" | "/dev/stdin") || is_descriptor || word.holes.first().is_some_and(|hole| text[hole.clone()].starts_with("<("))
}

impl Walk<'_, '_> {
    /// It runs what the standard input says, in the language of the program.
    pub(super) fn runs_input(&mut self) {
        self.notes.is_never = true;
        self.effects.runs_input = true;
        match self.given.input.filter(|_| !self.given.more) {
            Some(text) => self.effects.possible.extend(snippet::possible(text)),
            None => self.effects.is_unclear = true,
        }
    }

    /// It starts a shell, which runs what the standard input says. Which shell that is, only running would tell.
    pub(super) fn starts_shell(&mut self) {
        self.effects.runs_input = true;
        if let Some(text) = self.given.input.filter(|_| !self.given.more) {
            self.effects.inner.push(Inner::Script { text: text.to_owned(), dialect: Dialect::Other });
        }
        self.effects.is_unclear = true;
    }

    /// A file with what the program runs.
    pub(super) fn recipe(&mut self, word: &Argument) {
        self.effects.is_unclear |= is_input(word);
        self.file(word, Access::Read);
        // A grant is bound to the content of one file.
        self.notes.is_never |= self.notes.script.is_some();
        self.notes.script = Some(word.clone());
    }

    /// Statements for a database. Its client runs programs by commands of its own.
    pub(super) fn statements(&mut self, word: &Argument) {
        self.notes.is_exact = true;
        self.has_code = true;
        let text = word.text.to_ascii_lowercase();
        let is_command =
            |line: &str| ["system", "source", ".", "edit", "pager", "tee"].iter().any(|name| line.trim_start().starts_with(name));
        self.effects.is_unclear |= !word.holes.is_empty()
            || text.contains(['\\', '`'])
            || text.split(['\n', ';']).any(is_command)
            || ["program", "load_extension", "writefile", "into outfile", "edit(", "shell", "install "]
                .iter()
                .any(|name| text.contains(name));
    }

    /// What the words leave to the standard input. `count` operands were given.
    pub(super) fn look_for_input(&mut self, count: usize) {
        let asks = self.words.iter().any(|word| ASKING.contains(&word.text.as_str()));
        if self.has_code || asks {
            return;
        }
        let is_interpreter = self.program.first.first() == Some(&Kind::ScriptFile);
        let fixed = if is_interpreter { 0 } else { self.program.first.len() };
        if (is_interpreter || self.program.is(Trait::Input)) && count <= fixed {
            self.runs_input();
        } else if self.program.is(Trait::StartsShell) && count <= fixed {
            self.starts_shell();
        }
    }

    /// A command for another machine or a container, of which a shell may be the whole.
    pub(super) fn remote(&mut self, words: &[Argument]) {
        let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        let mut words = text.split_whitespace();
        let has_shell = words.any(|word| shells::shell(word.rsplit('/').next().unwrap_or(word)).is_some());
        self.effects.is_unclear |= has_shell && words.all(|word| word.starts_with('-') && !word.contains('c'));
    }
}
