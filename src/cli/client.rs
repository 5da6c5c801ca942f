//! The connection to the daemon as commands use it, how a command fails, and with which code the process then exits.

use std::process::ExitCode;

use polytree_protocol::method::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    cli::render::style::error_lines,
    jsonrpc::peer::{self, ErrorObject, Notification, Peer},
};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed; it was told why.
    Failed,
    /// Not understood.
    Usage,
    /// The daemon cannot be reached or does not serve now.
    Unavailable,
    /// A permission was refused.
    Refused,
    /// Interrupted by the user.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 3,
            Exit::Refused => 4,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was typed cannot be done.
    #[error("{0}")]
    Usage(String),
    /// The daemon refused.
    #[error("{0}")]
    Refused(ErrorObject),
    /// No daemon can be had, and what to do about it.
    #[error("{0}")]
    Unavailable(String, Option<String>),
    /// The daemon has gone.
    #[error("the connection to the daemon was lost")]
    Closed,
    /// The daemon speaks otherwise.
    #[error("the daemon answered in a way that this version does not understand: {0}")]
    Shape(serde_json::Error),
    /// Something else, and what to do about it.
    #[error("{0}")]
    Failed(String, Option<String>),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// The user does not want it any more.
    #[error("interrupted")]
    Interrupted,
}

impl From<peer::Error> for Failure {
    fn from(error: peer::Error) -> Self {
        match error {
            peer::Error::Refused(error) => Failure::Refused(error),
            peer::Error::Closed => Failure::Closed,
            peer::Error::Shape(error) => Failure::Shape(error),
        }
    }
}

impl Failure {
    /// With which code the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Usage(_) => Exit::Usage,
            Failure::Refused(error) if error.kind() == Some("unavailable") => Exit::Unavailable,
            Failure::Closed | Failure::Unavailable(..) => Exit::Unavailable,
            Failure::Interrupted => Exit::Interrupted,
            Failure::Refused(_) | Failure::Shape(_) | Failure::Failed(..) | Failure::Output(_) => Exit::Failed,
        }
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Failure::Refused(error) => error.hint(),
            Failure::Failed(_, hint) | Failure::Unavailable(_, hint) => hint.as_deref(),
            Failure::Shape(_) => Some("the daemon may be of another version: stop it and try again"),
            _ => None,
        }
    }

    /// Whether it only means that nobody reads the output any more.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The lines that tell a person about it.
    #[must_use]
    pub fn shown(&self) -> String {
        let place = match self {
            Failure::Refused(error) => {
                position(error.data.as_ref()).filter(|(file, _)| !error.message.contains(file)).map(|(_, place)| place)
            }
            _ => None,
        };
        error_lines(
            &match place {
                Some(place) => format!("{place}: {self}"),
                None => self.to_string(),
            },
            self.hint(),
        )
    }
}

/// A settings file, and the place in it.
fn position(data: Option<&Value>) -> Option<(&str, String)> {
    let data = data?;
    let file = data.get("file")?.as_str()?;
    let numbers = ["line", "column"].map(|name| data.get(name).and_then(Value::as_u64));
    let place = numbers.iter().map_while(|number| *number).fold(file.to_owned(), |place, number| format!("{place}:{number}"));
    Some((file, place))
}

/// The daemon, as one command uses it.
pub struct Daemon {
    /// For calls.
    pub peer: Peer,
    /// What the daemon says by itself.
    pub notifications: mpsc::UnboundedReceiver<Notification>,
}

impl Daemon {
    /// Calls a method of the contract.
    ///
    /// # Errors
    /// What the daemon answers, or the end of the connection.
    pub async fn request<M: Method>(&self, params: &M::Params) -> Result<M::Result, Failure> {
        Ok(self.peer.request::<M>(params).await?)
    }
}
