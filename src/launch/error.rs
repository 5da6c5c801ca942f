//! Why there is no daemon, in words for the person who wanted one.

use std::time::Duration;

use crate::{daemon, jsonrpc::peer::ErrorObject, serve::local, stdx::paths::AbsPath, store::Owner};

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not start in this process.
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
    /// It could not listen where clients look for it.
    #[error(transparent)]
    Socket(#[from] local::Error),
    /// The executable that is to become the daemon cannot be started.
    #[error("the daemon cannot be started from {program}")]
    Program {
        /// The executable.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It was started and said why it cannot be.
    #[error("the daemon did not start: {message}")]
    Start {
        /// What it said.
        message: String,
        /// What it advised.
        hint: Option<String>,
    },
    /// It was started, and ended without a word or said nothing in time.
    #[error("the daemon did not start: {what}")]
    Wordless {
        /// What is known.
        what: String,
        /// Where its log is.
        log: AbsPath,
    },
    /// Somebody owns the data directory and does not answer.
    #[error(
        "{} owns the data directory {data} but has not answered for {} seconds",
        owner.as_ref().map_or_else(|| "another process".to_owned(), |owner| format!("process {}", owner.pid)),
        waited.as_secs()
    )]
    Silent {
        /// The data directory.
        data: AbsPath,
        /// Who owns it, where that is known.
        owner: Option<Owner>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// None is started, because the last one was told to stop.
    #[error("the daemon for {data} was told to stop and is not started again by itself")]
    Stopped {
        /// The data directory.
        data: AbsPath,
    },
    /// The owner is no daemon that can be stopped.
    #[error("the data directory {data} is used by process {pid}, which runs its own daemon and ends it itself")]
    Embedded {
        /// The data directory.
        data: AbsPath,
        /// The process.
        pid: u32,
    },
    /// The daemon does not serve this version.
    #[error("{0}")]
    Refused(ErrorObject),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Daemon(error) => error.hint(),
            Self::Start { hint, .. } => hint.clone(),
            Self::Wordless { log, .. } => Some(format!("its log is in {log}")),
            Self::Silent { owner, .. } => {
                let pid = owner.as_ref().map(|owner| owner.pid)?;
                Some(format!("if it hangs, `kill {pid}` ends it, or else `kill -9 {pid}`; nothing that was stored is lost"))
            }
            Self::Embedded { pid, .. } => {
                Some(format!("it was started with --standalone: end the program that uses it, or interrupt its turns with `kill {pid}`"))
            }
            Self::Refused(error) => error.hint().map(ToOwned::to_owned),
            Self::Program { .. } => Some("install polytree again, or run it where it is now".to_owned()),
            Self::Stopped { .. } => Some("the next request starts it again".to_owned()),
            Self::Socket(_) => Some("POLYTREE_RUNTIME_DIR moves the socket".to_owned()),
        }
    }

    /// The error with its causes.
    #[must_use]
    pub fn told(&self) -> String {
        told(self)
    }
}

/// An error with its causes, each said once.
#[must_use]
pub fn told(error: &dyn std::error::Error) -> String {
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
    fn causes_are_told_once() {
        let path = AbsPath::new("/x").unwrap();
        let places = crate::config::places::Error::Directory { path, source: io::Error::other("full") };
        assert_eq!(Error::Daemon(places.into()).told(), "cannot use the directory /x: full");
    }
}
