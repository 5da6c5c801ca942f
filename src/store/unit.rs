//! What is committed together: facts, and the events that tell of them.

use polytree_protocol::{
    events::{
        EventPayload, MessageInfo, PartDelta, PartInfo, SessionErrorInfo, SessionInfo, SessionOnly, SessionQueueInfo, SessionStatusInfo,
        TodoInfo,
    },
    id::{MessageId, SessionId},
    message::{Message, MessageError, Tokens},
    part::Part,
    permission::PermissionOutcome,
    provider::ModelRef,
    session::{Session, SessionStatus},
    todo::Todo,
};

use super::{Error, Scope, Transaction, usage};
use crate::stdx::time::now_ms;

/// A list of facts and events that commits as one, all of one scope.
#[derive(Debug, Clone)]
pub struct Unit {
    scope: Scope,
    changes: Vec<Change>,
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

/// The same changes, for rules that read in between.
impl Transaction<'_> {
    pub(super) fn apply(&mut self, unit: Unit) -> Result<(), Error> {
        let Unit { scope, changes } = unit;
        for change in changes {
            match change {
                Change::Message(message) => self.tell_message(&scope, message, None)?,
                Change::Part(part) => self.tell_part(&scope, part)?,
                Change::EndedPart(part, bytes) => {
                    self.rows.end_part(&part)?;
                    let properties = EventPayload::MessagePartUpdated(PartInfo { part }).properties();
                    let properties = super::blob::refer(properties, "/part/text", bytes);
                    self.rows.append_event(&scope, "message.part.updated", properties)?;
                }
                Change::Delta(delta) => {
                    let payload = EventPayload::MessagePartDelta(delta);
                    let cursor = self.tell(&scope, &payload)?;
                    let EventPayload::MessagePartDelta(delta) = payload else { continue };
                    self.rows.append_part(&delta.part_id, cursor, &delta.field, &delta.delta)?;
                }
                Change::Session(change) => drop(self.change_session(&scope, change)?),
                Change::Todos(todos) => {
                    let session_id = scope.session();
                    self.rows.set_todos(&session_id, &todos)?;
                    self.tell(&scope, &EventPayload::TodoUpdated(TodoInfo { session_id, todos }))?;
                }
                Change::Withdraw(outcome) => self.withdraw(&scope.session(), outcome, |_| true)?,
                Change::Event(payload) => drop(self.tell(&scope, &payload)?),
            }
        }
        Ok(())
    }

    /// Appends an event; gives its cursor.
    pub(super) fn tell(&mut self, scope: &Scope, payload: &EventPayload) -> Result<u64, Error> {
        self.rows.append_event(scope, payload.name(), super::blob::replace(payload.properties()))
    }

    pub(super) fn tell_message(&mut self, scope: &Scope, message: Message, params: Option<&str>) -> Result<(), Error> {
        self.rows.put_message(&message, params)?;
        self.tell(scope, &EventPayload::MessageUpdated(MessageInfo { info: message })).map(drop)
    }

    pub(super) fn tell_part(&mut self, scope: &Scope, part: Part) -> Result<(), Error> {
        self.rows.put_part(&part)?;
        self.tell(scope, &EventPayload::MessagePartUpdated(PartInfo { part })).map(drop)
    }

    /// Tells the state of a prompt after what this transaction has done.
    pub(super) fn tell_prompt(&mut self, scope: &Scope, prompt: &MessageId) -> Result<(), Error> {
        let Some(info) = self.rows.message_info(&scope.session(), prompt)? else { return Ok(()) };
        self.tell(scope, &EventPayload::MessageUpdated(MessageInfo { info })).map(drop)
    }

    pub(super) fn tell_queue(&mut self, scope: &Scope) -> Result<(), Error> {
        let session_id = scope.session();
        let queue = self.rows.queue(&session_id)?;
        self.tell(scope, &EventPayload::SessionQueueUpdated(SessionQueueInfo { session_id, queue })).map(drop)
    }

    pub(super) fn tell_status(&mut self, scope: &Scope, status: SessionStatus) -> Result<(), Error> {
        let session_id = scope.session();
        self.tell(scope, &EventPayload::SessionStatusChanged(SessionStatusInfo { session_id, status })).map(drop)
    }

    pub(super) fn tell_idle(&mut self, scope: &Scope) -> Result<(), Error> {
        self.tell(scope, &EventPayload::SessionIdle(SessionOnly { session_id: scope.session() })).map(drop)
    }

    pub(super) fn tell_error(&mut self, scope: &Scope, error: MessageError) -> Result<(), Error> {
        let session_id = scope.session();
        self.tell(scope, &EventPayload::SessionError(SessionErrorInfo { session_id, error })).map(drop)
    }

    /// Changes the session of the scope, stamps it, and tells of it; `None` when it is gone.
    pub(super) fn change_session(&mut self, scope: &Scope, change: SessionChange) -> Result<Option<Session>, Error> {
        let Some(mut session) = self.rows.session(&scope.session())? else { return Ok(None) };
        let SessionChange { title, replaces, archived, chosen, used, missing } = change;
        let now = now_ms();
        session.missing = missing;
        session.time.updated = now.max(session.time.updated);
        let title = title.filter(|_| replaces.is_none_or(|begin| session.title.starts_with(begin)));
        // A title that comes too late, and has cost nothing, is no change.
        if replaces.is_some() && title.is_none() && used.is_none() {
            return Ok(Some(session));
        }
        session.title = title.unwrap_or(session.title);
        match archived {
            Some(true) => session.time.archived = session.time.archived.or(Some(now)),
            Some(false) => session.time.archived = None,
            None => {}
        }
        if let Some((agent, model)) = chosen {
            session.agent = Some(agent);
            session.model = Some(model);
        }
        if let Some((cost, tokens)) = used {
            session.cost = usage::sum(session.cost, cost);
            usage::add(&mut session.tokens, &tokens);
        }
        self.rows.put_session(&session)?;
        self.tell(scope, &EventPayload::SessionUpdated(SessionInfo { info: session.clone() }))?;
        Ok(Some(session))
    }
}

impl Scope {
    /// The scope of a session.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self {
            directory: Some(session.directory.clone()),
            project_id: Some(session.project_id.clone()),
            session_id: Some(session.id.clone()),
        }
    }

    /// Its session, in the scopes of sessions.
    fn session(&self) -> SessionId {
        self.session_id.clone().unwrap_or_default()
    }
}
