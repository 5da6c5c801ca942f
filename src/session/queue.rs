//! The queue of a session as clients change it.

use polytree_protocol::{
    id::{MessageId, SessionId},
    queue::QueuedPrompt,
    session::{PartInput, Session},
};
use tokio::sync::oneshot;

use super::{Error, Sessions, input, mailbox::Command, task};
use crate::{
    stdx::paths::AbsPath,
    store::{QueueChange, QueueChanged},
    tool::context::Environment,
};

impl Sessions {
    /// The prompts that wait, in order.
    pub async fn queue(&self, id: &SessionId) -> Result<Vec<QueuedPrompt>, Error> {
        let steering = self.steering(id).await?;
        let queue = self.shared.store.queue(id.clone()).await?.into_iter().map(|prompt| {
            let message_id = prompt.info.id().clone();
            QueuedPrompt { steers: steering.contains(&message_id), message_id, parts: prompt.parts }
        });
        Ok(queue.collect())
    }

    /// The prompts that are to enter the running turn.
    async fn steering(&self, id: &SessionId) -> Result<Vec<MessageId>, Error> {
        if !self.shared.live().contains_key(id) {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        task::send(&self.shared, id, Command::Steering { reply })?;
        answer.await.map_err(|_| Error::Closing)
    }

    /// Takes a prompt out of the queue; false when it does not wait.
    pub async fn remove_queued(&self, id: &SessionId, prompt: &MessageId) -> Result<bool, Error> {
        Ok(self.change_queue(id, prompt, QueueChange::Remove).await? == QueueChanged::Done)
    }

    /// Moves a prompt before another one, or to the end; false when it does not wait.
    pub async fn move_queued(&self, id: &SessionId, prompt: &MessageId, before: Option<MessageId>) -> Result<bool, Error> {
        match self.change_queue(id, prompt, QueueChange::Move(before.clone())).await? {
            QueueChanged::NoPlace => Err(not_queued(&before.unwrap_or_default())),
            changed => Ok(changed == QueueChanged::Done),
        }
    }

    /// Lets a prompt that waits enter the running turn at its next step; false when it does not wait.
    pub async fn steer_queued(&self, id: &SessionId, prompt: &MessageId) -> Result<bool, Error> {
        Ok(self.change_queue(id, prompt, QueueChange::Steer).await? == QueueChanged::Done)
    }

    /// Replaces the parts of a prompt that waits.
    pub async fn replace_queued(
        &self,
        session: &Session,
        prompt: &MessageId,
        parts: Vec<PartInput>,
        environment: &Environment,
    ) -> Result<(), Error> {
        let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
            return Err(Error::DirectoryGone(session.directory.clone()));
        };
        let workspace = self.shared.workspaces.open(&directory, environment).await?;
        let parts = input::expand(&self.shared, &workspace, &session.id, prompt, parts).await?;
        match self.change_queue(&session.id, prompt, QueueChange::Replace(parts)).await? {
            QueueChanged::Done => Ok(()),
            QueueChanged::PartTaken(part) => Err(Error::Conflict(format!("the part {part} already exists"))),
            _ => Err(not_queued(prompt)),
        }
    }

    async fn change_queue(&self, id: &SessionId, prompt: &MessageId, change: QueueChange) -> Result<QueueChanged, Error> {
        let (reply, answer) = oneshot::channel();
        task::send(&self.shared, id, Command::ChangeQueue { message_id: prompt.clone(), change, reply })?;
        match answer.await.map_err(|_| Error::Closing)?? {
            QueueChanged::NoSession => Err(Error::UnknownSession(id.clone())),
            changed => Ok(changed),
        }
    }
}

fn not_queued(prompt: &MessageId) -> Error {
    Error::Conflict(format!("the prompt {prompt} does not wait in the queue: its turn has begun, or it was removed"))
}
