//! The state of a daemon: its clients, what runs, what waits, what it costs, and what to do about
//! it. No secret is in it: no params of calls, no command lines, no texts of questions, no variables.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    daemon::LogLevel,
    diagnose_machine::{Advice, DiagnosisMachine, DiagnosisMemory, DiagnosisSettings, DiagnosisStore},
    editor::ClientCapabilities,
    id::{MessageId, ProjectId, SessionId},
    sandbox::DiagnosisSandbox,
    session::SessionStatus,
};

params! {
    /// Params of `server.diagnose`. The settings that are checked are those of the directory.
    ServerDiagnoseParams {}
}

/// Result of `server.diagnose`. Times are milliseconds since 1970, sizes are bytes, durations end in `Ms`. A part that
/// could not be had has an `error` beside what there is. `polytree doctor` makes the same report where no daemon runs;
/// then `pid`, `started` and `uptimeMs` are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// When this was found.
    pub time: i64,
    /// The executable's version.
    pub version: String,
    /// The version of this contract.
    pub protocol_version: u32,
    /// The daemon's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// For how long it has been running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Whose daemon it is.
    pub owner: DiagnosisOwner,
    /// Where it listens.
    pub listeners: Vec<DiagnosisListener>,
    /// Who is connected.
    pub clients: Vec<DiagnosisClient>,
    /// The known projects and the directories that are open.
    pub projects: DiagnosisProjects,
    /// The sessions that are not idle.
    pub sessions: Vec<DiagnosisSession>,
    /// What waits inside the daemon.
    pub queues: DiagnosisQueues,
    /// The unanswered questions.
    pub questions: DiagnosisQuestions,
    /// The programs that it runs.
    pub children: Vec<DiagnosisChild>,
    /// Its memory, and who has it.
    pub memory: DiagnosisMemory,
    /// What it keeps on disk.
    pub store: DiagnosisStore,
    /// The calls since it started.
    pub calls: DiagnosisCalls,
    /// Its log.
    pub log: DiagnosisLog,
    /// The machine around it.
    pub machine: DiagnosisMachine,
    /// What commands can be confined by; absent where that could not be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<DiagnosisSandbox>,
    /// The settings and models of the directory.
    pub settings: DiagnosisSettings,
    /// What is worth doing, the gravest first.
    pub advice: Vec<Advice>,
}

/// Whose daemon it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisOwner {
    /// The user's number.
    #[serde(default, rename = "userID", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The data directory that it owns.
    pub data_directory: String,
    /// How it was started; absent where none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<DiagnosisStart>,
    /// The owner of the data directory's lock, if it did not answer; only in an answer that does not come from a daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<DiagnosisHolder>,
}

/// How a daemon was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiagnosisStart {
    /// By a client that needed it; it exits when it is idle.
    Detached,
    /// By a person or a service manager, as `polytree serve`.
    #[default]
    Foreground,
    /// Inside a client's process; it exits with it.
    Standalone,
}

/// A process that owns a data directory and does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisHolder {
    /// The process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Why it could not be asked.
    pub problem: String,
}

/// A place where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisListener {
    /// A path or an address.
    pub address: String,
    /// Since when.
    pub since: i64,
}

/// Which way a client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiagnosisDoor {
    /// Standard input and output.
    Stdio,
    /// The user's own socket or pipe.
    #[default]
    Local,
    /// A WebSocket.
    WebSocket,
    /// A single HTTP request.
    Http,
}

/// A connected client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisClient {
    /// The connection, as `server.initialize` names it.
    pub id: u64,
    /// The way it came.
    pub door: DiagnosisDoor,
    /// The program, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The program's version, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The directory that its requests mean when they name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// What it can do, as it said in `server.initialize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<ClientCapabilities>,
    /// When it came.
    pub since: i64,
    /// Open subscriptions.
    pub subscriptions: u64,
    /// Requests in flight.
    pub requests: u64,
    /// Bytes that wait to be written to it.
    pub waiting_bytes: u64,
    /// For how long it has taken nothing of what waits; 0 when nothing waits.
    pub stalled_ms: u64,
    /// This client is the one that asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
}

/// The known projects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisProjects {
    /// Why the list is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many are known.
    pub known: u64,
    /// Those with open directories, then the most recently used ones; at most 100.
    pub list: Vec<DiagnosisProject>,
    /// The checkouts whose file names are cached for `file.find`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<DiagnosisIndex>,
    /// The directories whose symbols are cached for `symbol.find`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<DiagnosisSymbols>,
}

/// The file names of a checkout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisIndex {
    /// The top of the checkout.
    pub directory: String,
    /// How many names it holds, of files and directories.
    pub entries: u64,
    /// The bytes that they take; worktrees of a project share what is alike.
    pub bytes: u64,
    /// How many directories are watched.
    pub watched: u64,
    /// How many are not watched: they are checked when needed, and changes in them are not reported.
    pub unwatched: u64,
    /// Why `file.find` does not see everything: `entries`, `depth` or `time` ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// When it was last used.
    pub used: i64,
}

/// The symbols of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisSymbols {
    /// The directory.
    pub directory: String,
    /// How many files it holds symbols of.
    pub files: u64,
    /// How many symbols they have.
    pub symbols: u64,
    /// The bytes that they take.
    pub bytes: u64,
    /// Why `symbol.find` does not see all: `reading` as long as they are read for the first time, `budget` when there are
    /// more than the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// When they were last asked for.
    pub used: i64,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisProject {
    /// The project's id.
    pub id: ProjectId,
    /// The main checkout.
    pub worktree: String,
    /// Its directories that are open.
    pub open: Vec<String>,
    /// When it was last used.
    pub used: i64,
    /// The directory is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
    /// The project's own settings may be used.
    pub trusted: bool,
    /// Files of its open directories that wait for trust.
    pub pending: u64,
}

/// A session that is not idle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisSession {
    /// The session's id.
    pub id: SessionId,
    /// Its directory, where it is known without asking the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Busy, waiting for an answer, or about to try again.
    pub status: SessionStatus,
    /// When the turn began; absent while none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// The prompt that is answered.
    #[serde(default, rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The model call that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<DiagnosisModelCall>,
    /// The tool calls that run.
    pub tools: Vec<DiagnosisToolCall>,
    /// When the model or a tool last gave a sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<i64>,
    /// Prompts that wait for this turn to end.
    pub queued: u64,
}

/// A model call that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisModelCall {
    /// `provider/model`.
    pub model: String,
    /// Since when.
    pub since: i64,
}

/// A tool call that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisToolCall {
    /// The call.
    #[serde(rename = "callID")]
    pub call_id: String,
    /// The tool.
    pub tool: String,
    /// Since when.
    pub since: i64,
}

/// What waits inside the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisQueues {
    /// Changes that wait for the store's writer.
    pub writer: u64,
    /// For how long the writer has been at the commit under way; 0 when it is at none.
    pub writer_busy_ms: u64,
    /// Questions that wait for one of the store's readers.
    pub readers: u64,
    /// The age of the oldest read in progress; 0 when there is none.
    pub reader_busy_ms: u64,
    /// Messages that wait to be written to clients.
    pub outbox_messages: u64,
    /// Their bytes.
    pub outbox_bytes: u64,
    /// Prompts that wait for the turns before them.
    pub prompts: u64,
}

/// The open questions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisQuestions {
    /// Why the list is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The oldest first, at most 100. What they ask for is told by `permission.list` and `question.list`.
    pub list: Vec<DiagnosisQuestion>,
}

/// An open question.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisQuestion {
    /// The question's id, of a permission or of a model's question.
    pub id: String,
    /// The session that asks.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// The permission's type, such as `bash` or `edit`; `question` of a question that a model asks.
    #[serde(rename = "type")]
    pub kind: String,
    /// Since when it waits.
    pub since: i64,
    /// The session's directory.
    pub directory: String,
}

/// A program that the daemon runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisChild {
    /// The process.
    pub pid: u32,
    /// The program's name, without its arguments.
    pub program: String,
    /// Since when.
    pub since: i64,
    /// The session that it runs for.
    #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The tool call that it runs for.
    #[serde(default, rename = "callID", skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The number of its processes, where the operating system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Their memory together, where the operating system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<u64>,
}

/// The calls since the daemon started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisCalls {
    /// All of them.
    pub total: u64,
    /// Failed calls by the kind of the error.
    pub failed: BTreeMap<String, u64>,
    /// The slowest of the last hour, the slowest first, at most 20. Methods that wait for the end of a turn by their
    /// nature are left out.
    pub slowest: Vec<DiagnosisCall>,
}

/// A call that took long.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisCall {
    /// The method.
    pub method: String,
    /// The connection that it came by.
    #[serde(rename = "connectionID")]
    pub connection_id: u64,
    /// How long it took.
    pub duration_ms: f64,
    /// When it ended.
    pub ended: i64,
    /// The kind of its error; absent if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisLog {
    /// How much is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Errors since the daemon started.
    pub errors: u64,
    /// Warnings since the daemon started.
    pub warnings: u64,
    /// The last errors and warnings, oldest first, at most 50.
    pub last: Vec<DiagnosisLogLine>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisLogLine {
    /// When.
    pub time: i64,
    /// How grave.
    pub level: LogLevel,
    /// Where in the program.
    pub target: String,
    /// What, without secrets.
    pub message: String,
}
