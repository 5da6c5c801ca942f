//! The git program, run in one hardened way: no setting that came with a repository can make it run a program, reach the
//! network, take a lock or wait for a person. Filters are switched off by their names, since git knows no other way;
//! everything else by settings that count more than the repository's.
//!
//! A question asked in this way is safe in repositories of other owners too, so git's guard against them is switched off:
//! it exists because settings name programs, and here they start none.

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

/// The timeout of a question.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The timeout of a question for which git reads ignore files: it would wait for ever for one that is a pipe.
const IGNORE_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a question about a few small files.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(5);
/// Files that git reads whatever it is asked. It would wait for ever for one that is a pipe.
const ALWAYS_READ: [&str; 8] =
    ["HEAD", "config.worktree", "index", "info/attributes", "info/exclude", "objects/info/alternates", "packed-refs", "shallow"];
/// The size limit of an answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Settings that keep a repository from naming programs for git to run. They fit for a person's own git commands too;
/// filters, which have names of their own, are added by [`filter_settings`].
pub const NO_REPOSITORY_PROGRAMS: [(&str, &str); 4] =
    [("core.fsmonitor", "false"), ("core.hooksPath", "/dev/null"), ("diff.external", ""), ("safe.bareRepository", "explicit")];

/// Further settings of the questions asked here, which only read and need nothing outside the repository.
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

/// Variables of git that say where the user's own settings are; all others point it elsewhere or make it print more.
const KEPT: [&str; 4] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"];

/// What makes a path a name from the top of the checkout without special characters.
pub const TOP: &[u8] = b":(top,literal)";

/// The variables that give git these settings. They count more than settings in files and than those given by variables
/// with lower numbers; `first` is the number of settings that the environment gives already.
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

/// The settings that switch a filter off.
#[must_use]
pub fn filter_settings(name: &OsStr) -> [(OsString, &'static str); 4] {
    [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")].map(|(variable, value)| {
        let mut key = OsString::from("filter.");
        key.push(name);
        key.push(".");
        key.push(variable);
        (key, value)
    })
}

/// A git program that runs in a directory, hardened but for filters: see [`filter_settings`].
#[must_use]
pub fn command(program: impl AsRef<OsStr>, directory: &AbsPath) -> Command {
    let mut command = process::command(program, directory);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GIT_") && !KEPT.contains(&text.as_ref()) {
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
    git_dir: Option<AbsPath>,
    filters: Vec<OsString>,
    tree: Option<WorkTree>,
    index: Option<PathBuf>,
}

/// Where the parts of a checkout are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// Its top.
    pub top: AbsPath,
    /// Its index file, which may not be there.
    pub index: AbsPath,
}

/// Fails where a file that git reads is no file.
fn refuse_pipes(git_dir: &AbsPath) -> Result<(), Error> {
    for name in ALWAYS_READ {
        let path = git_dir.join(name);
        if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Err(Error::NotAFile(path));
        }
    }
    Ok(())
}

/// How git answered.
#[derive(Debug)]
pub enum Answer {
    /// With status 0, and this on standard output.
    Yes(Vec<u8>),
    /// With status 1, which for questions means no.
    No,
    /// With an error, in its words.
    Failed(String),
}

impl Answer {
    /// What git printed.
    ///
    /// # Errors
    /// When it failed.
    pub fn text(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Yes(text) => Ok(text),
            Self::No => Ok(Vec::new()),
            Self::Failed(message) => Err(Error::Failed(message)),
        }
    }
}

impl Git {
    /// Git in any directory, for what makes it look at no file of a work tree: filters are not switched off.
    #[must_use]
    pub fn new(directory: &AbsPath) -> Self {
        Self { directory: directory.clone(), git_dir: None, filters: Vec::new(), tree: None, index: None }
    }

    /// The same for the repository with this git directory, wherever the directory is.
    #[must_use]
    pub fn of_repository(directory: &AbsPath, git_dir: &AbsPath) -> Self {
        Self { git_dir: Some(git_dir.clone()), ..Self::new(directory) }
    }

    /// Git in a directory of a work tree; `None` elsewhere. Looks which filters the settings name, so that none of them
    /// is run.
    ///
    /// # Errors
    /// When git cannot be started, does not answer, or would wait for a pipe.
    pub async fn in_work_tree(directory: &AbsPath) -> Result<Option<Self>, Error> {
        let mut git = Self::new(directory);
        // A setting may place the work tree elsewhere; git answers false where the directory is not in it.
        let place =
            git.ask_briefly(&["rev-parse", "--is-inside-work-tree", "--show-object-format", "--show-toplevel", "--git-path", "index"]);
        let keys = git.ask_briefly(&["config", "--list", "--name-only", "-z"]);
        let (place, keys) = futures::future::try_join(place, keys).await?;
        if matches!(&place, Answer::Failed(message) if is_no_work_tree(message)) {
            return Ok(None);
        }
        let place = place.text()?;
        let lines: Vec<&[u8]> = place.trim_ascii_end().split(|byte| *byte == b'\n').collect();
        if lines.first().is_none_or(|line| line.trim_ascii() != b"true") {
            return Ok(None);
        }
        // A line end in a name makes more lines; then nothing is known, and nothing needs it.
        if let [_, b"sha1", top, index] = lines[..] {
            let index = directory.join(os_string(index));
            if let Some(git_dir) = index.parent() {
                refuse_pipes(&git_dir)?;
            }
            git.tree = AbsPath::new(os_string(top)).map(|top| WorkTree { top, index });
        }
        let keys = keys.text()?;
        // Where git takes names that differ in case for the same one, it alone knows what it tracks.
        if keys.split(|byte| *byte == 0).any(|key| key.eq_ignore_ascii_case(b"core.ignorecase")) {
            git.tree = None;
        }
        git.filters = filter_names(&keys).into_iter().map(|name| os_string(&name)).collect();
        Ok(Some(git))
    }

    /// Where the checkout is, if its index is of the common kind.
    #[must_use]
    pub fn tree(&self) -> Option<&WorkTree> {
        self.tree.as_ref()
    }

    /// The same git with another index, in which it looks at no file but those that it must.
    #[must_use]
    pub fn with_index(&self, index: &Path) -> Self {
        Self { index: Some(index.to_owned()), ..self.clone() }
    }

    /// Asks git.
    ///
    /// # Errors
    /// When it cannot be started, does not answer in time, or prints too much.
    pub async fn ask(&self, args: &[impl AsRef<OsStr>]) -> Result<Answer, Error> {
        self.ask_within(TIMEOUT, args, Vec::new()).await
    }

    /// Asks git about a few small files.
    ///
    /// # Errors
    /// As [`Git::ask`].
    pub async fn ask_briefly(&self, args: &[impl AsRef<OsStr>]) -> Result<Answer, Error> {
        self.ask_within(BRIEF_TIMEOUT, args, Vec::new()).await
    }

    /// Asks git a question for which it reads ignore files, with `input` to read.
    ///
    /// # Errors
    /// As [`Git::ask`].
    pub async fn ask_ignore(&self, args: &[impl AsRef<OsStr>], input: Vec<u8>) -> Result<Answer, Error> {
        self.ask_within(IGNORE_TIMEOUT, args, input).await
    }

    /// The content that git keeps under an id.
    ///
    /// # Errors
    /// As [`Git::ask`], and when there is none.
    pub async fn blob(&self, id: &[u8]) -> Result<Vec<u8>, Error> {
        self.ask(&[OsString::from("cat-file"), OsString::from("blob"), os_string(id)]).await?.text()
    }

    async fn ask_within(&self, timeout: Duration, args: &[impl AsRef<OsStr>], input: Vec<u8>) -> Result<Answer, Error> {
        let mut command = self.command();
        command.args(args);
        let run = tokio::time::timeout(timeout, process::exchange(command, input, MAX_ANSWER_BYTES));
        let output = run.await.map_err(|_| Error::Timeout(timeout.as_secs()))?.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Error::TooLong { limit: MAX_ANSWER_BYTES as u64 },
            _ => Error::NoProgram(error),
        })?;
        Ok(answer(output))
    }

    fn command(&self) -> Command {
        let mut command = command("git", &self.directory);
        if let Some(git_dir) = &self.git_dir {
            command.env("GIT_DIR", git_dir.as_path());
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        let filters = self.filters.iter().flat_map(|name| filter_settings(name));
        let preload = self.index.is_some().then(|| (OsString::from("core.preloadIndex"), "false"));
        command.envs(setting_variables(NO_REPOSITORY_PROGRAMS.len() + READ_ONLY.len(), filters.chain(preload)));
        command
    }
}

/// Whether git says that there is no work tree here. It speaks English here. A bare repository that somebody put into a
/// directory is none of ours.
fn is_no_work_tree(message: &str) -> bool {
    ["not a git repository", "must be run in a work tree", "safe.bareRepository"].iter().any(|text| message.contains(text))
}

/// Whether git says that a content is elsewhere and would have to be fetched.
#[must_use]
pub fn is_promised(message: &str) -> bool {
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

/// The names in `filter.NAME.variable` of keys that end with NUL.
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
    fn filters_are_found_by_any_name() {
        let names = filter_names(b"core.bare\0filter.a.clean\0filter.a.smudge\0filter.x.y=\"\n.process\0filter.broken\0filterx.b.clean\0");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [b"a".to_vec(), b"x.y=\"\n".to_vec()]);
    }
}
