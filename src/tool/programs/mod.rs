//! What one command with known words does: which commands it runs in turn, which files it reads and writes, and what
//! "always" may grant for it. Pure; the programs stand in tables as data.

mod always;
mod arity;
mod awk;
mod find;
mod identity;
mod inner;
mod languages;
mod options;
mod place;
mod sed;
mod shells;
mod special;
mod table;
mod tar;
mod unknown;
mod word;

#[cfg(test)]
mod tests;

pub use place::{Access, Anchor, PathUse, Rest};
pub(in crate::tool) use place::{Place, redirection};
pub(in crate::tool) use word::Argument;

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
    /// Perhaps a command: where the options end is not certain.
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
}

/// What the command does.
pub(in crate::tool) fn effects(words: &[Argument], given: Given<'_>) -> Effects {
    let mut effects = Effects { place: given.place.clone(), ..Effects::default() };
    let Some(first) = words.first() else { return effects };
    let name = program_name(&first.text);
    let identity = identity::identify(words);
    effects.is_unclear = !identity.is_certain(words, given.more);
    let mut notes = options::Notes::default();
    match name {
        _ if first.literal().is_none() => {}
        "find" | "gfind" => {
            find::find(words, given, &mut effects);
            notes.is_exact = true;
        }
        "cd" | "pushd" => {
            let mut there = given.place.clone();
            there.follow(words);
            effects.paths.push(place::here(&there, Access::List));
        }
        "eval" | "trap" | "hash" | "jobs" => shells::builtin(name, words, given, &mut effects),
        _ => match shells::shell(name) {
            Some(dialect) => shells::run(words, dialect, given, &mut effects),
            None => notes = options::apply(name, words, &identity, given, &mut effects),
        },
    }
    effects.also = identity.without_options(words);
    if let Some(at) = identity.unclear_option() {
        // The option may take the next word.
        let words = [&words[..1], words.get(at + 2..).unwrap_or_default()].concat();
        effects.inner.push(Inner::Guess(words));
    }
    effects.is_plain |= effects.also.is_some() && identity.is_harmless();
    effects.always = always::always(words, &identity, &notes, given);
    effects
}

/// The last component of a program's path.
pub(in crate::tool) fn program_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}
