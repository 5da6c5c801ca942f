//! What is known about a command line before it runs, and what the permission rules are asked about it.

use crate::{
    permission::Pattern,
    tool::bash::programs::{Anchor, Bound, PathUse, Rest},
};

/// One command that would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Its words without quotes, joined by single spaces; assignments and redirections are left out. What is known only
    /// when it runs stands as it was written.
    pub text: String,
    /// The same words one by one.
    pub words: Vec<String>,
    /// Whether it is certain which program this is.
    pub resolvable: bool,
    /// What "always" would grant, as a permission pattern; `None` where no pattern would be right.
    pub always: Option<String>,
    /// Where a grant holds, for each place in which it runs; everywhere without any.
    pub bounds: Vec<Bound>,
    /// It does nothing but what is judged elsewhere: no rule has to allow it, and one that denies it holds.
    pub quiet: bool,
}

/// What is known about a command line before it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Every command, in the order of the text, each text once. A wrapper such as `sudo` and what it runs are both here.
    pub commands: Vec<SimpleCommand>,
    /// Paths that its commands and redirections name.
    pub paths: Vec<PathUse>,
    /// The redirections that write, such as `> file`: rules judge each like a command.
    pub writes: Vec<String>,
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
    /// Whether some path could be any: only running would tell.
    #[must_use]
    pub fn hides_paths(&self) -> bool {
        self.paths.iter().any(|usage| usage.anchor == Anchor::Unknown || matches!(usage.rest, Some(Rest::Unknown(_))))
    }

    /// Whether a person has to look at it whatever the rules allow.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        !self.understood || self.commands.iter().any(|command| !command.resolvable)
    }

    /// What the permission rules are asked about.
    #[must_use]
    pub fn patterns(&self) -> Vec<String> {
        let all = self.needs_a_person();
        let commands = self.commands.iter().filter(|command| all || !command.quiet).map(|command| &command.text);
        commands.chain(&self.writes).cloned().collect()
    }

    /// The other commands: no rule has to allow them, though one can deny them.
    #[must_use]
    pub fn quiet(&self) -> Vec<String> {
        let all = self.needs_a_person();
        self.commands.iter().filter(|command| !all && command.quiet).map(|command| command.text.clone()).collect()
    }

    /// What "always" would grant, each pattern with the command that it is for; empty where a person has to look at it each
    /// time.
    #[must_use]
    pub fn always(&self) -> Vec<(String, Option<&String>)> {
        if self.needs_a_person() {
            return Vec::new();
        }
        let commands = self.commands.iter().filter(|command| !command.quiet);
        let commands = commands.filter_map(|command| Some((command.always.clone()?, Some(&command.text))));
        // What was shown is granted as it stands: the next time it is no question.
        let writes = self.writes.iter().filter(|write| !write.contains(['$', '`'])).map(|write| (Pattern::literal(write), None));
        commands.chain(writes).collect()
    }
}
