//! Arguments of `sessions revert` and `sessions unrevert`.

use polytree_protocol::id::{MessageId, SessionId};

/// Arguments of `sessions revert`.
#[derive(Debug, clap::Args)]
pub struct SessionsRevertArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// Undo everything from this message on; by default the last prompt
    #[arg(long, value_name = "MESSAGE", value_parser = MessageId::parse)]
    pub to: Option<MessageId>,
    /// Only show what would happen
    #[arg(long)]
    pub preview: bool,
    /// Leave files in conflict as they are and undo the rest
    #[arg(long)]
    pub partial: bool,
}

/// Arguments of `sessions unrevert`.
#[derive(Debug, clap::Args)]
pub struct SessionsUnrevertArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// Only show what would happen
    #[arg(long)]
    pub preview: bool,
    /// Leave files in conflict as they are and restore the rest
    #[arg(long)]
    pub partial: bool,
}
