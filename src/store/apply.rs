//! Applies changes in a transaction: each state change together with its event.

use polytree_protocol::{
    events::{
        EventPayload, MessageInfo, PartInfo, SessionErrorInfo, SessionInfo, SessionOnly, SessionQueueInfo, SessionStatusInfo, TodoInfo,
    },
    id::{MessageId, SessionId},
    message::{Message, MessageError, Tokens},
    part::Part,
    session::{Session, SessionChoice, SessionStatus},
};

use super::{Error, Revert, Scope, SessionChange, Transaction, Unit, blob, rows::Used, unit::Change, usage};
use crate::stdx::time::now_ms;

impl Transaction<'_> {
    pub(super) fn apply(&mut self, unit: Unit) -> Result<(), Error> {
        let Unit { scope, changes } = unit;
        for change in changes {
            match change {
                Change::Message(message) => self.emit_message(&scope, message, None)?,
                Change::Part(part) => self.emit_part(&scope, part)?,
                Change::EndedPart(part, bytes) => {
                    self.rows.end_part(&part)?;
                    let properties = EventPayload::MessagePartUpdated(PartInfo { part }).properties();
                    let properties = blob::refer(properties, "/part/text", bytes);
                    self.rows.append_event(&scope, "message.part.updated", properties)?;
                }
                Change::Delta(delta) => {
                    let payload = EventPayload::MessagePartDelta(delta);
                    let cursor = self.emit(&scope, &payload)?;
                    let EventPayload::MessagePartDelta(delta) = payload else { continue };
                    self.rows.append_part(&delta.part_id, cursor, &delta.field, &delta.delta)?;
                }
                Change::Session(change) => drop(self.change_session(&scope, change)?),
                Change::Todos(todos) => {
                    let session_id = scope.session();
                    self.rows.set_todos(&session_id, &todos)?;
                    self.emit(&scope, &EventPayload::TodoUpdated(TodoInfo { session_id, todos }))?;
                }
                Change::Review(data) => self.rows.insert_review(&scope.session(), &data)?,
                Change::Withdraw(outcome) => self.withdraw(&scope.session(), outcome, |_| true)?,
                Change::Event(payload) => drop(self.emit(&scope, &payload)?),
            }
        }
        Ok(())
    }

    /// Appends an event and returns its cursor.
    pub(super) fn emit(&mut self, scope: &Scope, payload: &EventPayload) -> Result<u64, Error> {
        self.rows.append_event(scope, payload.name(), blob::replace(payload.properties()))
    }

    pub(super) fn emit_message(&mut self, scope: &Scope, message: Message, params: Option<&str>) -> Result<(), Error> {
        self.rows.put_message(&message, params)?;
        self.emit(scope, &EventPayload::MessageUpdated(MessageInfo { info: message })).map(drop)
    }

    pub(super) fn emit_part(&mut self, scope: &Scope, part: Part) -> Result<(), Error> {
        self.rows.put_part(&part)?;
        self.emit(scope, &EventPayload::MessagePartUpdated(PartInfo { part })).map(drop)
    }

    /// Emits the state of a prompt after the changes of this transaction.
    pub(super) fn emit_prompt(&mut self, scope: &Scope, prompt: &MessageId) -> Result<(), Error> {
        let Some(info) = self.rows.message_info(&scope.session(), prompt)? else { return Ok(()) };
        self.emit(scope, &EventPayload::MessageUpdated(MessageInfo { info })).map(drop)
    }

    pub(super) fn emit_queue(&mut self, scope: &Scope) -> Result<(), Error> {
        let session_id = scope.session();
        let queue = self.rows.queue(&session_id)?;
        self.emit(scope, &EventPayload::SessionQueueUpdated(SessionQueueInfo { session_id, queue })).map(drop)
    }

    pub(super) fn emit_status(&mut self, scope: &Scope, status: SessionStatus) -> Result<(), Error> {
        let session_id = scope.session();
        self.emit(scope, &EventPayload::SessionStatusChanged(SessionStatusInfo { session_id, status })).map(drop)
    }

    pub(super) fn emit_idle(&mut self, scope: &Scope) -> Result<(), Error> {
        self.emit(scope, &EventPayload::SessionIdle(SessionOnly { session_id: scope.session() })).map(drop)
    }

    pub(super) fn emit_error(&mut self, scope: &Scope, error: MessageError) -> Result<(), Error> {
        let session_id = scope.session();
        self.emit(scope, &EventPayload::SessionError(SessionErrorInfo { session_id, error })).map(drop)
    }

    /// Changes the session of the scope, sets its update time and emits it; `None` if there is no such session.
    pub(super) fn change_session(&mut self, scope: &Scope, change: SessionChange) -> Result<Option<Session>, Error> {
        let Some(mut session) = self.rows.session(&scope.session())? else { return Ok(None) };
        let SessionChange {
            title,
            replaces,
            archived,
            mode,
            chosen,
            agent,
            choice,
            branch,
            permission,
            task,
            revert,
            used,
            used_by,
            missing,
        } = change;
        let now = now_ms();
        session.missing = missing;
        session.time.updated = now.max(session.time.updated);
        let title = title.filter(|_| replaces.is_none_or(|begin| session.title.starts_with(begin)));
        // A generated title that arrives too late and has no usage changes nothing.
        if replaces.is_some() && title.is_none() && used.is_none() {
            return Ok(Some(session));
        }
        session.title = title.unwrap_or(session.title);
        match archived {
            Some(true) => session.time.archived = session.time.archived.or(Some(now)),
            Some(false) => session.time.archived = None,
            None => {}
        }
        session.mode = mode.or(session.mode);
        session.branch = branch.unwrap_or(session.branch);
        session.permission = permission.unwrap_or(session.permission);
        session.task = task.or(session.task);
        if let Some((agent, model)) = chosen {
            session.agent = Some(agent);
            session.model = Some(model);
        }
        session.agent = agent.or(session.agent);
        session.choice = choice.or(session.choice).filter(|choice| *choice != SessionChoice::default());
        match revert {
            Some(Revert::Set(revert)) => session.revert = Some(*revert),
            Some(Revert::Clear) => session.revert = None,
            None => {}
        }
        if let Some((cost, tokens)) = used {
            session.cost = usage::sum(session.cost, cost);
            usage::add(&mut session.tokens, &tokens);
            let model = used_by.or_else(|| session.model.clone()).unwrap_or_default();
            self.rows.add_usage(&Used { time: now, project: &session.project_id, model: &model, prompts: 0, cost, tokens })?;
        }
        self.rows.put_session(&session)?;
        self.emit(scope, &EventPayload::SessionUpdated(SessionInfo { info: session.clone() }))?;
        if let Some((cost, tokens)) = used {
            self.add_to_ancestors(session.parent_id.clone(), now, cost, &tokens)?;
        }
        Ok(Some(session))
    }

    /// Adds what a session has used to the totals of those above it.
    fn add_to_ancestors(&mut self, parent: Option<SessionId>, now: i64, cost: f64, tokens: &Tokens) -> Result<(), Error> {
        let mut next = parent;
        while let Some(id) = next {
            let Some(mut session) = self.rows.session(&id)? else { break };
            session.cost = usage::sum(session.cost, cost);
            usage::add(&mut session.tokens, tokens);
            session.time.updated = now.max(session.time.updated);
            self.rows.put_session(&session)?;
            let parent = session.parent_id.clone();
            self.emit(&Scope::of(&session), &EventPayload::SessionUpdated(SessionInfo { info: session }))?;
            next = parent;
        }
        Ok(())
    }
}
