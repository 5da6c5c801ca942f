//! Starts a detached daemon, which outlives the command that started it, and waits for its report on a pipe.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    time::{Instant, timeout_at},
};

use super::{context::LaunchContext, error::Error};
use crate::{cli::Screen, daemon, stdx::process::detach, store::aside, tool::umask};

/// The arguments of the started process.
const ARGUMENTS: [&str; 2] = ["serve", "--detached"];

/// The size limit of a daemon's report.
const MAX_REPORT_BYTES: u64 = 64 * 1024;

/// Variables that a daemon needs. Turns use the variables of the clients that start them.
const NEEDED: &[&str] = if cfg!(windows) {
    &[
        "APPDATA",
        "COMSPEC",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATH",
        "PATHEXT",
        "PROGRAMDATA",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERDOMAIN",
        "USERNAME",
        "USERPROFILE",
        "WINDIR",
    ]
} else {
    &["HOME", "LANG", "LOGNAME", "PATH", "TMPDIR", "USER"]
};

/// Variables with these prefixes are passed on, too.
const NEEDED_PREFIXES: &[&str] = &["LC_", "POLYTREE_", "XDG_"];

/// Variables of a client that are not passed on: they apply to its own turns, and may contain keys.
const NOT_NEEDED: &[&str] = &[
    "POLYTREE_CONFIG_CONTENT",
    "POLYTREE_LOCAL_SERVERS",
    "POLYTREE_MODELS_URL",
    "POLYTREE_RECORD",
    "POLYTREE_REPLAY",
    "POLYTREE_REPLAY_TIMED",
    // A client's umask applies to its turns, not to the daemon.
    umask::VARIABLE,
];

fn is_needed(name: &str) -> bool {
    // Names are case-insensitive on Windows.
    let upper = name.to_uppercase();
    let name = if cfg!(windows) { upper.as_str() } else { name };
    !NOT_NEEDED.contains(&name) && (NEEDED.contains(&name) || NEEDED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// What the started process reports on its pipe.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Report {
    Ready,
    /// Another process owns the data directory.
    Owned,
    Failed {
        message: String,
        hint: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    Ready,
    /// Another process was faster.
    Owned,
}

/// Starts a daemon and waits until it accepts clients.
pub(super) async fn start(context: &LaunchContext, deadline: Instant) -> Result<Started, Error> {
    let program = std::env::current_exe().map_err(|source| Error::Program { program: "this executable".to_owned(), source })?;
    let program = current_executable(program, Path::exists);
    let environment = context.environment.iter().filter(|(name, _)| is_needed(name)).map(|(name, value)| (name.as_str(), value.as_str()));
    let store = context.places.data.join("polytree.db");
    let damaged = aside::all(store.as_path());
    let mut child = detach::spawn(&program, &ARGUMENTS, environment)
        .map_err(|source| Error::Program { program: program.display().to_string(), source })?;
    tracing::debug!(pid = child.id(), "a daemon was started");
    let log = || context.places.data.join("log");
    let mut line = String::new();
    let said = async {
        if let Some(pipe) = child.stdout.take() {
            BufReader::new(pipe.take(MAX_REPORT_BYTES)).read_line(&mut line).await?;
        }
        if line.is_empty() { child.wait().await.map(Some) } else { Ok(None) }
    };
    let ended: io::Result<Option<ExitStatus>> = timeout_at(deadline, said).await.map_err(|_| {
        // It is not killed: it may be slow, and the next command may find it.
        Error::NoReport { what: "it was not ready in time".to_owned(), log: log() }
    })?;
    let what = match ended {
        Ok(Some(status)) => format!("it exited with {status}"),
        Err(error) => format!("its report cannot be read: {error}"),
        Ok(None) => match serde_json::from_str(&line) {
            Ok(Report::Ready) => {
                // The daemon has no terminal.
                for path in aside::all(store.as_path()).iter().filter(|path| !damaged.contains(path)) {
                    Screen::standard().status(&format!("polytree: {}", aside::notice(path, None)));
                }
                return Ok(Started::Ready);
            }
            Ok(Report::Owned) => return Ok(Started::Owned),
            Ok(Report::Failed { message, hint }) => return Err(Error::Start { message, hint }),
            Err(_) => format!("it reported {:?}", line.trim()),
        },
    };
    Err(Error::NoReport { what, log: log() })
}

/// The executable to start, if this one runs as `current`: after an upgrade Linux reports the path of the running file
/// with the suffix ` (deleted)`, and the new file has the path without it.
fn current_executable(current: PathBuf, exists: impl Fn(&Path) -> bool) -> PathBuf {
    let in_place = current.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map(PathBuf::from);
    match in_place {
        Some(path) if !exists(&current) => path,
        _ => current,
    }
}

fn report(report: &Report) {
    detach::report(&serde_json::to_string(report).unwrap_or_default());
}

/// Reports to the starting process that the daemon accepts clients.
pub(super) fn report_ready() {
    report(&Report::Ready);
}

/// Reports to the starting process why the daemon did not start.
pub fn report_failure(error: &Error) {
    match error {
        Error::Daemon(daemon::Error::Owned { .. }) => report(&Report::Owned),
        error => report_problem(&error.with_causes(), error.hint().as_deref()),
    }
}

/// Reports a problem before the start of the daemon.
pub fn report_problem(message: &str, hint: Option<&str>) {
    report(&Report::Failed { message: message.to_owned(), hint: hint.map(ToOwned::to_owned) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_starting_client_are_not_passed_on() {
        for name in ["PATH", "POLYTREE_DATA_DIR", "XDG_RUNTIME_DIR"] {
            assert!(is_needed(name), "{name}");
        }
        for name in ["ANTHROPIC_API_KEY", "SSH_AUTH_SOCK", "LD_PRELOAD", "PWD", "XDG", "POLYTREE_CONFIG_CONTENT", "POLYTREE_MODELS_URL", ""]
        {
            assert!(!is_needed(name), "{name}");
        }
    }

    #[test]
    fn after_an_upgrade_the_new_executable_is_started() {
        let check = |current: &str, there: &[&str]| {
            let there: Vec<PathBuf> = there.iter().map(PathBuf::from).collect();
            current_executable(PathBuf::from(current), |path| there.iter().any(|known| known == path)).display().to_string()
        };
        assert_eq!(check("/bin/p", &["/bin/p"]), "/bin/p");
        assert_eq!(check("/bin/p (deleted)", &["/bin/p"]), "/bin/p");
        assert_eq!(check("/bin/p (deleted)", &["/bin/p (deleted)", "/bin/p"]), "/bin/p (deleted)", "the suffix is part of its name");
        assert_eq!(check("/bin/p (deleted)", &[]), "/bin/p", "the error then contains the path");
    }
}
