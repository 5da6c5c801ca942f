//! A daemon that outlives whoever needed it: how it is started, with what, and how it says that it is there.

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

/// How the started process is called.
const ARGUMENTS: [&str; 2] = ["serve", "--detached"];

/// The longest line that a daemon says about its start.
const LINE_LIMIT: u64 = 64 * 1024;

/// Variables that a daemon needs. The variables of its turns are those of the clients that ask for them.
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

/// Beginnings of further names.
const NEEDED_PREFIXES: &[&str] = &["LC_", "POLYTREE_", "XDG_"];

/// Settings as a variable belong to the client that brings them, and may hold keys; recordings are of its own turns.
const NOT_NEEDED: &[&str] = &[
    "POLYTREE_CONFIG_CONTENT",
    "POLYTREE_LOCAL_SERVERS",
    "POLYTREE_MODELS_URL",
    "POLYTREE_RECORD",
    "POLYTREE_REPLAY",
    "POLYTREE_REPLAY_TIMED",
    // A client's mask holds for its turns, not for the daemon.
    umask::VARIABLE,
];

fn is_needed(name: &str) -> bool {
    // On Windows names differ in their letters only.
    let upper = name.to_uppercase();
    let name = if cfg!(windows) { upper.as_str() } else { name };
    !NOT_NEEDED.contains(&name) && (NEEDED.contains(&name) || NEEDED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// What the started process says on its pipe.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// It serves.
    Ready,
    /// Somebody else owns the data directory.
    Owned,
    /// It cannot be.
    Failed { message: String, hint: Option<String> },
}

/// How starting a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    /// It serves.
    Ready,
    /// Somebody else was quicker.
    Owned,
}

/// Starts a daemon and waits until it serves.
pub(super) async fn start(context: &LaunchContext, deadline: Instant) -> Result<Started, Error> {
    let program = std::env::current_exe().map_err(|source| Error::Program { program: "this executable".to_owned(), source })?;
    let program = replaced(program, Path::exists);
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
            BufReader::new(pipe.take(LINE_LIMIT)).read_line(&mut line).await?;
        }
        if line.is_empty() { child.wait().await.map(Some) } else { Ok(None) }
    };
    let ended: io::Result<Option<ExitStatus>> = timeout_at(deadline, said).await.map_err(|_| {
        // It may only be slow, so it is left alone: whoever asks next may find it.
        Error::Wordless { what: "it has not become ready in time".to_owned(), log: log() }
    })?;
    let what = match ended {
        Ok(Some(status)) => format!("it ended with {status}"),
        Err(error) => format!("it cannot be heard: {error}"),
        Ok(None) => match serde_json::from_str(&line) {
            Ok(Word::Ready) => {
                // It has no terminal to say so itself.
                for path in aside::all(store.as_path()).iter().filter(|path| !damaged.contains(path)) {
                    Screen::standard().status(&format!("polytree: {}", aside::notice(path, None)));
                }
                return Ok(Started::Ready);
            }
            Ok(Word::Owned) => return Ok(Started::Owned),
            Ok(Word::Failed { message, hint }) => return Err(Error::Start { message, hint }),
            Err(_) => format!("it said {:?}", line.trim()),
        },
    };
    Err(Error::Wordless { what, log: log() })
}

/// The executable to start for one that runs as `current`: after an upgrade Linux says that the file is deleted, while
/// the new one stands in its place.
fn replaced(current: PathBuf, exists: impl Fn(&Path) -> bool) -> PathBuf {
    let in_place = current.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map(PathBuf::from);
    match in_place {
        Some(path) if !exists(&current) => path,
        _ => current,
    }
}

fn say(word: &Word) {
    detach::say_last(&serde_json::to_string(word).unwrap_or_default());
}

/// Tells whoever started this process that it serves.
pub(super) fn say_ready() {
    say(&Word::Ready);
}

/// Tells whoever started this process why it cannot be a daemon.
pub fn say_failed(error: &Error) {
    match error {
        Error::Daemon(daemon::Error::Owned { .. }) => say(&Word::Owned),
        error => say_cannot(&error.told(), error.hint().as_deref()),
    }
}

/// The same, for what is wrong before a daemon is even tried.
pub fn say_cannot(message: &str, hint: Option<&str>) {
    say(&Word::Failed { message: message.to_owned(), hint: hint.map(ToOwned::to_owned) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_whoever_starts_it_are_not_taken_along() {
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
            replaced(PathBuf::from(current), |path| there.iter().any(|known| known == path)).display().to_string()
        };
        assert_eq!(check("/bin/p", &["/bin/p"]), "/bin/p");
        assert_eq!(check("/bin/p (deleted)", &["/bin/p"]), "/bin/p");
        assert_eq!(check("/bin/p (deleted)", &["/bin/p (deleted)", "/bin/p"]), "/bin/p (deleted)", "that is its name");
        assert_eq!(check("/bin/p (deleted)", &[]), "/bin/p", "the error then names the place");
    }
}
