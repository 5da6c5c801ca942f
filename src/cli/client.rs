//! The connection of commands to the daemon, their errors, and exit codes.

use std::process::ExitCode;

use polytree_protocol::method::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    cli::render::style::error_lines,
    jsonrpc::peer::{self, ErrorObject, Notification, Peer},
};

/// The exit of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// Failed; the reason was printed.
    Failed,
    /// A usage error.
    Usage,
    /// The daemon cannot be reached or is not available.
    Unavailable,
    /// A permission was refused.
    Refused,
    Interrupted,
}

impl Exit {
    /// The exit code.
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
    /// A usage error.
    #[error("{0}")]
    Usage(String),
    /// The daemon returned an error.
    #[error("{0}")]
    Refused(ErrorObject),
    /// There is no daemon; with a hint.
    #[error("{0}")]
    Unavailable(String, Option<String>),
    /// The daemon has disconnected.
    #[error("the connection to the daemon was lost")]
    Closed,
    /// The daemon's answer has another shape.
    #[error("the daemon answered in a way that this version does not understand: {0}")]
    Shape(serde_json::Error),
    /// Another error, with a hint.
    #[error("{0}")]
    Failed(String, Option<String>),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// The user has interrupted it.
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
    /// The exit code of the process.
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

    /// The hint, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Failure::Refused(error) => error.hint(),
            Failure::Failed(_, hint) | Failure::Unavailable(_, hint) => hint.as_deref(),
            Failure::Shape(_) => Some("the daemon may be of another version: stop it and try again"),
            _ => None,
        }
    }

    /// Whether the reader of the output has closed it.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The lines for the user.
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

/// A position in a settings file.
fn position(data: Option<&Value>) -> Option<(&str, String)> {
    let data = data?;
    let file = data.get("file")?.as_str()?;
    let numbers = ["line", "column"].map(|name| data.get(name).and_then(Value::as_u64));
    let place = numbers.iter().map_while(|number| *number).fold(file.to_owned(), |place, number| format!("{place}:{number}"));
    Some((file, place))
}

/// The connection of a command to the daemon.
pub struct Daemon {
    /// For calls.
    pub peer: Peer,
    /// The daemon's notifications.
    pub notifications: mpsc::UnboundedReceiver<Notification>,
}

impl Daemon {
    /// Calls a method.
    ///
    /// # Errors
    /// The daemon's error, or the end of the connection.
    pub async fn request<M: Method>(&self, params: &M::Params) -> Result<M::Result, Failure> {
        Ok(self.peer.request::<M>(params).await?)
    }
}
