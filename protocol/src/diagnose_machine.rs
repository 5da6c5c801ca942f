//! The second half of the state of a daemon: memory, disk, the machine, the settings, and
//! the advice that follows from all of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The daemon's memory. What the system does not tell is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisMemory {
    /// What the process has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<u64>,
    /// The same, with what others share counted in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proportional: Option<u64>,
    /// The most it has had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// Its swapped memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapped: Option<u64>,
    /// What the daemon knows to have.
    pub accounted: Vec<DiagnosisShare>,
    /// The rest: the program itself, stacks, the allocator, and what is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<u64>,
}

/// A part of the memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisShare {
    /// Who has it: `events`, `outboxes`, `directories`, `sessions`, `files`, `store` or `log`.
    pub owner: String,
    /// How much.
    pub bytes: u64,
    /// Of how many things; absent where they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Reckoned from the count, not measured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// What is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisStore {
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why the last commit failed; gone with the next one that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_error: Option<String>,
    /// The database.
    pub database: DiagnosisFiles,
    /// Its write-ahead log.
    pub wal: DiagnosisFiles,
    /// Long outputs of tools.
    pub outputs: DiagnosisFiles,
    /// Contents of changed files, for undo.
    #[serde(default)]
    pub snapshots: DiagnosisFiles,
    /// Log files.
    pub logs: DiagnosisFiles,
    /// Rows by table; absent when the store could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<DiagnosisRows>,
    /// The result of SQLite's quick check: `ok`, or what is broken. Where a daemon runs: only the damage that it has met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Damaged stores that were set aside when a daemon started, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<DiagnosisSetAside>,
}

/// A damaged store that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisSetAside {
    /// The file; its name ends with the time in UTC.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}

/// Files of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisFiles {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// There are more than were counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Rows of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisRows {
    /// Sessions.
    pub sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Parts of messages.
    pub parts: u64,
    /// Logged events.
    pub events: u64,
    /// Archived sessions; they are among the sessions.
    #[serde(default)]
    pub archived: u64,
    /// The bytes of the messages of archived sessions; absent where the store is too large to add them up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_bytes: Option<u64>,
    /// Some of these are upper bounds, because counting would have taken too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approximate: bool,
    /// The bytes of the logged events.
    pub event_bytes: u64,
    /// The oldest cursor that can be read from.
    pub oldest_cursor: u64,
    /// The newest one.
    pub newest_cursor: u64,
}

/// The machine around the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisMachine {
    /// Why some of it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The directories for settings, data and sockets.
    pub places: Vec<DiagnosisPlace>,
    /// The disk under the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiagnosisDisk>,
    /// git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<DiagnosisProgram>,
    /// The shell that commands run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<DiagnosisProgram>,
    /// How far the clock was moved since the daemon started; forward is positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_moved_ms: Option<i64>,
}

/// A directory of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisPlace {
    /// What it is for: `config`, `data` or `runtime`.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// It is there.
    pub exists: bool,
    /// Its permissions in octal, such as `700`; where the system has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// It belongs to the user.
    pub own: bool,
    /// It can be written to.
    pub writable: bool,
    /// The kind of network file system that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisDisk {
    /// What the user may still write.
    pub free: u64,
    /// Its size.
    pub total: u64,
}

/// A program that the daemon needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisProgram {
    /// Where it is; absent when it was not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its version, if it sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// An agent or a command, and what it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisDefinition {
    /// Its name.
    pub name: String,
    /// The files that say something of it, lowest first: the last one wins.
    pub files: Vec<String>,
}

/// The settings and models of the directory for the client that asks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisSettings {
    /// Why they cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The file at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The directory that they hold in; absent where only the user's own were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The files that were read, lowest first.
    pub files: Vec<String>,
    /// The model of a prompt that names none, as `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why that model cannot be used.
    #[serde(default, rename = "modelError", skip_serializing_if = "Option::is_none")]
    pub model_error: Option<String>,
    /// The providers.
    pub providers: Vec<DiagnosisProvider>,
    /// The agents that files define or change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<DiagnosisDefinition>,
    /// The commands that files define or change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<DiagnosisDefinition>,
    /// Why files of agents and commands cannot be used, with their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// The variables that the settings name and that are not set, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisProvider {
    /// The provider's id.
    pub id: String,
    /// It can be used: it has its key or needs none.
    pub connected: bool,
    /// The names of the variables that may hold its key.
    pub env: Vec<String>,
    /// How many models it has.
    pub models: u64,
}

/// How grave an advice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something may soon not work, or works badly.
    Warning,
    /// Worth knowing.
    #[default]
    Info,
}

/// What is worth doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// The stable name of the rule that found it, such as `disk.full`.
    pub id: String,
    /// How grave it is.
    pub severity: Severity,
    /// What was found.
    pub text: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
