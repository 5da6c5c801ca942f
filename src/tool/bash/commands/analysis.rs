//! What is known about a command line before it runs, and what the permission rules are asked about it.

use std::collections::HashSet;

use crate::{
    permission::Pattern,
    tool::bash::programs::{Anchor, Bound, Found, PathUse, Rest},
};

/// One command that would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Its words without quotes, joined by single spaces; assignments and redirections are left out. What is known only
    /// when it runs stands as it was written.
    pub text: String,
    /// The same words one by one.
    pub words: Vec<String>,
    /// The words as they would be written, where that differs: two commands with the same text may be different ones.
    pub spelling: Option<String>,
    /// Whether it is certain which program this is.
    pub resolvable: bool,
    /// What "always" would grant, as a permission pattern; `None` where no pattern would be right.
    pub always: Option<String>,
    /// Where a grant holds, for each place in which it runs; everywhere without any.
    pub bounds: Vec<Bound>,
    /// It does nothing but what is judged elsewhere: no rule has to allow it, and one that denies it holds.
    pub quiet: bool,
    /// It only prints: beside other commands no rule has to allow it either.
    pub prints: bool,
}

impl SimpleCommand {
    /// What grants know it by.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.spelling.as_deref().unwrap_or(&self.text)
    }
}

/// A redirection or an option that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Such as `> file`.
    pub text: String,
    /// Where a grant holds, for each place in which it stands.
    pub bounds: Vec<Bound>,
}

/// Something in a line that changes a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The step of the line.
    pub step: usize,
    /// What is changed.
    pub path: PathUse,
    /// The file may have new content after it.
    pub brings_content: bool,
}

/// What is known about a command line before it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Every command, in the order of the text, each once. A wrapper such as `sudo` and what it runs are both here.
    pub commands: Vec<SimpleCommand>,
    /// Paths that its commands and redirections name.
    pub paths: Vec<PathUse>,
    /// The redirections that write, such as `> file`: rules judge each like a command.
    pub writes: Vec<Write>,
    /// What it changes, in the order of the text.
    pub changes: Vec<Change>,
    /// The steps that run what files say.
    pub runs: Vec<usize>,
    /// Commands that a program which is not known may run.
    pub possible: Vec<String>,
    /// File name patterns that are options if a file has such a name.
    pub option_globs: Vec<PathUse>,
    /// Absolute paths that words are if the variable before them is empty.
    pub behind_variables: Vec<String>,
    /// Whether the whole line was understood: it does what `commands`, `paths` and `writes` say and nothing else. If it
    /// could not be read, every run of words in it is among the commands.
    pub understood: bool,
}

impl Analysis {
    /// Where the line changes which files a pattern means (`shopt -s dotglob`), a pattern stands for all of such names below.
    #[must_use]
    pub(super) fn with_wide_patterns(mut self) -> Self {
        const WIDE: &[&str] = &["dotglob", "globstar", "nocaseglob"];
        let is_wide =
            |command: &SimpleCommand| command.words[0] == "shopt" && command.words.iter().any(|word| WIDE.contains(&word.as_str()));
        if !self.commands.iter().any(is_wide) {
            return self;
        }
        for usage in self.paths.iter_mut().chain(self.changes.iter_mut().map(|change| &mut change.path)) {
            let Some(Rest::Pattern(pattern)) = &usage.rest else { continue };
            let name = pattern.rsplit('/').next().unwrap_or_default().to_lowercase();
            let name = Some(name).filter(|name| !name.contains(['[', '{', '\\']) && !name.chars().all(|character| character == '*'));
            usage.rest = Some(Rest::Found(Found { name, hidden: true, ignored: true, ..Found::default() }));
        }
        self
    }

    /// Whether some path could be any: only running would tell.
    #[must_use]
    pub fn hides_paths(&self) -> bool {
        self.paths.iter().any(|usage| usage.anchor == Anchor::Unknown || matches!(usage.rest, Some(Rest::Unknown(_))))
    }

    /// Whether it is asked even if all rules allow it.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        !self.understood || self.commands.iter().any(|command| !command.resolvable)
    }

    /// What the permission rules are asked about, each once.
    #[must_use]
    pub fn patterns(&self) -> Vec<String> {
        let (all, quiet) = (self.needs_a_person(), self.needs_no_rule());
        let commands = self.commands.iter().filter(|command| all || !quiet(command)).map(|command| &command.text);
        once(commands.chain(self.writes.iter().map(|write| &write.text)))
    }

    /// The other commands: no rule has to allow them, though one can deny them.
    #[must_use]
    pub fn quiet(&self) -> Vec<String> {
        let (all, quiet) = (self.needs_a_person(), self.needs_no_rule());
        once(self.commands.iter().filter(|command| !all && quiet(command)).map(|command| &command.text))
    }

    /// Tells of a command whether no rule has to allow it.
    pub(in crate::tool::bash) fn needs_no_rule(&self) -> impl Fn(&SimpleCommand) -> bool + use<> {
        let has_others = self.commands.iter().any(|command| !command.quiet && !command.prints);
        move |command| command.quiet || (has_others && command.prints)
    }

    /// What "always" would grant, each pattern with the places where it holds; empty where a person has to look at it each
    /// time.
    #[must_use]
    pub fn always(&self) -> Vec<(String, &[Bound])> {
        if self.needs_a_person() {
            return Vec::new();
        }
        let quiet = self.needs_no_rule();
        let commands = self.commands.iter().filter(|command| !quiet(command));
        let commands = commands.filter_map(|command| Some((command.always.clone()?, command.bounds.as_slice())));
        // What was shown is granted as it stands: the next time it is no question.
        let writes = self.writes.iter().filter(|write| !write.text.contains(['$', '`']));
        commands.chain(writes.map(|write| (Pattern::literal(&write.text), write.bounds.as_slice()))).collect()
    }
}

fn once<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.filter(|text| seen.insert(text.as_str())).cloned().collect()
}
