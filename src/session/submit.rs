//! What the task of a session is asked: to take a prompt, to abort, to delete the session.

mod child;
mod choice;

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use polytree_protocol::{
    hunk::{Hunk, HunkState},
    id::{HunkId, MessageId, PartId, SessionId},
    message::{PromptState, UserMessage},
    part::{CompactionPart, CompactionState, Created, Part},
    provider::ModelRef,
    session::{PartInput, Session, SessionPromptParams, SessionStatus},
};
use tokio::sync::oneshot;

pub use choice::SessionEdit;

use super::{
    Error, Sessions, Workspace, ids, input,
    mailbox::{Command, Decision, Prepared, TurnEnd, Undo},
    sampling, task, turn,
};
use crate::{
    stdx::{paths::AbsPath, time::now_ms},
    store::{NewPrompt, Origin, Scope, SessionChange, in_order},
    tool::context::Environment,
};

#[derive(Debug, Clone)]
pub struct Prompt {
    /// What the client sent.
    pub params: SessionPromptParams,
    /// The client's variables.
    pub environment: Environment,
    /// Recognises a repeated call.
    pub digest: String,
    /// It enters the running turn at its next step, if there is one.
    pub steers: bool,
}

pub struct Submitted {
    pub session_id: SessionId,
    pub message_id: MessageId,
    /// It waits for an earlier turn to end.
    pub queued: bool,
    /// Receives how its turn ended.
    pub end: oneshot::Receiver<TurnEnd>,
}

impl Sessions {
    /// The session whose prompt has this message id and digest, if there is one.
    pub async fn find_prompt(&self, message: &MessageId, digest: &str) -> Result<Option<SessionId>, Error> {
        match self.shared.store.origin(message.clone(), digest.to_owned()).await? {
            None => Ok(None),
            Some(Origin::Same(session)) => Ok(Some(session)),
            Some(Origin::Other) => Err(Error::Conflict(format!("the message {message} already exists and was sent with other params"))),
        }
    }

    /// Stores a prompt in a session as it was read a moment ago; its turn starts now or after those before it. The same
    /// message id with the same digest joins the turn that is there. Nothing is stored when it fails.
    pub async fn submit(&self, session: Session, prompt: Prompt) -> Result<Submitted, Error> {
        // The caller has asked by `enter` whether a turn may start.
        let _busy = self.shared.activity.begin();
        let Prompt { params, environment, digest, steers } = prompt;
        // What it asks of child sessions is done before a turn's first step.
        let steers = steers && !params.parts.iter().any(|part| matches!(part, PartInput::Subtask(_)));
        if let Some(id) = &params.message_id
            && let Some(found) = self.find_prompt(id, &digest).await?
        {
            if found != session.id {
                return Err(Error::Conflict(format!("the message {id} already exists in another session")));
            }
            return self.join(&session.id, id, environment).await;
        }
        let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
            return Err(Error::DirectoryGone(session.directory));
        };
        let workspace = self.shared.workspaces.open(&directory, &environment).await?;
        let (asked, asked_variant) = (params.model.as_ref(), params.variant.as_deref());
        let chosen = choice::choose(&workspace, Some(&session), params.agent.as_deref(), asked)?;
        let (agent, model) = (chosen.agent, chosen.model.clone());
        let resolved = chosen.resolve(&workspace).await?;
        let variant = chosen.variant(asked_variant, &resolved)?;
        sampling::check(params.options.as_ref(), &resolved)?;
        turn::Form::of(params.format.as_ref())?;
        let chosen = params.message_id.is_some();
        let message_id = params.message_id.unwrap_or_else(ids::message_id);
        let parts = input::expand(&self.shared, &workspace, &session.id, &message_id, params.parts).await?;
        let message = UserMessage {
            id: message_id.clone(),
            session_id: session.id.clone(),
            time: Created { created: now_ms() },
            state: PromptState::Queued,
            answered_with: None,
            agent: agent.name.clone(),
            model,
            system: params.system,
            tools: params.tools,
            variant,
            options: params.options,
            format: params.format,
            mode: params.mode,
        };
        let branch = workspace.checkout.branch().await;
        if branch != session.branch {
            let change = SessionChange { branch: Some(branch), ..SessionChange::default() };
            self.shared.store.change_session(Scope::of(&session), change).await?;
        }
        let (reply, answer) = oneshot::channel();
        let prompt = NewPrompt { message, chosen, parts, digest, queued: false, status: None };
        let prompt = Prepared { prompt, steers, environment, workspace };
        task::send(&self.shared, &session.id, Command::Prompt { prompt: Box::new(prompt), reply })?;
        let (queued, end) = answer.await.map_err(|_| Error::Closing)??;
        Ok(Submitted { session_id: session.id, message_id, queued, end })
    }

    /// Summarises the conversation in a turn of its own.
    ///
    /// # Errors
    /// [`Error::Busy`], and [`Error::State`] where there is nothing to summarise.
    pub async fn compact(&self, session: Session, model: Option<ModelRef>, environment: Environment) -> Result<Submitted, Error> {
        let _busy = self.enter()?;
        let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
            return Err(Error::DirectoryGone(session.directory));
        };
        let workspace = self.shared.workspaces.open(&directory, &environment).await?;
        let agent = workspace.agent(session.agent.as_deref())?;
        let own = model.as_ref().or(workspace.summary_model());
        let model = workspace.models.choose(own, agent.model.as_ref(), session.model.as_ref())?;
        workspace.models.prepare(&model).await;
        workspace.models.resolve(&model)?;
        let (messages, _) = self.shared.store.conversation(session.id.clone()).await?;
        if !turn::has_answers(&in_order(messages)) {
            return Err(Error::State("there is nothing to summarise: the session has no answer since the last summary".to_owned()));
        }
        let message = UserMessage {
            id: ids::message_id(),
            session_id: session.id.clone(),
            time: Created { created: now_ms() },
            state: PromptState::Queued,
            answered_with: None,
            agent: agent.name.clone(),
            model,
            system: None,
            tools: None,
            variant: None,
            options: None,
            format: None,
            mode: None,
        };
        let (session_id, message_id) = (session.id, message.id.clone());
        let part = CompactionPart {
            id: ids::part_id(),
            session_id: session_id.clone(),
            message_id: message_id.clone(),
            auto: false,
            overflow: false,
            tail_start_id: None,
            state: CompactionState::default(),
        };
        let parts = vec![Part::Compaction(part)];
        let prompt = NewPrompt { message, chosen: false, parts, digest: String::new(), queued: false, status: None };
        let prompt = Box::new(Prepared { prompt, steers: false, environment, workspace });
        let (reply, answer) = oneshot::channel();
        task::send(&self.shared, &session_id, Command::Compact { prompt, reply })?;
        let (queued, end) = answer.await.map_err(|_| Error::Closing)??;
        Ok(Submitted { session_id, message_id, queued, end })
    }

    async fn join(&self, session: &SessionId, message: &MessageId, environment: Environment) -> Result<Submitted, Error> {
        let (reply, answer) = oneshot::channel();
        task::send(&self.shared, session, Command::Join { message_id: message.clone(), environment, reply })?;
        let (queued, end) = answer.await.map_err(|_| Error::Closing)??;
        Ok(Submitted { session_id: session.clone(), message_id: message.clone(), queued, end })
    }

    /// Ends the turn and cancels the queue of a session and its descendants. Returns whether anything was running.
    pub async fn abort(&self, id: &SessionId) -> Result<bool, Error> {
        let (mut any, mut seen) = (false, HashSet::new());
        loop {
            // A turn may have created a child before it was cancelled.
            let family: Vec<SessionId> = self.family(id).await?.into_iter().filter(|member| seen.insert(member.clone())).collect();
            if family.is_empty() {
                return Ok(any);
            }
            // All at once, so that no parent goes on with the result of a child that was aborted.
            any |= self.shared.at_work.cancel_turns(&family);
            for aborted in join_all(family.iter().map(|member| self.abort_one(member))).await {
                any |= aborted?;
            }
        }
    }

    async fn abort_one(&self, id: &SessionId) -> Result<bool, Error> {
        let live = self.shared.live().contains_key(id);
        if !live && !self.shared.is_deferred(id) {
            return Ok(false);
        }
        let (reply, answer) = oneshot::channel();
        task::send(&self.shared, id, Command::Abort { reply })?;
        answer.await.unwrap_or(Ok(false))
    }

    /// Undoes the conversation from a message, or a part of it, on, with the files that the session changed; without one
    /// takes back the last undo. Returns the session, for a preview with what would happen.
    pub async fn undo(
        &self,
        session: &Session,
        to: Option<(MessageId, Option<PartId>)>,
        preview: bool,
        partial: bool,
        environment: &Environment,
    ) -> Result<Session, Error> {
        let _busy = self.enter()?;
        let workspace = self.workspace(session, environment).await?;
        let (reply, answer) = oneshot::channel();
        let undo = Box::new(Undo { to, preview, partial, workspace });
        task::send(&self.shared, &session.id, Command::Undo { undo, reply })?;
        answer.await.map_err(|_| Error::Closing)?
    }

    /// Keeps or undoes hunks: this one, the open ones of this file, or all open ones. Returns those that changed.
    pub async fn decide(
        &self,
        session: &Session,
        state: HunkState,
        hunk: Option<HunkId>,
        path: Option<String>,
        partial: bool,
        environment: &Environment,
    ) -> Result<Vec<Hunk>, Error> {
        let _busy = self.enter()?;
        let workspace = self.workspace(session, environment).await?;
        let (reply, answer) = oneshot::channel();
        let decision = Box::new(Decision { state, hunk, path, partial, workspace });
        task::send(&self.shared, &session.id, Command::Decide { decision, reply })?;
        answer.await.map_err(|_| Error::Closing)?
    }

    async fn workspace(&self, session: &Session, environment: &Environment) -> Result<Arc<Workspace>, Error> {
        let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
            return Err(Error::DirectoryGone(session.directory.clone()));
        };
        self.shared.workspaces.open(&directory, environment).await
    }

    /// Resumes a turn whose question was answered while no task of this daemon waited for it.
    pub fn resume(&self, id: &SessionId, environment: Environment) {
        let _ = task::send(&self.shared, id, Command::Resume { environment });
    }

    /// Deletes a session and its descendants, children first, after their turns have ended.
    pub async fn delete(&self, id: &SessionId) -> Result<(), Error> {
        loop {
            let family = self.family(id).await?;
            self.shared.at_work.cancel_turns(&family);
            for member in family.into_iter().rev() {
                let (reply, answer) = oneshot::channel();
                task::send(&self.shared, &member, Command::Delete { reply })?;
                match answer.await.unwrap_or(Err(Error::Closing)) {
                    Ok(true) if member == *id => return Ok(()),
                    // A child was created meanwhile: start again.
                    Ok(_) => {}
                    // Another call has deleted a descendant.
                    Err(Error::UnknownSession(_)) if member != *id => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// A session and all its descendants, parents before their children.
    async fn family(&self, id: &SessionId) -> Result<Vec<SessionId>, Error> {
        self.shared.stored(id).await?;
        Ok(self.shared.store.family(id.clone()).await?)
    }

    /// The daemon shuts down: turns that wait for a person are suspended for the next daemon, others marked as interrupted.
    pub fn shut_down(&self) {
        self.shared.shutting_down.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    pub fn statuses(&self) -> Vec<(SessionId, SessionStatus)> {
        self.shared.statuses.all()
    }
}
