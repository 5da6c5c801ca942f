//! What is known about a command, and what it was found to do.

use super::{
    place::{Access, Bound, PathUse, Place},
    word::Argument,
};

/// The shell that will read a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// bash.
    Bash,
    /// Some POSIX shell: what only bash understands counts as not understood.
    Posix,
    /// A shell with a grammar of its own: nothing counts as understood.
    Other,
}

/// What surrounds a command.
#[derive(Debug, Clone, Copy)]
pub(in crate::tool) struct Given<'a> {
    /// The known text of its standard input.
    pub input: Option<&'a str>,
    /// Words are added when it runs.
    pub more: bool,
    /// Where it runs.
    pub place: &'a Place,
}

/// What a program of sed or awk does besides printing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub writes: Vec<String>,
    pub reads: Vec<String>,
    pub runs: Vec<String>,
}

/// What stands inside of a command.
#[derive(Debug, Clone)]
pub(in crate::tool) enum Inner {
    /// A command; with `more`, words are added when it runs.
    Words {
        /// Its words.
        words: Vec<Argument>,
        /// Words are added.
        more: bool,
    },
    /// Words that may be a command: where the options end is not certain.
    Guess(Vec<Argument>),
    /// A text that a shell reads.
    Script {
        /// The text.
        text: String,
        /// The shell.
        dialect: Dialect,
    },
}

/// What a command does, as far as its words tell.
#[derive(Debug, Clone, Default)]
pub(in crate::tool) struct Effects {
    /// What it runs, in the order of its words.
    pub inner: Vec<Inner>,
    /// Where that runs.
    pub place: Place,
    /// What `{}` may stand for in what it runs.
    pub found_in: Vec<Argument>,
    /// The files that it names.
    pub paths: Vec<PathUse>,
    /// What its options write, each as `> file`.
    pub writes: Vec<String>,
    /// File name patterns that are options if a file has such a name.
    pub option_globs: Vec<PathUse>,
    /// It is not certain which program runs, which of its commands, or with which options that write or run.
    pub is_unclear: bool,
    /// It does nothing but run what is inside: only a rule of its own matters for it.
    pub is_plain: bool,
    /// The same command without the options that stand before the word that identifies it.
    pub also: Option<Vec<Argument>>,
    /// Commands that an unknown program may run; none is certain.
    pub possible: Vec<Vec<Argument>>,
    /// The pattern that grants it from now on.
    pub always: Option<String>,
    /// Where that holds; everywhere without it.
    pub bound: Option<Bound>,
    /// The command that it runs on another machine or in a container.
    pub elsewhere: Vec<Argument>,
    /// It runs what its standard input says.
    pub runs_input: bool,
    /// It runs what files say that its words do not show.
    pub runs_files: bool,
}

impl Effects {
    /// Whether it is certain that it opens no file and runs nothing.
    pub(in crate::tool) fn touches_nothing(&self) -> bool {
        !self.is_unclear && self.inner.is_empty() && self.writes.is_empty() && self.option_globs.is_empty() && self.paths.is_empty()
    }

    /// Whether all it does with files is to see names.
    pub(in crate::tool) fn only_lists(&self) -> bool {
        let is_list = |usage: &PathUse| usage.access == Access::List;
        !self.is_unclear
            && self.inner.is_empty()
            && self.writes.is_empty()
            && self.option_globs.is_empty()
            && self.paths.iter().all(is_list)
    }
}

/// The last component of a program's path.
pub(in crate::tool) fn program_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}
