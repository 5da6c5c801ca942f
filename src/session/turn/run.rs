//! A turn: one prompt until the model stops, model calls and their tool calls in turn. Also resumes a turn that an
//! earlier daemon left waiting for a person.

use std::sync::{Arc, Mutex, PoisonError};

use polytree_protocol::{
    id::MessageId,
    message::{Message, MessageError, MessageWithParts, UserMessage},
    part::{Part, TextPart},
    session::Session,
};

use super::{
    answer::abort_error,
    command, compact,
    failure::start_error,
    guests,
    next::{End, LoopState, Next, StepEnd, next},
    shell, spend,
    state::{CallingAgent, Fresh, Open, Outcome, Start, Step, Turn},
    step, subtask, title,
};
use crate::{
    session::{Error, ids, in_order, progress::Progress, shared::Shared},
    stdx::{paths::AbsPath, tasks::Tasks},
    store::{Scope, SessionChange},
};

pub(in crate::session) async fn run(shared: Arc<Shared>, mut start: Start, tasks: Tasks) -> Outcome {
    let (open, fresh) = (start.open.take(), start.fresh.take());
    let mut last = open.as_ref().map(|open| open.answer.id.clone());
    let present = shared.progress.begin(&start.session_id, &start.message_id);
    let prepared = tokio::select! {
        // Opening a directory may take long, and an abort does not wait for it.
        biased;
        () = tasks.token().cancelled() => None,
        prepared = prepare(&shared, &start, fresh, &tasks, &present.progress) => Some(prepared),
    };
    let result = match prepared {
        Some(Ok(turn)) => Arc::new(turn).run(open, &mut last).await,
        Some(Err(Error::Storage(error))) => Err(error.into()),
        Some(Err(error)) => end_before_start(&shared, &start, start_error(&error), &mut last).await.map(|()| End::Done),
        // The question of a turn that was just resumed stays open for the next daemon.
        None if shared.is_shutting_down() && last.is_some() => Ok(End::Suspended),
        None => end_before_start(&shared, &start, abort_error(&shared), &mut last).await.map(|()| End::Aborted),
    };
    match result {
        Ok(end) => Outcome { last, aborted: end == End::Aborted, suspended: end == End::Suspended, unstored: None },
        Err(error) => {
            tracing::error!(%error, session = %start.session_id, "a turn could not be stored");
            Outcome { last, aborted: tasks.token().is_cancelled(), suspended: false, unstored: Some(error.to_string()) }
        }
    }
}

async fn prepare(
    shared: &Arc<Shared>,
    start: &Start,
    fresh: Option<Fresh>,
    tasks: &Tasks,
    progress: &Arc<Progress>,
) -> Result<Turn, Error> {
    let Fresh { session, user, workspace } = match fresh {
        Some(fresh) => fresh,
        None => read(shared, start, progress).await?,
    };
    progress.set_directory(&session.directory);
    let agent = workspace.agent(Some(&user.agent))?.clone();
    workspace.models.prepare(&user.model).await;
    let model = workspace.models.resolve(&user.model)?;
    let (scope, shared, progress) = (Scope::of(&session), Arc::clone(shared), Arc::clone(progress));
    let (guests, steering, tasks) = (Vec::new(), Arc::clone(&start.steering), tasks.clone());
    let session_rules = Mutex::new(shared.store.session_rules(session.id.clone()).await?);
    let ancestors = if session.parent_id.is_some() { shared.store.ancestors(session.id.clone()).await? } else { Vec::new() };
    let calls = std::iter::once(&session).chain(&ancestors).filter_map(|session| session.task.as_ref());
    let callers = calls
        .map(|call| Ok(CallingAgent { agent: workspace.agent(Some(&call.caller))?.clone(), tools: call.tools.clone() }))
        .collect::<Result<Vec<_>, Error>>()?;
    let (environment, depth) = (Arc::clone(&start.environment), ancestors.len());
    let mut turn = Turn {
        shared,
        scope,
        session,
        workspace,
        user,
        agent,
        model,
        steering,
        guests,
        tasks,
        progress,
        session_rules,
        environment,
        depth,
        callers,
    };
    turn.guests = guests::join(&turn)?;
    Ok(turn)
}

async fn read(shared: &Shared, start: &Start, progress: &Progress) -> Result<Fresh, Error> {
    let session = shared.session(&start.session_id).await?;
    progress.set_directory(&session.directory);
    let stored = shared.store.message(session.id.clone(), start.message_id.clone()).await?;
    let Some(MessageWithParts { info: Message::User(user), .. }) = stored else {
        return Err(Error::UnknownMessage(start.message_id.clone()));
    };
    let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
        return Err(Error::DirectoryGone(session.directory));
    };
    let workspace = shared.workspaces.open(&directory, &start.environment).await?;
    Ok(Fresh { session, user, workspace })
}

/// The turn ends before the model is asked: because the settings changed while the prompt waited, or by an abort. Its
/// answer says so; one that was to be resumed is closed with everything in it.
async fn end_before_start(shared: &Shared, start: &Start, error: MessageError, last: &mut Option<MessageId>) -> Result<(), Error> {
    *last = shared.store.end_before_start(start.session_id.clone(), start.message_id.clone(), last.clone(), error).await?;
    Ok(())
}

impl Turn {
    async fn run(self: Arc<Self>, mut open: Option<Open>, last: &mut Option<MessageId>) -> Result<End, Error> {
        let mut turn = self;
        let (mut state, mut history) = (LoopState::default(), turn.history().await?);
        if let Some(line) = shell::line(&history, &turn.user.id) {
            return shell::run(&turn, line, last).await;
        }
        if compact::is_asked(&history, &turn.user.id) {
            if let Some(end) = spend::before_step(&turn, last).await? {
                return Ok(end);
            }
            return compact::asked(&turn, &history, last).await;
        }
        if let Some(end) = command::begin(&turn, &mut history, &mut open, last).await? {
            return Ok(end);
        }
        if open.is_none() {
            title::start(&turn, &history);
            compact::prune_old(&turn, &mut history).await?;
            if let Some(end) = subtask::run(&turn, &mut history, last).await? {
                return Ok(end);
            }
        }
        loop {
            if open.is_none()
                && let Some(end) = spend::before_step(&turn, last).await?
            {
                return Ok(end);
            }
            if open.is_none()
                && let Some(end) = compact::before_step(&turn, &mut state, &mut history, last).await?
            {
                return Ok(end);
            }
            let (mut step, ended) = match open.take() {
                Some(open) => step::resume(&turn, open, &mut history).await?,
                None => step::run(&turn, &mut state, &mut history, last).await?,
            };
            let wish = turn.wish(&mut step, &ended).await?;
            let next = next(&state, ended, wish);
            let answer = step.answer.clone();
            let id = answer.id.clone();
            turn.close(step, &next).await?;
            match next {
                Next::Step => {
                    state.steps += 1;
                    history.extend(turn.read_back(&id).await?);
                }
                Next::Remind { text, error } => {
                    state.steps += u32::from(error.is_none());
                    history.extend(turn.read_back(&id).await?);
                    history.push(turn.reminder(text));
                }
                Next::Switch(agent) => {
                    state.steps += 1;
                    history.extend(turn.read_back(&id).await?);
                    turn = turn.continued_by(agent).await?;
                }
                // What was said stays stored; the next attempt is a message of its own.
                Next::Retry(_) => {}
                Next::Compact(error) => {
                    if let Some(end) = compact::after_overflow(&turn, &mut history, answer, error, last).await? {
                        return Ok(end);
                    }
                }
                Next::End(end) => return Ok(end),
            }
        }
    }

    /// The same turn, continued by another agent: its rules, tools and limits count from now on. The model stays.
    async fn continued_by(&self, agent: &str) -> Result<Arc<Self>, Error> {
        let agent = self.workspace.agent(Some(agent))?.clone();
        let user = UserMessage { agent: agent.name.clone(), ..self.user.clone() };
        let change = SessionChange { agent: Some(agent.name.clone()), ..SessionChange::default() };
        self.shared.store.commit(self.unit().message(Message::User(user.clone())).session(change)).await?;
        let mut turn = Self {
            shared: Arc::clone(&self.shared),
            scope: self.scope.clone(),
            session: Session { agent: Some(agent.name.clone()), ..self.session.clone() },
            workspace: Arc::clone(&self.workspace),
            user,
            agent,
            model: self.model.clone(),
            steering: Arc::clone(&self.steering),
            guests: Vec::new(),
            tasks: self.tasks.clone(),
            progress: Arc::clone(&self.progress),
            session_rules: Mutex::new(self.session_rules.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            environment: Arc::clone(&self.environment),
            depth: self.depth,
            callers: self.callers.clone(),
        };
        turn.guests = guests::join(&turn)?;
        Ok(Arc::new(turn))
    }

    /// What the guests want to follow: the first wish counts, and every guest is asked.
    async fn wish(&self, step: &mut Step, ended: &StepEnd) -> Result<Option<Next>, Error> {
        let mut wish = None;
        for guest in &self.guests {
            let own = guest.after_step(self, step, ended).await?;
            wish = wish.or(own);
        }
        Ok(wish)
    }

    /// An answer as the model reads it in the next step. One that was refused is shown to it all the same.
    pub(super) async fn read_back(&self, id: &MessageId) -> Result<Option<MessageWithParts>, Error> {
        let mut message = self.stored(id).await?;
        if let Some(MessageWithParts { info: Message::Assistant(answer), .. }) = &mut message {
            answer.error = None;
        }
        Ok(message)
    }

    /// A text for the model that is not stored.
    pub(super) fn reminder(&self, text: String) -> MessageWithParts {
        let (id, session_id) = (ids::message_id(), self.session.id.clone());
        let part = TextPart {
            id: ids::part_id(),
            session_id,
            message_id: id.clone(),
            text,
            synthetic: true,
            time: None,
            metadata: Some(compact::reminder()),
        };
        MessageWithParts { info: Message::User(UserMessage { id, ..self.user.clone() }), parts: vec![Part::Text(part)], cursor: 0 }
    }

    /// The conversation before this turn's next answer: every prompt with its answers, without the prompts that wait in the
    /// queue.
    async fn history(&self) -> Result<Vec<MessageWithParts>, Error> {
        let (messages, waiting) = self.shared.store.conversation(self.session.id.clone()).await?;
        let mut messages = in_order(messages);
        messages.retain(|message| !waiting.contains(message.info.id()));
        // A prompt that was cancelled after this one was stored is not part of what it answers.
        let own = |message: &MessageWithParts| match &message.info {
            Message::User(user) => user.id == self.user.id,
            Message::Assistant(answer) => answer.parent_id == self.user.id,
        };
        let end = messages.iter().rposition(own).map_or(messages.len(), |last| last + 1);
        messages.truncate(end);
        Ok(messages)
    }
}
