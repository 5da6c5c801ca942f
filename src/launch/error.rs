//! Why a command has no daemon, as messages for the user.

use std::time::Duration;

use crate::{daemon, jsonrpc::peer::ErrorObject, serve::local, stdx::paths::AbsPath, store::Owner};

/// Why a command has no daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not start in this process.
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
    /// The local socket could not be opened.
    #[error(transparent)]
    Socket(#[from] local::Error),
    /// The daemon's executable cannot be started.
    #[error("the daemon cannot be started from {program}")]
    Program { program: String, source: std::io::Error },
    /// It was started and reported why it failed.
    #[error("the daemon did not start: {message}")]
    Start { message: String, hint: Option<String> },
    /// It was started, and exited without a report or timed out.
    #[error("the daemon did not start: {what}")]
    NoReport { what: String, log: AbsPath },
    /// The owner of the data directory does not answer.
    #[error(
        "{} owns the data directory {data} but has not answered for {} seconds",
        owner.as_ref().map_or_else(|| "another process".to_owned(), |owner| format!("process {}", owner.pid)),
        waited.as_secs()
    )]
    Silent { data: AbsPath, owner: Option<Owner>, waited: Duration },
    /// None is started, because the last one was stopped by `server.stop`.
    #[error("the daemon for {data} was stopped and is not restarted automatically")]
    Stopped { data: AbsPath },
    /// The daemon is part of another process, which alone can stop it.
    #[error("the data directory {data} is used by process {pid}, which runs its own daemon and ends it itself")]
    Embedded { data: AbsPath, pid: u32 },
    /// The daemon refuses this version.
    #[error("{0}")]
    Refused(ErrorObject),
}

impl Error {
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Daemon(error) => error.hint(),
            Self::Start { hint, .. } => hint.clone(),
            Self::NoReport { log, .. } => Some(format!("its log is in {log}")),
            Self::Silent { owner, .. } => {
                let pid = owner.as_ref().map(|owner| owner.pid)?;
                Some(format!("if it hangs, `kill {pid}` ends it, or else `kill -9 {pid}`; stored data is not lost"))
            }
            Self::Embedded { pid, .. } => {
                Some(format!("it was started with --standalone: exit the program that uses it, or interrupt its turns with `kill {pid}`"))
            }
            Self::Refused(error) => error.hint().map(ToOwned::to_owned),
            Self::Program { .. } => Some("install polytree again, or run it from its new path".to_owned()),
            Self::Stopped { .. } => Some("the next request starts it".to_owned()),
            Self::Socket(_) => Some("POLYTREE_RUNTIME_DIR moves the socket".to_owned()),
        }
    }

    /// The error with its causes.
    #[must_use]
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// An error with its causes, each once.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_cause_is_shown_once() {
        let path = AbsPath::new("/x").unwrap();
        let places = crate::config::places::Error::Directory { path, source: io::Error::other("full") };
        assert_eq!(Error::Daemon(places.into()).with_causes(), "cannot use the directory /x: full");
    }
}
