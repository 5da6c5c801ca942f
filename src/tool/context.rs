//! What a tool is given: where it is, what it may ask, and a few hooks into the session that it runs for.
//! The session implements [`Host`]; that is the one place where a lower module calls a higher one.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use polytree_protocol::{
    id::{MessageId, SessionId},
    provider::ModelRef,
    todo::Todo,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    file_times::FileTimes,
    guard::Guard,
    outcome::{ToolError, ToolOutput},
};
use crate::{
    find::Recent,
    overlay::{Overlay, Policy},
    permission::rules::Rules,
    sandbox::{Sandbox, Settings},
    stdx::paths::AbsPath,
};

/// The variables of the client that started the turn: tools run with these, not with the daemon's own.
pub type Environment = Arc<BTreeMap<String, String>>;

/// What a tool call is given.
#[derive(Clone)]
pub struct ToolContext {
    pub session_id: SessionId,
    /// The assistant message that holds the call.
    pub message_id: MessageId,
    /// The provider's id of the call.
    pub call_id: String,
    /// The agent in charge.
    pub agent: String,
    /// The session's directory (real path): relative paths mean below it.
    pub directory: AbsPath,
    /// The top of the checkout (real path): what lies inside needs no `external_directory`.
    pub worktree: AbsPath,
    /// Where oversized outputs are kept (mode 0700); reading below it needs no `external_directory`.
    pub output_directory: AbsPath,
    /// Where temporary files of writes are noted while they are there.
    pub unfinished: AbsPath,
    /// The file system that the directory was on when the turn began, by its number.
    pub device: Option<u64>,
    /// How much of an output the model gets.
    pub output_limits: OutputLimits,
    /// Cancelled when the turn is aborted.
    pub cancel: CancellationToken,
    /// Variables for child processes.
    pub environment: Environment,
    /// What tools are kept from.
    pub guard: Arc<Guard>,
    /// When this session last read each file.
    pub file_times: Arc<FileTimes>,
    /// Texts that editors hold and have not saved.
    pub overlay: Arc<Overlay>,
    /// What is done about these.
    pub buffers: Policy,
    /// The project's files that were used last: reading and changing one is noted there.
    pub recent: Arc<Recent>,
    /// What commands are confined by, where anything is.
    pub sandbox: Option<Arc<Sandboxing>>,
    pub host: Arc<dyn Host>,
}

impl ToolContext {
    /// Returns when the rules or the user allow it.
    ///
    /// # Errors
    /// When a rule or the user refuses it, or the turn is aborted.
    pub async fn ask(&self, ask: Ask) -> Result<(), ToolError> {
        self.host.ask(self, ask).await
    }
}

/// How much of an output the model gets; longer ones are kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    pub lines: usize,
    pub bytes: usize,
}

impl OutputLimits {
    /// Limits from the settings; too small ones would leave nothing to read.
    pub fn new(lines: u64, bytes: u64) -> Self {
        Self { lines: usize::try_from(lines).unwrap_or(usize::MAX).max(10), bytes: usize::try_from(bytes).unwrap_or(usize::MAX).max(1000) }
    }
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { lines: 2000, bytes: 50 * 1024 }
    }
}

/// What a turn's commands are confined by.
#[derive(Debug)]
pub struct Sandboxing {
    /// The daemon's sandbox.
    pub sandbox: Arc<Sandbox>,
    /// What the settings say.
    pub settings: Arc<Settings>,
}

/// A request for permission.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// The permission's type, such as `bash`, `edit`, `read`, `external_directory`.
    pub kind: Cow<'static, str>,
    /// What is asked for; each is judged by itself, one deny refuses all, one ask asks for all.
    pub patterns: Vec<String>,
    /// Judged too, but nothing has to allow it: only a rule that is about it, or a deny, counts.
    pub quiet: Vec<String>,
    /// What "always" would grant.
    pub always: Vec<String>,
    /// Ask whatever a rule says that allows (an unresolvable command); a deny still refuses.
    pub force: bool,
    /// One line for people.
    pub title: String,
    /// More for clients.
    pub metadata: Value,
}

/// Who allowed a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// The user: an answer, a rule of the user's own, or the mode `all`.
    User,
    /// Only rules for commands that read and change nothing.
    ReadRules,
    /// The mode `edits`, for commands inside the sandbox.
    Sandboxed,
}

/// A job for a child session.
#[derive(Debug, Clone)]
pub struct Job {
    pub description: String,
    pub prompt: String,
    pub agent: String,
    /// In place of the agent's and the caller's.
    pub model: Option<ModelRef>,
    /// The child session that continues.
    pub session: Option<SessionId>,
    pub background: bool,
}

/// The session that a tool runs for.
#[async_trait]
pub trait Host: Send + Sync {
    /// Returns when the call may go on; waits for the user where a rule says ask.
    async fn ask(&self, context: &ToolContext, ask: Ask) -> Result<(), ToolError>;
    /// Whether a person has answered a question of this call with yes.
    fn was_answered(&self) -> bool {
        false
    }
    /// Whether the user knows of this very command: a rule or a remembered answer that has all these words allows it, or it
    /// is not allowed anyway. `granted` are the names by which grants know it.
    async fn is_named(&self, command: &str, granted: &[String], words: &[String]) -> bool {
        self.rules().name_command(command, granted, words)
    }
    /// The same for a command; `can_confine` when it could run in the sandbox with the policy `workspace`.
    async fn ask_command(&self, context: &ToolContext, ask: Ask, _can_confine: bool) -> Result<Approval, ToolError> {
        self.ask(context, ask).await.map(|()| Approval::User)
    }
    /// The rules in force, without the answers that are remembered.
    fn rules(&self) -> Rules {
        Rules::new(None)
    }
    /// Replaces title and metadata of the running part (sent to clients).
    async fn progress(&self, _context: &ToolContext, _title: Option<String>, _metadata: Value) {}
    /// Appends to the running part's `output` (sent to clients as a delta).
    async fn output(&self, _context: &ToolContext, _text: String) {}
    /// Tells clients that a file was changed.
    async fn file_edited(&self, _context: &ToolContext, _path: &AbsPath) {}
    /// Before a file is changed: its content is stored, to undo the change, and the content that it is planned to have, in
    /// case the process is killed meanwhile; `None` if it is deleted. The caller holds the file's lock. An error if the call is over.
    async fn before_edit(&self, _path: &AbsPath, _planned: Option<&[u8]>) -> Result<(), ToolError> {
        Ok(())
    }
    /// What the file has been changed to; `None` if that is not known. The lock is still held. Without this call it is found
    /// out when the tool call ends.
    async fn after_edit(&self, _path: &AbsPath, _content: Option<Vec<u8>>) {}
    /// Before a command runs in this directory: the state of the files is noted, to undo what it changes. An error if the call
    /// is over.
    async fn before_command(&self, _directory: &AbsPath) -> Result<(), ToolError> {
        Ok(())
    }
    /// The command and all that it has started have ended.
    async fn after_command(&self) {}
    /// Does a job in a child session.
    async fn run_child(&self, _context: &ToolContext, _job: Job) -> Result<ToolOutput, ToolError> {
        Err(ToolError::failed("there are no child sessions here"))
    }
    /// The session's task list.
    async fn todos(&self) -> Result<Vec<Todo>, ToolError> {
        Ok(Vec::new())
    }
    /// Replaces the session's task list.
    async fn set_todos(&self, _todos: Vec<Todo>) -> Result<(), ToolError> {
        Ok(())
    }
}
