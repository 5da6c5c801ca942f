//! The way to the task of a session that works: prompts, their waiters, abort and deletion.

use std::sync::PoisonError;

use polytree_protocol::{
    id::{MessageId, SessionId},
    message::{OutputFormat, PromptOptions, PromptState},
    part::Created,
    provider::ModelRef,
    sandbox::Mode,
    session::{PartInput, Session, SessionStatus},
};
use tokio::sync::oneshot;

use super::{
    Error, Sessions, ids, input,
    mailbox::{Command, Prepared, TurnEnd},
    sampling, task, turn,
};
use crate::{
    stdx::{paths::AbsPath, time::now_ms},
    store::Origin,
    tool::context::Environment,
};

/// A prompt as it arrives.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The id that the client chose.
    pub message_id: Option<MessageId>,
    /// What is asked.
    pub parts: Vec<PartInput>,
    /// The model.
    pub model: Option<ModelRef>,
    /// The agent.
    pub agent: Option<String>,
    /// Replaces the agent's prompt.
    pub system: Option<String>,
    /// Tool switches.
    pub tools: Option<std::collections::BTreeMap<String, bool>>,
    /// The variant of the model.
    pub variant: Option<String>,
    /// Sampling and the longest answer.
    pub options: Option<PromptOptions>,
    /// The form of the answer.
    pub format: Option<OutputFormat>,
    /// What is done in its turn without a question.
    pub mode: Option<Mode>,
    /// The client's variables.
    pub environment: Environment,
    /// A digest of what the client asked for, to recognise the same call again.
    pub digest: String,
}

/// A stored prompt.
pub struct Submitted {
    /// The session.
    pub session_id: SessionId,
    /// The stored user message.
    pub message_id: MessageId,
    /// It waits for a running turn to end.
    pub queued: bool,
    /// Tells how its turn ended.
    pub end: oneshot::Receiver<TurnEnd>,
}

impl Sessions {
    /// The session whose prompt has this message id and digest, if there is one.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the id belongs to something else.
    pub async fn find_prompt(&self, message: &MessageId, digest: &str) -> Result<Option<SessionId>, Error> {
        match self.shared.store.origin(message.clone(), digest.to_owned()).await? {
            None => Ok(None),
            Some(Origin::Same(session)) => Ok(Some(session)),
            Some(Origin::Other) => Err(Error::Conflict(format!("the message {message} already exists and was sent with other params"))),
        }
    }

    /// Stores a prompt in a session as it was read a moment ago; its turn starts now or after those before it. The same
    /// message id with the same digest joins the turn that is there. Nothing is stored when it fails.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::DirectoryGone`], [`Error::UnknownAgent`], [`Error::UnknownModel`],
    /// [`Error::Params`], [`Error::QueueFull`], or what the settings or the attached files are at fault of.
    pub async fn submit(&self, session: Session, prompt: Prompt) -> Result<Submitted, Error> {
        // A turn that is to be started; whether it may, its caller has asked by `enter`.
        let _busy = self.shared.activity.begin();
        if let Some(id) = &prompt.message_id
            && let Some(found) = self.find_prompt(id, &prompt.digest).await?
        {
            if found != session.id {
                return Err(Error::Conflict(format!("the message {id} already exists in another session")));
            }
            return self.join(&session.id, id, prompt.environment).await;
        }
        let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
            return Err(Error::DirectoryGone(session.directory));
        };
        let workspace = self.shared.workspaces.open(&directory, &prompt.environment).await?;
        let agent = workspace.agent(prompt.agent.as_deref().or(session.agent.as_deref()))?;
        let model = workspace.models.choose(prompt.model.as_ref(), agent.model.as_ref(), session.model.as_ref())?;
        workspace.models.prepare(&model).await;
        let resolved = workspace.models.resolve(&model)?;
        let variant = sampling::variant(prompt.variant.as_deref(), agent, &resolved)?;
        sampling::check(prompt.options.as_ref(), &resolved)?;
        turn::Form::of(prompt.format.as_ref())?;
        let chosen = prompt.message_id.is_some();
        let message_id = prompt.message_id.unwrap_or_else(|| ids::message_id());
        let parts = input::expand(&self.shared, &workspace, &session.id, &message_id, prompt.parts).await?;
        let message = polytree_protocol::message::UserMessage {
            id: message_id.clone(),
            session_id: session.id.clone(),
            time: Created { created: now_ms() },
            state: PromptState::Queued,
            agent: agent.name.clone(),
            model,
            system: prompt.system,
            tools: prompt.tools,
            variant,
            options: prompt.options,
            format: prompt.format,
            mode: prompt.mode,
        };
        let (reply, answer) = oneshot::channel();
        let prompt = Prepared { message, chosen, parts, digest: prompt.digest, environment: prompt.environment, workspace };
        task::send(&self.shared, &session.id, Command::Prompt { prompt: Box::new(prompt), reply })?;
        let (queued, end) = answer.await.map_err(|_| Error::Closing)??;
        Ok(Submitted { session_id: session.id, message_id, queued, end })
    }

    async fn join(&self, session: &SessionId, message: &MessageId, environment: Environment) -> Result<Submitted, Error> {
        let (reply, answer) = oneshot::channel();
        task::send(&self.shared, session, Command::Join { message_id: message.clone(), environment, reply })?;
        let (queued, end) = answer.await.map_err(|_| Error::Closing)??;
        Ok(Submitted { session_id: session.clone(), message_id: message.clone(), queued, end })
    }

    /// Ends the running turn and cancels the queue, of the session's descendants too. Tells whether anything was running.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], or when the store fails.
    pub async fn abort(&self, id: &SessionId) -> Result<bool, Error> {
        let mut any = false;
        for member in self.family(id).await? {
            any |= self.abort_one(&member).await?;
        }
        Ok(any)
    }

    async fn abort_one(&self, id: &SessionId) -> Result<bool, Error> {
        let live = self.shared.live.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id);
        if !live && !self.shared.is_left(id) {
            return Ok(false);
        }
        let (reply, answer) = oneshot::channel();
        task::send(&self.shared, id, Command::Abort { reply })?;
        answer.await.unwrap_or(Ok(false))
    }

    /// Takes up a turn whose question was answered while nobody in this process waited for it.
    pub fn resume(&self, id: &SessionId, environment: Environment) {
        let _ = task::send(&self.shared, id, Command::Resume { environment });
    }

    /// Deletes a session and its descendants, children first; their turns end before.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], or when the store fails.
    pub async fn delete(&self, id: &SessionId) -> Result<(), Error> {
        loop {
            for member in self.family(id).await?.into_iter().rev() {
                let (reply, answer) = oneshot::channel();
                task::send(&self.shared, &member, Command::Delete { reply })?;
                match answer.await.unwrap_or(Err(Error::Closing)) {
                    Ok(true) if member == *id => return Ok(()),
                    // A child was made meanwhile: once more from the start.
                    Ok(_) => {}
                    // Somebody else was first with a descendant.
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

    /// The daemon ends: what waits for a person stays open for the next one, the rest is marked as interrupted.
    pub fn leave(&self) {
        self.shared.leaving.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Every session that is not idle.
    #[must_use]
    pub fn statuses(&self) -> Vec<(SessionId, SessionStatus)> {
        self.shared.statuses.all()
    }
}
