//! Errors of calls: a kind and a code for clients, a message for users, and optionally a hint. The cause is only logged,
//! never sent.

use std::fmt;

use polytree_protocol::errors::{ErrorData, ErrorKind};

/// A failed call.
#[derive(Debug)]
pub struct Error {
    message: String,
    data: Box<ErrorData>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of a handler.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this kind; `message` is a sentence for users without a full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { message: message.into(), data: Box::new(ErrorData::new(kind)), source: None }
    }

    /// The named thing does not exist.
    #[must_use]
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("no such {what}: {id}"))
    }

    /// The params are invalid; the message must name the field.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParams, message)
    }

    /// Not a JSON-RPC 2.0 request.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// Not JSON.
    #[must_use]
    pub fn parse(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ParseError, message)
    }

    /// The session has a running turn.
    #[must_use]
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Busy, message)
    }

    /// It was changed since it was read, is already used, or already answered.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// Not allowed.
    #[must_use]
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, message)
    }

    /// Not possible in the present state.
    #[must_use]
    pub fn invalid_state(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidState, message)
    }

    /// The daemon shuts down, the store is not writable, or another process owns it.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Over a limit, in bytes or items.
    #[must_use]
    pub fn too_large(what: &str, limit: u64) -> Self {
        Self::new(ErrorKind::TooLarge, format!("{what}; the limit is {limit}")).limit(limit)
    }

    /// Too many requests.
    #[must_use]
    pub fn overloaded(message: impl Into<String>, limit: u64) -> Self {
        Self::new(ErrorKind::Overloaded, message).limit(limit).retry_after(1000)
    }

    /// Cancelled by the client, or with the session.
    #[must_use]
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// A directory is required.
    #[must_use]
    pub fn directory_required() -> Self {
        Self::new(ErrorKind::DirectoryRequired, "this method needs a directory and neither the request nor the connection names one")
            .hint("send `directory`, or set a default with `server.initialize`")
    }

    /// The client uses another version of the protocol.
    #[must_use]
    pub fn unsupported_version(given: u32) -> Self {
        let mut error = Self::new(ErrorKind::UnsupportedVersion, format!("protocol version {given} is not supported"));
        error.data.supported = Some(vec![polytree_protocol::PROTOCOL_VERSION]);
        error
    }

    /// A bug in the daemon. The cause is logged, and not sent to the client.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(ErrorKind::Internal, "internal error; the daemon's log has the details");
        error.source = Some(source.into());
        error
    }

    /// What to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }

    /// When to retry, in milliseconds.
    #[must_use]
    pub fn retry_after(mut self, milliseconds: u64) -> Self {
        self.data.retry_after = Some(milliseconds);
        self
    }

    /// The limit that was exceeded.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.data.limit = Some(limit);
        self
    }

    /// The cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Changes the other fields of the data.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut ErrorData)) -> Self {
        change(&mut self.data);
        self
    }

    /// Logs it: a bug as an error, a refusal at level debug.
    pub fn log(&self) {
        if self.kind() == ErrorKind::Internal {
            tracing::error!(cause = self.causes(), "{self}");
        } else {
            tracing::debug!(kind = self.kind().word(), cause = self.causes(), "{self}");
        }
    }

    fn causes(&self) -> String {
        let mut next = std::error::Error::source(self);
        let mut text = Vec::new();
        while let Some(cause) = next {
            text.push(cause.to_string());
            next = cause.source();
        }
        text.join(": ")
    }

    /// The kind, as clients compare it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.data.kind
    }

    /// The message for users.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The `data` on the wire.
    #[must_use]
    pub fn data(&self) -> &ErrorData {
        &self.data
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
