//! What is committed together: state changes and their events.

use polytree_protocol::{
    events::{EventPayload, PartDelta, SessionErrorInfo, SessionStatusInfo},
    message::{Message, MessageError, Tokens},
    part::Part,
    permission::{PermissionOutcome, Rule},
    provider::ModelRef,
    sandbox::Mode,
    session::{SessionChoice, SessionRevert, SessionStatus, TaskCall},
    todo::Todo,
};

use super::Scope;

/// A list of state changes and events that are committed atomically, all in one scope.
#[must_use]
#[derive(Debug, Clone)]
pub struct Unit {
    pub(super) scope: Scope,
    pub(super) changes: Vec<Change>,
}

/// A state change with its event, or only an event.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Message(Message),
    Part(Part),
    /// A part that keeps its appended text, which has this many bytes.
    EndedPart(Part, usize),
    Delta(PartDelta),
    Session(SessionChange),
    Todos(Vec<Todo>),
    Review(String),
    Withdraw(PermissionOutcome),
    Event(EventPayload),
}

/// A change of a session. `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct SessionChange {
    pub title: Option<String>,
    /// Set `title` only if the current one starts with this.
    pub replaces: Option<&'static str>,
    /// Archives or unarchives it.
    pub archived: Option<bool>,
    /// The sandbox mode.
    pub mode: Option<Mode>,
    /// The agent and the model of its last prompt.
    pub chosen: Option<(String, ModelRef)>,
    /// The agent of its next prompts.
    pub agent: Option<String>,
    /// What was chosen for its next prompts.
    pub choice: Option<SessionChoice>,
    /// The branch of its checkout.
    pub branch: Option<Option<String>>,
    /// Its rules.
    pub permission: Option<Vec<Rule>>,
    /// The call for which it works.
    pub task: Option<TaskCall>,
    /// Sets or clears the undo that can still be taken back.
    pub revert: Option<Revert>,
    /// The cost and tokens of a model request, to add.
    pub used: Option<(f64, Tokens)>,
    /// The model of that request; `None`: that of the session's last prompt.
    pub used_by: Option<ModelRef>,
    /// Whether its directory is missing, as the caller has checked. Emitted, not stored.
    pub missing: bool,
}

/// A change of the undo of a session.
#[derive(Debug, Clone)]
pub enum Revert {
    Set(Box<SessionRevert>),
    Clear,
}

impl Unit {
    /// An empty unit.
    pub fn new(scope: &Scope) -> Self {
        Self { scope: scope.clone(), changes: Vec::new() }
    }

    fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Inserts or updates a message that is not a prompt.
    pub fn message(self, message: Message) -> Self {
        self.with(Change::Message(message))
    }

    pub fn part(self, part: Part) -> Self {
        self.with(Change::Part(part))
    }

    /// Updates a part and keeps its appended text, which has this many bytes.
    pub fn ended_part(self, part: Part, bytes: usize) -> Self {
        self.with(Change::EndedPart(part, bytes))
    }

    pub fn delta(self, delta: PartDelta) -> Self {
        self.with(Change::Delta(delta))
    }

    /// Changes the session of the scope.
    pub fn session(self, change: SessionChange) -> Self {
        self.with(Change::Session(change))
    }

    /// Replaces the session's task list.
    pub fn todos(self, todos: Vec<Todo>) -> Self {
        self.with(Change::Todos(todos))
    }

    /// Adds a decision of the user about changes, as JSON.
    pub fn review(self, data: String) -> Self {
        self.with(Change::Review(data))
    }

    /// Withdraws the session's open questions.
    pub fn withdraw(self, outcome: PermissionOutcome) -> Self {
        self.with(Change::Withdraw(outcome))
    }

    /// Emits the session's status.
    pub fn status(self, status: SessionStatus) -> Self {
        let session_id = self.scope.session();
        self.event(EventPayload::SessionStatusChanged(SessionStatusInfo { session_id, status }))
    }

    /// Emits an error of the session.
    pub fn error(self, error: MessageError) -> Self {
        let session_id = self.scope.session();
        self.event(EventPayload::SessionError(SessionErrorInfo { session_id, error }))
    }

    /// Emits an event that changes no stored state.
    pub fn event(self, payload: EventPayload) -> Self {
        self.with(Change::Event(payload))
    }
}
