//! Which commands of git a line uses: those that only look, those that talk to a remote, and others. Pure.

use super::commands::Analysis;

/// Commands that run no program of the repository once they are told what [`super::git_guard`] tells them. Of others the
/// repository's hooks, filters and helpers are a part: a commit without them is another one.
const LOOKING: &[&str] = &[
    "annotate",
    "blame",
    "branch",
    "cat-file",
    "check-attr",
    "check-ignore",
    "check-mailmap",
    "check-ref-format",
    "cherry",
    "column",
    "config",
    "count-objects",
    "describe",
    "diff",
    "diff-files",
    "diff-index",
    "diff-tree",
    "for-each-ref",
    "get-tar-commit-id",
    "grep",
    "hash-object",
    "log",
    "ls-files",
    "ls-tree",
    "merge-base",
    "merge-tree",
    "name-rev",
    "patch-id",
    "range-diff",
    "reflog",
    "rev-list",
    "rev-parse",
    "shortlog",
    "show",
    "show-branch",
    "show-index",
    "show-ref",
    "status",
    "stripspace",
    "tag",
    "var",
    "verify-commit",
    "verify-pack",
    "verify-tag",
    "version",
    "whatchanged",
];

/// The same of commands that have commands of their own; an empty word stands for the command alone.
const LOOKING_INSIDE: &[(&str, &[&str])] = &[
    ("bisect", &["log"]),
    ("bundle", &["list-heads", "verify"]),
    ("notes", &["", "list", "show"]),
    ("remote", &["", "add", "get-url", "remove", "rename", "rm", "set-branches", "set-url"]),
    ("sparse-checkout", &["list"]),
    ("stash", &["list", "show"]),
    ("submodule", &["", "status"]),
    ("worktree", &["list"]),
];

/// Commands that talk to another repository: how they reach it, and what runs there, is set in the repository, and of some
/// of these settings the first counts, so that none can be put in their place.
const REMOTE: &[&str] = &[
    "archimport",
    "backfill",
    "clone",
    "clone-pack",
    "credential",
    "cvsexportcommit",
    "cvsimport",
    "fetch",
    "fetch-pack",
    "http-fetch",
    "http-push",
    "imap-send",
    "lfs",
    "ls-remote",
    "maintenance",
    "p4",
    "pull",
    "push",
    "request-pull",
    "send-email",
    "send-pack",
    "subtree",
    "svn",
];

/// The same of commands that have commands of their own.
const REMOTE_INSIDE: &[(&str, &[&str])] = &[("remote", &["prune", "set-head", "show", "update"]), ("submodule", &["add", "update"])];

/// What a command of git does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It looks, and runs no program of the repository that could not be switched off.
    Looks,
    /// It talks to another repository.
    Remote,
    /// It changes something, or what it does is not known.
    Other,
}

/// A command of git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GitCommand {
    /// What the rules are asked about.
    pub text: String,
    /// The words that say which command it is: a rule that has all of them names it.
    pub words: Vec<String>,
    pub kind: Kind,
}

impl GitCommand {
    fn new(text: &str, name: &str, words: &[String]) -> Self {
        let rest = arguments(words);
        let dashed = name.strip_prefix("git-");
        let (sub, rest) = match dashed {
            Some(sub) => (Some(sub), words),
            None => (rest.first().map(String::as_str), rest.get(1..).unwrap_or_default()),
        };
        let Some(sub) = sub else { return Self { text: text.to_owned(), words: Vec::new(), kind: Kind::Other } };
        let second = rest.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
        let inside = |table: &[(&str, &[&str])]| table.iter().any(|(name, commands)| *name == sub && commands.contains(&second));
        let has = |option: &str| rest.iter().any(|word| word == option || word.starts_with(&format!("{option}=")));
        let fetches = match sub {
            // These stand for themselves or for what they are short for.
            "remote" => second == "add" && rest.iter().any(|word| word.starts_with("-f") || word.starts_with("--f")),
            "archive" => rest.iter().any(|word| word.starts_with("--rem")),
            _ => false,
        };
        let names_second = REMOTE_INSIDE.iter().any(|(name, _)| *name == sub);
        let kind = if fetches || sub.starts_with("remote-") || REMOTE.contains(&sub) || inside(REMOTE_INSIDE) {
            Kind::Remote
        } else if (LOOKING.contains(&sub) || inside(LOOKING_INSIDE)) && (!has("--submodule") || has("--submodule=log")) {
            Kind::Looks
        } else {
            Kind::Other
        };
        let mut words = vec![sub.to_owned()];
        words.extend(Some(second.to_owned()).filter(|second| names_second && !second.is_empty()));
        Self { text: text.to_owned(), words, kind }
    }

    /// How it is called in a question.
    pub(super) fn name(&self) -> String {
        format!("git {}", self.words.join(" ")).trim_end().to_owned()
    }
}

/// The commands of git in a line, as they stand in it.
pub(super) fn commands(analysis: &Analysis) -> Vec<GitCommand> {
    let commands = analysis.commands.iter().filter_map(|command| {
        let name = command.words.first()?.rsplit('/').next()?;
        let is_git = matches!(name, "git" | "git.exe" | "hub") || name.starts_with("git-");
        // What stands in front of it without a meaning of its own is judged in its place.
        (is_git && !command.quiet).then(|| GitCommand::new(&command.text, name, &command.words[1..]))
    });
    commands.collect()
}

/// Whether the line unpacks files: what git finds may be among them.
pub(super) fn unpacks(analysis: &Analysis) -> bool {
    analysis.commands.iter().any(|command| {
        let Some((name, words)) = command.words.split_first() else { return false };
        let is_extract = |word: &String| {
            matches!(word.as_str(), "--extract" | "--get") || (!word.starts_with("--") && word.starts_with('-') && word.contains('x'))
        };
        match name.rsplit('/').next().unwrap_or(name) {
            "tar" | "bsdtar" | "gtar" => words.iter().any(is_extract) || words.first().is_some_and(|word| word.contains('x')),
            "unzip" | "7z" | "7za" | "7zz" | "7zr" | "unar" | "unrar" | "cpio" | "bsdcpio" | "pax" | "rsync" => true,
            _ => false,
        }
    })
}

/// How a line uses git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Not by its name.
    None,
    /// Only to look.
    Looks,
    /// Also to change something, or that is not known.
    Changes,
}

/// How a line with these commands of git uses it.
pub(super) fn usage(analysis: &Analysis, commands: &[GitCommand]) -> Use {
    if !analysis.understood || commands.iter().any(|command| command.kind != Kind::Looks) {
        Use::Changes
    } else if commands.is_empty() {
        Use::None
    } else {
        Use::Looks
    }
}

/// The words from the one that says what git does: behind options with and without a value of their own.
fn arguments(words: &[String]) -> &[String] {
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        at += match word.as_str() {
            "-C" | "-c" | "--git-dir" | "--work-tree" | "--namespace" | "--config-env" | "--exec-path" | "--super-prefix"
            | "--attr-source" | "--list-cmds" => 2,
            _ => 1,
        };
    }
    words.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Kind, Use, commands, unpacks, usage};
    use crate::tool::bash::commands::{Dialect, analyse};

    #[test]
    fn commands_are_told_apart() {
        for (line, expected) in [
            ("git status -s", Kind::Looks),
            ("/usr/bin/git -C y --no-pager log -1", Kind::Looks),
            ("git -c color.ui=never diff", Kind::Looks),
            ("git --git-dir .git show", Kind::Looks),
            ("git stash list", Kind::Looks),
            ("git remote -v", Kind::Looks),
            ("git remote", Kind::Looks),
            ("git remote add o x", Kind::Looks),
            ("git merge-tree a b", Kind::Looks),
            ("git submodule status", Kind::Looks),
            ("git diff --submodule", Kind::Other),
            ("git diff --submodule=diff", Kind::Other),
            ("git diff --submodule=log", Kind::Looks),
            ("git stash", Kind::Other),
            ("git commit -m x", Kind::Other),
            ("git unknown", Kind::Other),
            ("git", Kind::Other),
            ("git archive HEAD", Kind::Other),
            ("git archive --remote=x HEAD", Kind::Remote),
            ("git fetch", Kind::Remote),
            ("env git push", Kind::Remote),
            ("git remote -v show o", Kind::Remote),
            ("git remote update", Kind::Remote),
            ("git remote add -f o x", Kind::Remote),
            ("git submodule update --init", Kind::Remote),
            ("git-ls-remote x", Kind::Remote),
            ("git remote-ext x y", Kind::Remote),
        ] {
            let found = commands(&analyse(line, Dialect::Bash));
            assert_eq!(found.iter().map(|command| command.kind).collect::<Vec<_>>(), [expected], "{line}");
        }
    }

    #[test]
    fn what_unpacks_files_is_known() {
        for (line, expected) in [("tar xf a && git diff", true), ("tar -C x -xf a", true), ("unzip a", true), ("tar -czf a src", false)] {
            assert_eq!(unpacks(&analyse(line, Dialect::Bash)), expected, "{line}");
        }
    }

    #[test]
    fn lines_are_told_apart() {
        for (line, expected) in [
            ("ls", Use::None),
            ("cargo build", Use::None),
            ("cd x && git log -1 | cat", Use::Looks),
            ("git status && git commit -m x", Use::Changes),
            ("'", Use::Changes),
        ] {
            let analysis = analyse(line, Dialect::Bash);
            assert_eq!(usage(&analysis, &commands(&analysis)), expected, "{line}");
        }
    }
}
