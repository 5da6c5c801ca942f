//! Every feature's error as the contract has it: the one place that knows which is which.

use polytree_protocol::errors::ErrorKind;

use crate::{
    config,
    daemon::listeners,
    event, file,
    find::{self, symbols},
    git, overlay, permission, project,
    provider::{FetchError, KeyStoreError},
    rpc::error::Error,
    session,
    stdx::process::descriptors,
    store,
};

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if let store::Error::TooMuch { limit } = error {
            return Error::too_large(&error.to_string(), limit).hint("search in one project or directory with `scope`");
        }
        if error.is_unavailable() {
            let hint = error.hint();
            return with_hint(Error::unavailable(error.to_string()).retry_after(1000), hint).caused_by(error);
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
            permission::Error::NotOffered(_) => Error::invalid_params(error.to_string())
                .hint("`always` of the question lists what can be granted; a pattern may be narrower than one of those"),
            permission::Error::Storage(error) => error.into(),
        }
    }
}

impl From<permission::InquiryError> for Error {
    fn from(error: permission::InquiryError) -> Self {
        match error {
            permission::InquiryError::NotFound(_) => Error::new(ErrorKind::NotFound, error.to_string()),
            permission::InquiryError::Answered(_) => Error::conflict(error.to_string()),
            permission::InquiryError::Storage(error) => error.into(),
        }
    }
}

impl From<symbols::Error> for Error {
    fn from(error: symbols::Error) -> Self {
        match error {
            symbols::Error::Failed(_) => Error::internal(error),
            symbols::Error::Ended => Error::unavailable(error.to_string()).retry_after(1000),
        }
    }
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        if descriptors::are_exhausted(&error) {
            return out_of_descriptors(error);
        }
        let text = error.to_string();
        invalid_settings(&error, text)
    }
}

/// With the place of the mistake.
fn invalid_settings(error: &config::Error, text: String) -> Error {
    let (file, position) = (error.file().map(str::to_owned), error.position());
    Error::new(ErrorKind::Config, text).with(|data| {
        data.file = file;
        data.line = position.map(|(line, _)| line);
        data.column = position.map(|(_, column)| column);
    })
}

impl From<find::Error> for Error {
    fn from(error: find::Error) -> Self {
        let text = error.to_string();
        match error {
            find::Error::Query(_) => Error::invalid_params(text),
            find::Error::Unreadable { directory, .. } => {
                Error::new(ErrorKind::NotFound, text).with(|data| data.directory = Some(directory.to_string()))
            }
        }
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
            project::Error::Changed => Error::conflict(error.to_string()).hint("look at `config.sources` again, and send its new digest"),
            project::Error::Config(error) => error.into(),
            project::Error::Storage(error) => error.into(),
            project::Error::Keys(error) => error.into(),
            project::Error::Catalog(error) => error.into(),
            project::Error::Git(error) => error.into(),
            project::Error::Unseen { ref source, .. } if descriptors::is_exhaustion(source) => out_of_descriptors(error),
            project::Error::Unseen { .. } | project::Error::Directory(_) => Error::new(ErrorKind::NotFound, error.to_string()),
        }
    }
}

impl From<KeyStoreError> for Error {
    fn from(error: KeyStoreError) -> Self {
        let text = error.to_string();
        match error {
            KeyStoreError::Invalid(_) => Error::invalid_params(text),
            // No cause for the log: what the parser says could show a part of a key, what the system says stands in the text.
            KeyStoreError::File { .. } => Error::unavailable(text).hint("check the disk and who owns the file"),
            KeyStoreError::Content { .. } | KeyStoreError::None => Error::invalid_state(text),
        }
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        use FetchError as E;
        let text = error.to_string();
        match error {
            E::Address(_) => Error::invalid_state(text).hint("it is `models_url` in your settings, or POLYTREE_MODELS_URL"),
            E::Service { .. } | E::Content { .. } => {
                Error::new(ErrorKind::Provider, text).hint("the catalogue that counted before still does")
            }
            E::File { .. } => Error::unavailable(text).retry_after(1000).hint("check the disk and the data directory"),
            E::None => Error::invalid_state(text),
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
            E::UnknownCommand { .. } => Error::new(ErrorKind::NotFound, text).hint("command.list names them"),
            E::BrokenCommand { error, .. } => invalid_settings(&error, text).hint("correct the file; other commands work"),
            E::BrokenAgent { error, .. } => invalid_settings(&error, text).hint("correct the file; other agents work"),
            E::UnknownModel { hint, .. } => with_hint(Error::new(ErrorKind::NotFound, text), hint),
            E::Credentials { hint, .. } => with_hint(Error::new(ErrorKind::Credentials, text), hint),
            E::Conflict(_) => Error::conflict(text),
            E::Unseen { ref source, .. } if descriptors::is_exhaustion(source) => out_of_descriptors(error),
            E::Unseen { ref directory, .. } => {
                Error::new(ErrorKind::NotFound, text).with(|data| data.directory = Some(directory.to_string()))
            }
            E::DirectoryGone(directory) => Error::new(ErrorKind::NotFound, text).with(|data| data.directory = Some(directory)),
            E::Input(_) => Error::invalid_params(format!("`parts`: {text}")),
            E::Params { .. } => Error::invalid_params(text),
            E::Recording(_) => Error::new(ErrorKind::InvalidState, text),
            E::TooLarge { what, limit } => Error::too_large(&what, limit),
            E::Busy => Error::busy(text),
            E::UnknownPart(_) | E::UnknownHunk(_) => Error::new(ErrorKind::NotFound, text),
            E::State(_) => Error::invalid_state(text),
            E::Files(files) => Error::conflict(text)
                .with(|data| data.files = Some(files))
                .hint("`partial: true` leaves these files as they are and does the rest"),
            E::Undo(_) => Error::unavailable(text).hint("check the disk and the data directory"),
            E::QueueFull => Error::overloaded(text, session::MAX_QUEUED as u64),
            E::Closing => Error::unavailable(text).retry_after(1000),
            E::Config(error) => error.into(),
            E::Permission(error) => error.into(),
            E::Storage(error) => error.into(),
        }
    }
}

impl From<overlay::Error> for Error {
    fn from(error: overlay::Error) -> Self {
        use overlay::Error as E;
        let text = error.to_string();
        match error {
            E::NotOpen(_) => Error::new(ErrorKind::NotFound, text).hint("announce its text with buffer.open"),
            E::Outdated { version, .. } => Error::conflict(text).with(|data| data.version = Some(version)),
            E::InvalidChange(_) => Error::invalid_params(text).hint("the text is not known any more; announce it again with buffer.open"),
            E::TooLong => Error::too_large(&text, overlay::TEXT_LIMIT as u64),
            E::TooMuch => Error::too_large(&text, overlay::CONNECTION_LIMIT as u64).hint("close files that are not changed"),
            E::TooManyDiagnostics => Error::too_large(&text, overlay::diagnostics::MAX_BYTES as u64),
            E::NoSuchEdit(_) => Error::new(ErrorKind::NotFound, text)
                .hint("it was answered or given up; take the edit back if you have made it, and announce your text as it is"),
            E::NoNewVersion(_) => Error::invalid_params(text),
        }
    }
}

impl From<file::Error> for Error {
    fn from(error: file::Error) -> Self {
        use file::Error as E;
        let text = error.to_string();
        match error {
            E::Path(_) => Error::invalid_params(text),
            E::Outside { .. } => Error::denied(text).hint("give a path in the worktree, or another `directory`"),
            E::NotFound(_) | E::Dangling { .. } => Error::new(ErrorKind::NotFound, text),
            E::Directory(_) => Error::new(ErrorKind::InvalidState, text).hint("file.list lists it"),
            E::NotDirectory(_) => Error::new(ErrorKind::InvalidState, text).hint("file.read reads it"),
            E::Special { .. } => Error::new(ErrorKind::InvalidState, text),
            E::Forbidden(_) => Error::denied(text).hint("its mode or owner does not let the daemon read it"),
            E::Changed(_) => Error::conflict(text).hint("read it again"),
            E::TextUnknown(_) => Error::unavailable(text).retry_after(1000).hint("the editor that holds it was asked for its text"),
            E::TooLarge { what, limit, hint } => Error::too_large(&what, limit).hint(hint),
            E::Git(error) => error.into(),
            E::Io { .. } => Error::unavailable(text).caused_by(error),
            E::Task(_) => Error::internal(error),
        }
    }
}

impl From<git::Error> for Error {
    fn from(error: git::Error) -> Self {
        use git::Error as E;
        let text = error.to_string();
        match error {
            E::NoProgram(_) => Error::unavailable(text).hint("install git, or put it on the PATH of the daemon").caused_by(error),
            E::Failed(_) | E::Timeout(_) => Error::invalid_state(text).hint("`git status` in that directory tells more"),
            E::TooLong { limit } => {
                Error::too_large(&text, limit).hint("ask for a directory further down, or have git ignore what is generated")
            }
            E::NotAFile(_) => Error::invalid_state(text),
            E::Init { .. } => Error::invalid_state(text).caused_by(error),
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

impl From<find::text::Error> for Error {
    fn from(error: find::text::Error) -> Self {
        use find::text::Error as E;
        let text = error.to_string();
        match error {
            E::Syntax { position: (line, column), .. } => Error::invalid_params(format!("`pattern`: {text}"))
                .hint(format!("it goes wrong at line {line}, character {column}; set `fixed` to search for the characters themselves")),
            E::ManyLines(_) => Error::invalid_params(format!("`pattern`: {text}")).hint("set `multiline`"),
            E::Empty | E::TooLong { .. } | E::TooLarge(_) => Error::invalid_params(format!("`pattern`: {text}")),
            E::Glob { field, .. } => Error::invalid_params(format!("`{field}`: {text}")),
            E::UnknownType { .. } => Error::invalid_params(format!("`types`: {text}")),
        }
    }
}

/// Nothing is wrong with what was asked for: others have taken all descriptors, and will give some back.
fn out_of_descriptors(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable(error.to_string())
        .retry_after(1000)
        .hint("too many clients are connected, or the limit of open files is too low: close some, or raise it with `ulimit -n`")
        .caused_by(error)
}

fn with_hint(error: Error, hint: Option<String>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
