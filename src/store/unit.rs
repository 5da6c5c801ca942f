//! What is committed together: facts, and the events that tell of them.

use polytree_protocol::{
    events::{EventPayload, PartDelta, SessionErrorInfo, SessionStatusInfo},
    message::{Message, MessageError, Tokens},
    part::Part,
    permission::PermissionOutcome,
    provider::ModelRef,
    sandbox::Mode,
    session::SessionStatus,
    todo::Todo,
};

use super::Scope;

/// A list of facts and events that commits as one, all of one scope.
#[derive(Debug, Clone)]
pub struct Unit {
    pub(super) scope: Scope,
    pub(super) changes: Vec<Change>,
}

/// A fact with the event that tells of it, or an event alone.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Message(Message),
    Part(Part),
    /// A part whose text, of so many bytes, stays as it was appended.
    EndedPart(Part, usize),
    Delta(PartDelta),
    Session(SessionChange),
    Todos(Vec<Todo>),
    Withdraw(PermissionOutcome),
    Event(EventPayload),
}

/// How a session is changed. What is not set stays.
#[derive(Debug, Clone, Default)]
pub struct SessionChange {
    /// A new title.
    pub title: Option<String>,
    /// The title only replaces one that begins so.
    pub replaces: Option<&'static str>,
    /// Archives it, or takes that back.
    pub archived: Option<bool>,
    /// How its commands are confined.
    pub mode: Option<Mode>,
    /// The agent and the model of its last prompt.
    pub chosen: Option<(String, ModelRef)>,
    /// What a call has cost and used.
    pub used: Option<(f64, Tokens)>,
    /// Its directory is not there, as whoever asks for the change has seen. Not kept, only told.
    pub missing: bool,
}

impl Unit {
    /// Nothing yet, in this scope.
    #[must_use]
    pub fn new(scope: &Scope) -> Self {
        Self { scope: scope.clone(), changes: Vec::new() }
    }

    fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Stores a message that is no prompt, new or changed.
    #[must_use]
    pub fn message(self, message: Message) -> Self {
        self.with(Change::Message(message))
    }

    /// Stores a part whole.
    #[must_use]
    pub fn part(self, part: Part) -> Self {
        self.with(Change::Part(part))
    }

    /// Stores a part whose text, of so many bytes, stays as it was appended.
    #[must_use]
    pub fn ended_part(self, part: Part, bytes: usize) -> Self {
        self.with(Change::EndedPart(part, bytes))
    }

    /// Appends to a part.
    #[must_use]
    pub fn delta(self, delta: PartDelta) -> Self {
        self.with(Change::Delta(delta))
    }

    /// Changes the session of the scope.
    #[must_use]
    pub fn session(self, change: SessionChange) -> Self {
        self.with(Change::Session(change))
    }

    /// Replaces the session's task list.
    #[must_use]
    pub fn todos(self, todos: Vec<Todo>) -> Self {
        self.with(Change::Todos(todos))
    }

    /// Withdraws what the session asks.
    #[must_use]
    pub fn withdraw(self, outcome: PermissionOutcome) -> Self {
        self.with(Change::Withdraw(outcome))
    }

    /// Tells what the session does now.
    #[must_use]
    pub fn status(self, status: SessionStatus) -> Self {
        let session_id = self.scope.session();
        self.event(EventPayload::SessionStatusChanged(SessionStatusInfo { session_id, status }))
    }

    /// Tells that something went wrong in the session.
    #[must_use]
    pub fn error(self, error: MessageError) -> Self {
        let session_id = self.scope.session();
        self.event(EventPayload::SessionError(SessionErrorInfo { session_id, error }))
    }

    /// Tells of something of which nothing else is kept.
    #[must_use]
    pub fn event(self, payload: EventPayload) -> Self {
        self.with(Change::Event(payload))
    }
}
