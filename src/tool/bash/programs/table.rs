//! The tables of programs: what their options and operands mean. The data stands in `tables/*.txt`, one program a line:
//! `NAMES : OPERANDS : OPTIONS`.
//!
//! * NAMES, separated by commas; `git log` is a command of `git`. Of two lines with the same name the later counts.
//! * OPERANDS: what the words that are no options mean, in order. `read...` stands for all that follow, and what comes
//!   behind it is the last one. The words of [`Trait`] say something about the whole program.
//! * OPTIONS: `-o,` without a value, `-o=KIND` with one, `-o?KIND` with one that can only be joined to it, `-o!KIND` for an
//!   option that has the effect by itself. `^` behind the kind: the option stands in for the first operand.

use std::{collections::HashMap, sync::LazyLock};

/// What a word means to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing that matters here.
    Text,
    /// The option takes two or three words.
    Words(usize),
    /// A file whose content is read; with everything below it; as far as ignore files allow.
    Read,
    Deep,
    Tree,
    /// With everything below it that git tracks.
    Tracked,
    /// What a link leads to.
    Linked,
    /// Names and sizes are seen.
    List,
    /// Counts as `> file`.
    Write,
    /// Is made or changed, by a program whose job that is.
    Target,
    Destroy,
    /// A word that may be a file, which then may be read or written.
    Unsure,
    /// The directory in which everything else happens.
    Enter,
    /// Where all operands go.
    Into,
    /// A revision, or a file.
    Revision,
    /// A web address, or something local.
    Address,
    /// `text`, `@file`, `name=@file`.
    At,
    /// A file, or the input, that names files which are read.
    Listing,
    /// Text, or without `=` a file.
    Cookie,
    /// Of what is below a directory only files with such names are read.
    Include,
    /// Files with such names are not read, and all others are if it stands first; the same with names in a file.
    Exclude,
    ExcludeFile,
    /// Only such files are read, hidden and ignored ones too; by a type, which may be defined in the line.
    Glob,
    FileType,
    TypeDefinition,
    /// `1,2:file`.
    Lines,
    /// A file of settings that is read, or changed.
    Config,
    /// `source:target` of a container.
    Mount,
    /// A text that a shell reads, or the name of a program.
    Shell,
    /// A word that is run, or settings by which something is run, which cannot be seen here.
    Unseen,
    /// The rest of the words is a command.
    Rest,
    /// A program in the language of the interpreter.
    Code,
    Sed,
    Awk,
    /// A program of jq or yq.
    Filter,
    /// The file with the program that is run.
    ScriptFile,
    /// A file with what is run, such as a makefile.
    Recipe,
    /// Statements for a database.
    Statements,
    /// The name of a module that is run.
    Module,
    /// `NAME=value` of make.
    Goal,
    /// `key=value` of git, of ssh, of cmake, of rustc.
    GitSetting,
    SshSetting,
    CmakeSetting,
    RustcSetting,
    /// A name, then a file.
    Named,
    /// What `xargs` replaces.
    Mark,
    /// Changes what the operands mean.
    Mode(Mode),
}

/// How an option changes what the operands mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are changed in place.
    Edit,
    /// With everything below them.
    Recursive,
    /// Hidden and ignored files too.
    Hidden,
    /// Nothing is changed, it all goes to the output.
    Stdout,
    /// Only names are told.
    Names,
    /// Nothing is run, something is asked.
    Query,
    /// The sources are taken away.
    Destroys,
    /// Written in the current directory.
    Here,
    /// The last operand is run with all that follows.
    Runs,
    /// A link that is relative to itself.
    Symbolic,
    /// They are read with everything below them, also behind links; or links stay links.
    Follows,
    Links,
    /// Changes are shown with the lines that changed; or without.
    Patch,
    Summary,
}

/// What is special about a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trait {
    /// The first operand names a command, which may have a line of its own.
    Sub,
    /// The operands left over are a command; with `more`, words are added when it runs.
    Command,
    CommandAndMore,
    /// They are joined and given to a shell; each is a shell's text.
    ShellText,
    ShellTexts,
    /// Which of them is a command is not certain.
    Guess,
    /// The command may stand behind `--`.
    Runner,
    /// `NAME=value` may stand before the command.
    Assignments,
    /// Does nothing but run the command.
    Plain,
    /// Options end where operands begin.
    Stops,
    /// One dash may stand before a word.
    WordOptions,
    /// `always` grants only the line as it stands.
    Exact,
    /// Files appear in the current directory.
    Here,
    /// Runs what cannot be seen.
    Unseen,
    /// Runs what its standard input says where its words name nothing to run.
    Input,
    /// Starts a shell there.
    StartsShell,
    /// Its operands are a command for another machine or a container.
    Remote,
    /// An operand that begins with `+` is a command of the program.
    Plus,
    /// An operand that begins with `@` names a file with more words.
    Lists,
    /// Without a path all that git tracks here is read.
    Tracked,
    /// Gives the files that it finds to the command that an option names.
    Finds,
    /// Without a revision only what differs from the index is shown.
    Differs,
    /// Shows the content of what git has stored, unless it is told to show a summary; only with [`Mode::Patch`].
    Shows,
    MayShow,
    /// Runs what the worktree holds: a word that is not known makes that no worse.
    Builds,
    /// Read by code of its own.
    Special(&'static str),
}

/// How an option takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    Joined,
}

/// An option.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt {
    pub takes: Takes,
    pub kind: Kind,
    /// It stands in for the first operand.
    pub stands_in: bool,
}

/// A line of a table.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub first: Vec<Kind>,
    pub rest: Option<Kind>,
    pub last: Option<Kind>,
    pub traits: Vec<Trait>,
    /// It stands in the table of those that run what they find.
    pub is_runner: bool,
    options: HashMap<&'static str, Opt>,
}

impl Kind {
    /// Whether a program with such an option writes or runs what its other words do not tell.
    fn is_risky(self) -> bool {
        match self {
            Self::Write
            | Self::Shell
            | Self::Unseen
            | Self::Rest
            | Self::Code
            | Self::Statements
            | Self::Sed
            | Self::Awk
            | Self::GitSetting
            | Self::SshSetting
            | Self::CmakeSetting
            | Self::RustcSetting
            | Self::Config
            | Self::Destroy => true,
            Self::Mode(mode) => matches!(mode, Mode::Edit | Mode::Destroys | Mode::Runs),
            _ => false,
        }
    }
}

impl Program {
    /// All options with their names.
    #[cfg(test)]
    pub(super) fn options(&self) -> impl Iterator<Item = (&'static str, Opt)> {
        self.options.iter().map(|(name, option)| (*name, *option))
    }

    pub(super) fn is(&self, wanted: Trait) -> bool {
        self.traits.contains(&wanted)
    }

    /// Whether an option that is not written out could write or run something.
    pub(super) fn is_risky(&self) -> bool {
        let is_risky = |option: &Opt| option.kind.is_risky() && !self.is(Trait::Builds);
        self.options.values().any(is_risky)
    }

    /// Whether everything has to be certain up to where a command begins.
    pub(super) fn runs_words(&self) -> bool {
        [Trait::Command, Trait::CommandAndMore, Trait::ShellText, Trait::Runner].iter().any(|runs| self.is(*runs))
    }

    /// The option of exactly this name, dashes and all.
    pub(super) fn exact(&self, name: &str) -> Option<Opt> {
        self.options.get(name).copied()
    }

    /// The long option of this name, or that it may be short for: the one that matters most.
    pub(super) fn long(&self, name: &str) -> Option<Opt> {
        self.exact(name).or_else(|| {
            let longer = || self.options.iter().filter(|(long, _)| long.len() > name.len() && long.starts_with(name));
            let risky = longer().find(|(_, option)| option.kind.is_risky());
            // Of several that take their values in different ways none is certain.
            let first = longer().next().filter(|(_, first)| longer().all(|(_, option)| option.takes == first.takes));
            risky.or(first).filter(|_| name.len() > 2).map(|(_, option)| *option)
        })
    }
}

/// The line of a program, or of a command of one.
pub(super) fn find(name: &str) -> Option<&'static Program> {
    TABLE.get(name)
}

/// All lines with their names.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static Program)> {
    TABLE.iter().map(|(name, program)| (*name, program))
}

static TABLE: LazyLock<HashMap<&'static str, Program>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    for (text, is_runner) in [
        (include_str!("tables/files.txt"), false),
        (include_str!("tables/wrappers.txt"), false),
        (include_str!("tables/runners.txt"), true),
        (include_str!("tables/git.txt"), false),
    ] {
        read_table(text, is_runner, &mut table);
    }
    table
});

fn read_table(text: &'static str, is_runner: bool, table: &mut HashMap<&'static str, Program>) {
    let mut shared: HashMap<&str, Vec<&'static str>> = HashMap::new();
    for [names, operands, options] in rows(text) {
        let options: Vec<&'static str> = options
            .into_iter()
            .flat_map(|word| if word.starts_with('@') { shared.get(word).cloned().unwrap_or_default() } else { vec![word] })
            .collect();
        if names[0].starts_with('@') {
            shared.insert(names[0], options);
            continue;
        }
        for name in names {
            table.insert(name, Program { is_runner, ..program(&operands, &options) });
        }
    }
}

/// The names, the words of the operands and the options of each row.
fn rows(text: &'static str) -> Vec<[Vec<&'static str>; 3]> {
    let mut rows: Vec<[Vec<&'static str>; 3]> = Vec::new();
    let mut column = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            rows.push([Vec::new(), Vec::new(), Vec::new()]);
            column = 0;
        }
        let Some(row) = rows.last_mut() else { continue };
        for (index, piece) in line.split(" :").enumerate() {
            if index > 0 {
                column = (column + 1).min(2);
            }
            match column {
                0 => row[0].extend(piece.split(", ").map(str::trim)),
                _ => row[column].extend(piece.split_whitespace()),
            }
        }
    }
    rows
}

fn program(operands: &[&'static str], options: &[&'static str]) -> Program {
    let mut program = Program::default();
    for word in operands {
        if let Some(special) = trait_of(word) {
            program.traits.push(special);
        } else if let Some(word) = word.strip_suffix("...") {
            program.rest = Some(kind(word));
        } else if program.rest.is_some() {
            program.last = Some(kind(word));
        } else {
            program.first.push(kind(word));
        }
    }
    for word in options {
        // The sign stands behind the name; a name may hold one at its own start only.
        let sign = word[1..].find(['=', '?', '!']).map(|at| at + 1);
        let (name, mark, meaning) = sign.map_or((*word, ' ', ""), |at| (&word[..at], word.as_bytes()[at] as char, &word[at + 1..]));
        let takes = match mark {
            '=' => Takes::Value,
            '?' => Takes::Joined,
            _ => Takes::Nothing,
        };
        let stands_in = meaning.ends_with('^');
        let meaning = meaning.trim_end_matches('^');
        let kind = if meaning.is_empty() { Kind::Text } else { kind(meaning) };
        program.options.insert(name, Opt { takes, kind, stands_in });
    }
    program
}

fn trait_of(word: &'static str) -> Option<Trait> {
    Some(match word {
        "sub" => Trait::Sub,
        "command" => Trait::Command,
        "command+" => Trait::CommandAndMore,
        "shell" => Trait::ShellText,
        "shells" => Trait::ShellTexts,
        "guess" => Trait::Guess,
        "runner" => Trait::Runner,
        "assign" => Trait::Assignments,
        "plain" => Trait::Plain,
        "|" => Trait::Stops,
        "words" => Trait::WordOptions,
        "exact" => Trait::Exact,
        "here" => Trait::Here,
        "unseen" => Trait::Unseen,
        "input" => Trait::Input,
        "starts-shell" => Trait::StartsShell,
        "remote" => Trait::Remote,
        "plus" => Trait::Plus,
        "lists" => Trait::Lists,
        "tracks" => Trait::Tracked,
        "finds" => Trait::Finds,
        "differs" => Trait::Differs,
        "builds" => Trait::Builds,
        "shows" => Trait::Shows,
        "may-show" => Trait::MayShow,
        _ => Trait::Special(word.strip_prefix('%')?),
    })
}

/// The kind that a word of the tables names. An unknown word is a mistake in the tables, which a test finds.
fn kind(word: &str) -> Kind {
    match word {
        "text2" => Kind::Words(2),
        "text3" => Kind::Words(3),
        "read" => Kind::Read,
        "deep" => Kind::Deep,
        "tree" => Kind::Tree,
        "tracked" => Kind::Tracked,
        "linked" => Kind::Linked,
        "listing" => Kind::Listing,
        "cookie" => Kind::Cookie,
        "lines" => Kind::Lines,
        "config" => Kind::Config,
        "filter" => Kind::Filter,
        "list" => Kind::List,
        "write" => Kind::Write,
        "target" => Kind::Target,
        "destroy" => Kind::Destroy,
        "enter" => Kind::Enter,
        "into" => Kind::Into,
        "rev" => Kind::Revision,
        "url" => Kind::Address,
        "at" => Kind::At,
        "mount" => Kind::Mount,
        "shell" => Kind::Shell,
        "unseen" => Kind::Unseen,
        "rest" => Kind::Rest,
        "code" => Kind::Code,
        "sed" => Kind::Sed,
        "awk" => Kind::Awk,
        "script" => Kind::ScriptFile,
        "recipe" => Kind::Recipe,
        "statements" => Kind::Statements,
        "module" => Kind::Module,
        "goal" => Kind::Goal,
        "git-setting" => Kind::GitSetting,
        "ssh-setting" => Kind::SshSetting,
        "cmake-setting" => Kind::CmakeSetting,
        "rustc-setting" => Kind::RustcSetting,
        "named" => Kind::Named,
        "mark" => Kind::Mark,
        "edit" => Kind::Mode(Mode::Edit),
        "recursive" => Kind::Mode(Mode::Recursive),
        "hidden" => Kind::Mode(Mode::Hidden),
        "stdout" => Kind::Mode(Mode::Stdout),
        "names" => Kind::Mode(Mode::Names),
        "query" => Kind::Mode(Mode::Query),
        "destroys" => Kind::Mode(Mode::Destroys),
        "here" => Kind::Mode(Mode::Here),
        "runs" => Kind::Mode(Mode::Runs),
        "symbolic" => Kind::Mode(Mode::Symbolic),
        "follows" => Kind::Mode(Mode::Follows),
        "links" => Kind::Mode(Mode::Links),
        "patch" => Kind::Mode(Mode::Patch),
        "summary" => Kind::Mode(Mode::Summary),
        "include" => Kind::Include,
        "exclude" => Kind::Exclude,
        "exclude-from" => Kind::ExcludeFile,
        "glob" => Kind::Glob,
        "type" => Kind::FileType,
        "type-add" => Kind::TypeDefinition,
        "unsure" => Kind::Unsure,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind, rows, trait_of};

    /// Every word of the tables means something.
    #[test]
    fn the_tables_have_no_unknown_words() {
        for text in [
            include_str!("tables/files.txt"),
            include_str!("tables/wrappers.txt"),
            include_str!("tables/runners.txt"),
            include_str!("tables/git.txt"),
        ] {
            for [names, operands, options] in rows(text) {
                assert!(!operands.is_empty() || names[0].starts_with('@'), "{names:?} has no operands");
                for word in operands {
                    let word = word.trim_end_matches("...");
                    assert!(trait_of(word).is_some() || word == "text" || kind(word) != Kind::Text, "{names:?}: {word}");
                }
                for option in options {
                    assert!(option.starts_with(['-', '@']), "{names:?}: {option}");
                    let Some(at) = option[1..].find(['=', '?', '!']) else { continue };
                    let word = option[at + 2..].trim_end_matches('^');
                    assert!(word.is_empty() || word == "text" || kind(word) != Kind::Text, "{names:?}: {option}");
                }
            }
        }
    }
}
