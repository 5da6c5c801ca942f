//! Runs the git program in a hardened way: no setting of a repository can make it run a program, use the network, take
//! a lock or wait for input. Filters are disabled by name, since git has no other way; everything else by settings that
//! override the repository's.
//!
//! Such commands are safe in repositories of other owners too, so git's ownership check is disabled: it exists because
//! settings can name programs, and here none of them is run.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use tokio::process::Command;

use super::{Error, path::os_string};
use crate::stdx::{paths::AbsPath, process};

/// The timeout of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);
/// The timeout of a command that reads ignore files; git would wait for ever for one that is a pipe.
const IGNORE_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a command that reads a few small files.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(5);
/// Files that every git command reads. git would wait for ever for one that is a pipe.
const ALWAYS_READ: [&str; 8] =
    ["HEAD", "config.worktree", "index", "info/attributes", "info/exclude", "objects/info/alternates", "packed-refs", "shallow"];
/// The size limit of git's output.
const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// Settings that prevent a repository from making git run programs. They suit a user's own git commands too. Filters,
/// which have arbitrary names, are disabled by [`filter_settings`].
pub const NO_REPOSITORY_PROGRAMS: [(&str, &str); 4] =
    [("core.fsmonitor", "false"), ("core.hooksPath", "/dev/null"), ("diff.external", ""), ("safe.bareRepository", "explicit")];

/// Further settings for the commands run here, which only read and need nothing outside the repository.
const READ_ONLY: [(&str, &str); 9] = [
    ("core.preloadIndex", "true"),
    ("core.pager", ""),
    ("core.sshCommand", "false"),
    ("credential.helper", ""),
    ("diff.suppressBlankEmpty", "false"),
    ("diff.interHunkContext", "0"),
    ("protocol.allow", "never"),
    ("safe.directory", "*"),
    ("submodule.recurse", "false"),
];

/// Variables that locate git and the user's settings. All others would redirect git or change its output.
const KEPT_VARIABLES: [&str; 4] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"];

/// The pathspec magic for a literal path relative to the root of the checkout.
pub const TOP: &[u8] = b":(top,literal)";

/// The environment variables that pass settings to git. They override settings in files and in variables with lower
/// numbers; `first` is the number of settings that the environment contains already.
pub fn setting_variables<K: AsRef<OsStr>, V: AsRef<OsStr>>(
    first: usize,
    settings: impl IntoIterator<Item = (K, V)>,
) -> Vec<(OsString, OsString)> {
    let mut variables = Vec::new();
    let mut count = first;
    for (key, value) in settings {
        variables.push((format!("GIT_CONFIG_KEY_{count}").into(), key.as_ref().to_owned()));
        variables.push((format!("GIT_CONFIG_VALUE_{count}").into(), value.as_ref().to_owned()));
        count += 1;
    }
    variables.push(("GIT_CONFIG_COUNT".into(), count.to_string().into()));
    variables
}

/// The settings that disable a filter.
pub fn filter_settings(name: &OsStr) -> [(OsString, &'static str); 4] {
    [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")].map(|(variable, value)| {
        let mut key = OsString::from("filter.");
        key.push(name);
        key.push(".");
        key.push(variable);
        (key, value)
    })
}

/// A hardened git command in a directory. Filters are not disabled: see [`filter_settings`].
pub fn command(program: impl AsRef<OsStr>, directory: &AbsPath) -> Command {
    let mut command = process::command(program, directory);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GIT_") && !KEPT_VARIABLES.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command.envs(setting_variables(0, NO_REPOSITORY_PROGRAMS.into_iter().chain(READ_ONLY)));
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "").env("GIT_LITERAL_PATHSPECS", "0");
    command
}

/// The git program in a directory.
#[derive(Debug, Clone)]
pub struct Git {
    directory: AbsPath,
    filters: Vec<OsString>,
    tree: Option<WorkTree>,
    index: Option<PathBuf>,
}

/// The paths of a checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    pub top: AbsPath,
    /// The index file, which may not exist.
    pub index: AbsPath,
}

/// Fails if one of the files that git always reads is a pipe, a socket or a device.
fn refuse_pipes(git_dir: &AbsPath) -> Result<(), Error> {
    for name in ALWAYS_READ {
        let path = git_dir.join(name);
        if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Err(Error::NotAFile(path));
        }
    }
    Ok(())
}

#[derive(Debug)]
pub enum Answer {
    /// Status 0, with the standard output.
    Yes(Vec<u8>),
    /// Status 1, which means "no" or "none".
    No,
    /// Another status, with git's message.
    Failed(String),
}

impl Answer {
    /// The standard output; empty for status 1.
    pub fn text(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Yes(text) => Ok(text),
            Self::No => Ok(Vec::new()),
            Self::Failed(message) => Err(Error::Failed(message)),
        }
    }
}

impl Git {
    /// Git in any directory, for commands that read no file of a work tree: filters are not disabled.
    pub fn new(directory: &AbsPath) -> Self {
        Self { directory: directory.clone(), filters: Vec::new(), tree: None, index: None }
    }

    /// Git in a directory of a work tree; `None` elsewhere. Finds all configured filters and disables them.
    ///
    /// # Errors
    /// When git cannot be started, times out, or would wait for a pipe.
    pub async fn in_work_tree(directory: &AbsPath) -> Result<Option<Self>, Error> {
        let mut git = Self::new(directory);
        // The work tree may be configured to be elsewhere; then git answers false.
        let location =
            git.ask_briefly(&["rev-parse", "--is-inside-work-tree", "--show-object-format", "--show-toplevel", "--git-path", "index"]);
        let keys = git.ask_briefly(&["config", "--list", "--name-only", "-z"]);
        let (location, keys) = futures::future::try_join(location, keys).await?;
        if matches!(&location, Answer::Failed(message) if is_no_work_tree(message)) {
            return Ok(None);
        }
        let location = location.text()?;
        let lines: Vec<&[u8]> = location.trim_ascii_end().split(|byte| *byte == b'\n').collect();
        if lines.first().is_none_or(|line| line.trim_ascii() != b"true") {
            return Ok(None);
        }
        // A line break in a name gives more lines; then `tree` stays `None`, which is only slower.
        if let [_, b"sha1", top, index] = lines[..] {
            let index = directory.join(os_string(index));
            if let Some(git_dir) = index.parent() {
                refuse_pipes(&git_dir)?;
            }
            git.tree = AbsPath::new(os_string(top)).map(|top| WorkTree { top, index });
        }
        let keys = keys.text()?;
        // With case-insensitive names only git knows what it tracks.
        if keys.split(|byte| *byte == 0).any(|key| key.eq_ignore_ascii_case(b"core.ignorecase")) {
            git.tree = None;
        }
        git.filters = filter_names(&keys).into_iter().map(|name| os_string(&name)).collect();
        Ok(Some(git))
    }

    /// The paths of the checkout, if its index can be parsed here.
    pub fn tree(&self) -> Option<&WorkTree> {
        self.tree.as_ref()
    }

    /// The same git with another index file, and without preloading.
    pub fn with_index(&self, index: &Path) -> Self {
        Self { index: Some(index.to_owned()), ..self.clone() }
    }

    /// Runs a command.
    ///
    /// # Errors
    /// When git cannot be started, times out, or prints too much.
    pub async fn ask(&self, args: &[impl AsRef<OsStr>]) -> Result<Answer, Error> {
        self.ask_within(COMMAND_TIMEOUT, args, Vec::new()).await
    }

    /// Runs a command that reads a few small files.
    pub async fn ask_briefly(&self, args: &[impl AsRef<OsStr>]) -> Result<Answer, Error> {
        self.ask_within(BRIEF_TIMEOUT, args, Vec::new()).await
    }

    /// Runs a command that reads ignore files, with `input` on standard input.
    pub async fn ask_ignore(&self, args: &[impl AsRef<OsStr>], input: Vec<u8>) -> Result<Answer, Error> {
        self.ask_within(IGNORE_TIMEOUT, args, input).await
    }

    /// The content of a blob.
    ///
    /// # Errors
    /// As [`Git::ask`], and when there is no such blob.
    pub async fn blob(&self, id: &[u8]) -> Result<Vec<u8>, Error> {
        self.ask(&[OsString::from("cat-file"), OsString::from("blob"), os_string(id)]).await?.text()
    }

    async fn ask_within(&self, timeout: Duration, args: &[impl AsRef<OsStr>], input: Vec<u8>) -> Result<Answer, Error> {
        let mut command = self.command();
        command.args(args);
        let run = tokio::time::timeout(timeout, process::exchange(command, input, MAX_OUTPUT_BYTES));
        let output = run.await.map_err(|_| Error::Timeout(timeout.as_secs()))?.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Error::TooLong { limit: MAX_OUTPUT_BYTES as u64 },
            _ => Error::NoProgram(error),
        })?;
        Ok(answer(output))
    }

    fn command(&self) -> Command {
        let mut command = command("git", &self.directory);
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        let filters = self.filters.iter().flat_map(|name| filter_settings(name));
        let preload = self.index.is_some().then(|| (OsString::from("core.preloadIndex"), "false"));
        command.envs(setting_variables(NO_REPOSITORY_PROGRAMS.len() + READ_ONLY.len(), filters.chain(preload)));
        command
    }
}

/// Whether the message (in English, by `LC_ALL`) means that there is no work tree. A bare repository inside a work tree
/// is not trusted and counts as none.
fn is_no_work_tree(message: &str) -> bool {
    ["not a git repository", "must be run in a work tree", "safe.bareRepository"].iter().any(|text| message.contains(text))
}

/// Whether the message means that an object is missing in a partial clone and would have to be fetched.
pub fn is_missing_object(message: &str) -> bool {
    message.contains("promisor")
}

fn answer(output: Output) -> Answer {
    match output.status.code() {
        Some(0) => Answer::Yes(output.stdout),
        Some(1) => Answer::No,
        _ => {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Answer::Failed(if message.is_empty() { output.status.to_string() } else { message })
        }
    }
}

/// The names in the keys `filter.NAME.variable`, which are separated by NUL.
fn filter_names(keys: &[u8]) -> BTreeSet<Vec<u8>> {
    let name = |key: &[u8]| {
        let rest = key.strip_prefix(b"filter.")?;
        let end = rest.iter().rposition(|byte| *byte == b'.')?;
        Some(rest[..end].to_owned())
    };
    keys.split(|byte| *byte == 0).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_found_with_any_name() {
        let names = filter_names(b"core.bare\0filter.a.clean\0filter.a.smudge\0filter.x.y=\"\n.process\0filter.broken\0filterx.b.clean\0");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [b"a".to_vec(), b"x.y=\"\n".to_vec()]);
    }
}
