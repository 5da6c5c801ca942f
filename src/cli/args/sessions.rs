//! Arguments of `sessions`.

use clap::Subcommand;
use polytree_protocol::id::{MessageId, SessionId};

use super::{
    compact::SessionsCompactArgs,
    export::{SessionsExportArgs, SessionsImportArgs},
    queue::{SessionsQueueArgs, SessionsSteerArgs, SessionsTodoArgs},
    revert::{SessionsRevertArgs, SessionsUnrevertArgs},
};

/// Commands of `sessions`.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List the sessions of this project, the last used first
    List(SessionsListArgs),
    /// Show a session's conversation
    Show(SessionsShowArgs),
    /// Copy a session's conversation into a new session
    Fork(SessionsForkArgs),
    /// Summarise a session's conversation, so that the model has room again
    Compact(SessionsCompactArgs),
    /// Undo a session from a prompt on, with the files that it changed
    Revert(SessionsRevertArgs),
    /// Take back an undo, until the next prompt
    Unrevert(SessionsUnrevertArgs),
    /// List the prompts that wait for a session's running turn, or change them
    Queue(SessionsQueueArgs),
    /// Tell the running turn of a session something before its next step
    Steer(SessionsSteerArgs),
    /// Show the task list of a session
    Todo(SessionsTodoArgs),
    /// Write a session's conversation to a file, as JSON, Markdown or HTML
    Export(SessionsExportArgs),
    /// Create a session from a conversation that was exported as JSON
    Import(SessionsImportArgs),
    /// Delete sessions with everything in them
    Delete(SessionsDeleteArgs),
}

/// Arguments of `sessions list`.
#[derive(Debug, clap::Args)]
pub struct SessionsListArgs {
    /// List the sessions of all projects
    #[arg(long, short)]
    pub all: bool,
    /// List only sessions whose title contains this text
    #[arg(long, short, value_name = "TEXT")]
    pub search: Option<String>,
    /// The maximum number of sessions to list
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Write a line of JSON for each
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sessions show`.
#[derive(Debug, clap::Args)]
pub struct SessionsShowArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// Write the session and then each message as a line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sessions fork`.
#[derive(Debug, clap::Args)]
pub struct SessionsForkArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// Copy only the messages before this one
    #[arg(long, value_name = "MESSAGE", value_parser = MessageId::parse)]
    pub before: Option<MessageId>,
}

/// Arguments of `sessions delete`.
#[derive(Debug, clap::Args)]
pub struct SessionsDeleteArgs {
    /// The sessions
    #[arg(value_name = "ID", required = true, value_parser = SessionId::parse)]
    pub sessions: Vec<SessionId>,
    /// Delete without asking
    #[arg(long, short)]
    pub yes: bool,
}
