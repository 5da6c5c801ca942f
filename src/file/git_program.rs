//! The git program, asked about a repository that is nobody's friend: no setting that came with the repository can make
//! it run a program, reach the network, take a lock or wait for a person. Filters are switched off by their names, since
//! git knows no other way; everything else by settings that count more than the repository's.
//!
//! What is asked here is safe in repositories of other owners too, so git's guard against them is switched off: its
//! reason is that settings name programs, and here they start none.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use tokio::process::Command;

use super::Error;
use crate::stdx::{paths::AbsPath, process};

/// The longest that git may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest that git may take for a question that makes it read ignore files: where one of them, in any directory, is a
/// pipe, it would wait for ever.
const IGNORE_PATIENCE: Duration = Duration::from_secs(10);
/// The longest that git may take to say where a repository is and what its settings are called.
const PLACE_PATIENCE: Duration = Duration::from_secs(5);
/// Files that git reads whatever it is asked. It would wait for whoever writes into a pipe in their place.
const READ_ALWAYS: [&str; 8] =
    ["HEAD", "config.worktree", "index", "info/attributes", "info/exclude", "objects/info/alternates", "packed-refs", "shallow"];
/// git says no more than this at once.
const ANSWER_BYTES: usize = 64 << 20;

/// Settings over all others.
const SETTINGS: [(&str, &str); 12] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.preloadIndex", "true"),
    ("core.pager", ""),
    ("core.sshCommand", "false"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("diff.suppressBlankEmpty", "false"),
    ("diff.interHunkContext", "0"),
    ("protocol.allow", "never"),
    ("safe.directory", "*"),
    ("submodule.recurse", "false"),
];

/// Variables of git that say where the user's own settings are; all others point it elsewhere or make it talk.
const KEPT: [&str; 4] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"];

/// The git program in a directory.
#[derive(Debug)]
pub(super) struct Git {
    directory: AbsPath,
    filters: Vec<OsString>,
    tree: Option<WorkTree>,
    index: Option<PathBuf>,
}

/// Where the parts of a checkout are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkTree {
    /// Its top.
    pub top: AbsPath,
    /// Its index file, which may not be there.
    pub index: AbsPath,
}

/// Fails where a file that git reads is no file.
fn refuse_pipes(git_dir: &AbsPath) -> Result<(), Error> {
    for name in READ_ALWAYS {
        let path = git_dir.join(name);
        if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Err(Error::Special { path: path.to_string(), word: "pipe, socket or device" });
        }
    }
    Ok(())
}

/// How git answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// With status 0.
    Yes(Vec<u8>),
    /// With status 1, which for questions means no.
    No,
    /// With an error, in its words.
    Failed(String),
}

impl Answer {
    /// What git printed.
    pub(super) fn text(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Yes(text) => Ok(text),
            Self::No => Ok(Vec::new()),
            Self::Failed(message) => Err(Error::Git(message)),
        }
    }
}

impl Git {
    /// Git in a directory of a work tree; `None` elsewhere. Looks which filters the settings name, so that none of them
    /// is run.
    pub(super) async fn in_directory(directory: &AbsPath) -> Result<Option<Self>, Error> {
        let mut git = Self::anywhere(directory);
        // A setting may place the work tree elsewhere; git answers false where the directory is not in it.
        let place = git.ask(&["rev-parse", "--is-inside-work-tree", "--show-object-format", "--show-toplevel", "--git-path", "index"]);
        let keys = git.ask(&["config", "--list", "--name-only", "-z"]);
        let late = |_| Error::Slow(PLACE_PATIENCE.as_secs());
        let (place, keys) = tokio::time::timeout(PLACE_PATIENCE, futures::future::try_join(place, keys)).await.map_err(late)??;
        if matches!(&place, Answer::Failed(message) if is_nowhere(message)) {
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

    /// Git in any directory, for questions that run no filters.
    pub(super) fn anywhere(directory: &AbsPath) -> Self {
        Self { directory: directory.clone(), filters: Vec::new(), tree: None, index: None }
    }

    /// Where the checkout is, if its index is of the common kind.
    pub(super) fn tree(&self) -> Option<&WorkTree> {
        self.tree.as_ref()
    }

    /// The same git with another index, in which it looks at no file but those that it must.
    pub(super) fn with_index(&self, index: &Path) -> Self {
        let (directory, filters, tree) = (self.directory.clone(), self.filters.clone(), self.tree.clone());
        Self { directory, filters, tree, index: Some(index.to_owned()) }
    }

    /// Asks git.
    pub(super) async fn ask(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Result<Answer, Error> {
        self.ask_within(PATIENCE, args, Vec::new()).await
    }

    /// Asks git a question that makes it read ignore files, with `input` to read.
    pub(super) async fn ask_ignore(&self, args: &[impl AsRef<std::ffi::OsStr>], input: Vec<u8>) -> Result<Answer, Error> {
        self.ask_within(IGNORE_PATIENCE, args, input).await
    }

    async fn ask_within(&self, limit: Duration, args: &[impl AsRef<std::ffi::OsStr>], input: Vec<u8>) -> Result<Answer, Error> {
        let mut command = self.command();
        command.args(args);
        let run = tokio::time::timeout(limit, process::exchange(command, input, ANSWER_BYTES));
        let output = run.await.map_err(|_| Error::Slow(limit.as_secs()))?.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Error::TooLarge {
                what: format!("git lists more than {} MiB", ANSWER_BYTES >> 20),
                limit: ANSWER_BYTES as u64,
                hint: "ask for a directory further down, or have git ignore what is generated",
            },
            _ => Error::NoGit(error),
        })?;
        Ok(answer(output))
    }

    fn command(&self) -> Command {
        let mut command = process::command("git", &self.directory);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") && !KEPT.contains(&text.as_ref()) {
                command.env_remove(&name);
            }
        }
        let fixed = SETTINGS.iter().map(|&(key, value)| (OsString::from(key), value));
        let filters = self.filters.iter().flat_map(|name| {
            [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")].map(|(variable, value)| {
                let mut key = OsString::from("filter.");
                key.push(name);
                key.push(".");
                key.push(variable);
                (key, value)
            })
        });
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        // Later ones count more.
        let preload = self.index.is_some().then(|| (OsString::from("core.preloadIndex"), "false"));
        let mut count = 0;
        for (key, value) in fixed.chain(filters).chain(preload) {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "").env("GIT_LITERAL_PATHSPECS", "0");
        command
    }
}

/// Whether git says that there is no repository. It speaks English here.
fn is_nowhere(message: &str) -> bool {
    message.contains("not a git repository") || message.contains("must be run in a work tree")
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

/// A name as git tells it, for the system.
#[cfg(unix)]
pub(super) fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(bytes).to_owned()
}

/// A name as git tells it, for the system.
#[cfg(not(unix))]
pub(super) fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// A name of the system, as git takes it.
#[cfg(unix)]
pub(super) fn git_bytes(name: &std::ffi::OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    name.as_bytes().to_owned()
}

/// A name of the system, as git takes it.
#[cfg(not(unix))]
pub(super) fn git_bytes(name: &std::ffi::OsStr) -> Vec<u8> {
    name.to_string_lossy().replace('\\', "/").into_bytes()
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
