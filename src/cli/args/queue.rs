//! Arguments of `sessions queue`, `sessions steer` and `sessions todo`.

use polytree_protocol::id::{MessageId, SessionId};

/// Arguments of `sessions queue`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct SessionsQueueArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// Take this prompt out of the queue; it stays in the conversation, cancelled
    #[arg(long, value_name = "MESSAGE", value_parser = MessageId::parse, conflicts_with_all = ["moved", "replace"])]
    pub remove: Option<MessageId>,
    /// Move this prompt to the end of the queue
    #[arg(long = "move", value_name = "MESSAGE", value_parser = MessageId::parse, conflicts_with = "replace")]
    pub moved: Option<MessageId>,
    /// Move it before this prompt instead
    #[arg(long, value_name = "MESSAGE", value_parser = MessageId::parse, requires = "moved")]
    pub before: Option<MessageId>,
    /// Let this prompt enter the running turn at its next step, instead of becoming a turn of its own
    #[arg(long, value_name = "MESSAGE", value_parser = MessageId::parse, conflicts_with_all = ["remove", "moved", "replace"])]
    pub steer: Option<MessageId>,
    /// Replace the text of this prompt
    #[arg(long, value_name = "MESSAGE", value_parser = MessageId::parse, requires = "text")]
    pub replace: Option<MessageId>,
    /// The text to replace it by
    #[arg(value_name = "TEXT", requires = "replace")]
    pub text: Vec<String>,
    /// Write a line of JSON for each prompt that waits
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sessions steer`.
#[derive(Debug, clap::Args)]
pub struct SessionsSteerArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// What to tell the model; without a running turn it is a prompt
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
}

/// Arguments of `sessions todo`.
#[derive(Debug, clap::Args)]
pub struct SessionsTodoArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// Write a line of JSON for each task
    #[arg(long)]
    pub json: bool,
}
