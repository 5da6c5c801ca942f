//! Every feature's error as the contract has it: the one place that knows which is which.

use polytree_protocol::errors::ErrorKind;

use super::error::Error;
use crate::{config, daemon::listeners, event, permission, project, session, storage};

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        if error.is_unavailable() {
            return Error::unavailable(error.to_string()).retry_after(1000).hint("check the disk and the data directory").caused_by(error);
        }
        Error::internal(error)
    }
}

impl From<event::Error> for Error {
    fn from(error: event::Error) -> Self {
        match error {
            event::Error::CursorExpired { cursor, oldest } => Error::new(ErrorKind::CursorExpired, error.to_string()).with(|data| {
                data.cursor = Some(cursor);
                data.oldest = Some(oldest);
            }),
            event::Error::Ended => Error::unavailable(error.to_string()).retry_after(1000),
            event::Error::Storage(error) => error.into(),
        }
    }
}

impl From<permission::Error> for Error {
    fn from(error: permission::Error) -> Self {
        match error {
            permission::Error::NotFound(_) => Error::new(ErrorKind::NotFound, error.to_string()),
            permission::Error::Answered(_) => Error::conflict(error.to_string()),
            permission::Error::Storage(error) => error.into(),
        }
    }
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        let (file, position) = (error.file().map(str::to_owned), error.position());
        Error::new(ErrorKind::Config, error.to_string()).with(|data| {
            data.file = file;
            data.line = position.map(|(line, _)| line);
            data.column = position.map(|(_, column)| column);
        })
    }
}

impl From<project::directory::Error> for Error {
    fn from(error: project::directory::Error) -> Self {
        use project::directory::Error as E;
        match &error {
            E::NotAbsolute { .. } => Error::invalid_params(format!("`directory`: {error}")),
            E::Missing { given, .. } | E::NotADirectory { given } | E::NotText { given } => {
                let given = given.clone();
                Error::new(ErrorKind::NotFound, error.to_string()).with(|data| data.directory = Some(given))
            }
        }
    }
}

impl From<project::Error> for Error {
    fn from(error: project::Error) -> Self {
        match error {
            project::Error::UnknownProject(id) => Error::not_found("project", id),
            project::Error::Config(error) => error.into(),
            project::Error::Storage(error) => error.into(),
            project::Error::Git(error) => Error::new(ErrorKind::InvalidState, error.to_string()).caused_by(error),
            project::Error::Directory(message) => Error::new(ErrorKind::NotFound, message),
        }
    }
}

impl From<session::Error> for Error {
    fn from(error: session::Error) -> Self {
        use session::Error as E;
        let text = error.to_string();
        match error {
            E::UnknownSession(_) | E::UnknownMessage(_) => Error::new(ErrorKind::NotFound, text),
            E::UnknownAgent { .. } => Error::new(ErrorKind::NotFound, text).hint("agent.list names them"),
            E::UnknownModel { hint, .. } => with_hint(Error::new(ErrorKind::NotFound, text), hint),
            E::Credentials { hint, .. } => with_hint(Error::new(ErrorKind::Credentials, text), hint),
            E::Conflict(_) => Error::conflict(text),
            E::DirectoryGone(directory) => Error::new(ErrorKind::NotFound, text).with(|data| data.directory = Some(directory)),
            E::Input(_) => Error::invalid_params(format!("`parts`: {text}")),
            E::Params { .. } => Error::invalid_params(text),
            E::Recording(_) => Error::new(ErrorKind::InvalidState, text),
            E::TooLarge { what, limit } => Error::too_large(&what, limit),
            E::QueueFull => Error::overloaded(text, session::MOST_QUEUED as u64),
            E::Closing => Error::unavailable(text).retry_after(1000),
            E::Config(error) => error.into(),
            E::Event(error) => error.into(),
            E::Permission(error) => error.into(),
            E::Storage(error) => error.into(),
        }
    }
}

impl From<listeners::Error> for Error {
    fn from(error: listeners::Error) -> Self {
        let kind = match error {
            listeners::Error::Invalid { .. } => ErrorKind::InvalidParams,
            listeners::Error::Conflict { .. } => ErrorKind::Conflict,
            listeners::Error::Unavailable { .. } => ErrorKind::Unavailable,
        };
        with_hint(Error::new(kind, error.to_string()), error.hint().map(str::to_owned))
    }
}

fn with_hint(error: Error, hint: Option<String>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
