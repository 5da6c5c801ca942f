//! How a turn starts and ends the turns of child sessions. Implemented above the turns.

use async_trait::async_trait;
use polytree_protocol::{
    id::{MessageId, SessionId},
    provider::ModelRef,
    sandbox::Mode,
    session::{Session, TaskCall},
};
use tokio::sync::oneshot;

use crate::{
    session::{Error, mailbox::TurnEnd},
    tool::context::Environment,
};

/// What a child is asked.
pub struct ChildPrompt {
    pub text: String,
    pub agent: String,
    pub model: Option<ModelRef>,
    pub variant: Option<String>,
    pub mode: Option<Mode>,
    pub environment: Environment,
}

#[async_trait]
pub trait Launch: Send + Sync {
    /// Creates a child in the directory of its parent.
    async fn create(&self, parent: &Session, title: String, task: TaskCall) -> Result<Session, Error>;
    /// Prompts a session. Returns the prompt, and where the end of its turn arrives.
    async fn prompt(&self, child: &SessionId, prompt: ChildPrompt) -> Result<(MessageId, oneshot::Receiver<TurnEnd>), Error>;
    /// Aborts a session and its descendants.
    async fn abort(&self, child: &SessionId) -> Result<bool, Error>;
    /// Deletes a session and its descendants.
    async fn delete(&self, child: &SessionId) -> Result<(), Error>;
}
