//! The daemon itself: handshake, version, places, log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{editor::ClientCapabilities, project::Project};

params! {
    /// Params of `server.initialize`.
    ServerInitializeParams {
        /// Who connects.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_info: Option<ClientInfo>,
        /// What the client can do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capabilities: Option<ClientCapabilities>,
        /// The version of this contract that the client speaks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol_version: Option<u32>,
    }
}

params! {
    /// Params of `server.info`.
    ServerInfoParams {}
}

params! {
    /// Params of `rpc.discover`.
    RpcDiscoverParams {}
}

params! {
    /// Params of `server.stop`.
    ServerStopParams {
        /// Whether turns may end first; default `wait`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<StopMode>,
    }
}

params! {
    /// Params of `path.get`.
    PathGetParams {}
}

params! {
    /// Params of `log.write`.
    LogWriteParams {
        /// Who writes.
        service: String,
        /// How grave it is.
        level: LogLevel,
        /// The line.
        message: String,
        /// Further fields.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        extra: Option<Value>,
    }
}

/// How the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StopMode {
    /// Takes no more prompts, lets the running turns end, keeps those that wait for a person or in a queue.
    #[default]
    Wait,
    /// Interrupts the running turns and marks them; what waits for a person stays open.
    Now,
}

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// As it should be.
    #[default]
    Info,
    /// Unexpected, but not an error.
    Warn,
    /// Something failed.
    Error,
}

/// A client's name and version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ClientInfo {
    /// The program.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The daemon's name and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerName {
    /// Always `polytree`.
    pub name: String,
    /// The executable's version.
    pub version: String,
}

/// Result of `server.initialize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerInitializeResult {
    /// The daemon.
    pub server_info: ServerName,
    /// The version of this contract.
    pub protocol_version: u32,
    /// This connection, as diagnostics name it.
    #[serde(rename = "connectionID")]
    pub connection_id: u64,
    /// The connection's default directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The project of that directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// The newest event cursor.
    pub cursor: u64,
    /// Every method that can be called.
    pub methods: Vec<String>,
}

/// Result of `server.info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfoResult {
    /// The executable's version.
    pub version: String,
    /// The version of this contract.
    pub protocol_version: u32,
    /// The daemon's process.
    pub pid: u32,
    /// When it started, in milliseconds since 1970.
    pub started: i64,
    /// The data directory that it owns.
    pub data_directory: String,
    /// Where it listens: the local socket and network addresses.
    pub listen: Vec<String>,
}

/// Result of `server.stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStopResult {
    /// Always true: the daemon ends, and its socket and lock are free when it has.
    pub stopping: bool,
    /// How many turns it waits for.
    pub running: usize,
}

/// Result of `path.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathGetResult {
    /// The user's home.
    pub home: String,
    /// The user's settings.
    pub config: String,
    /// The store, logs and keys.
    pub data: String,
    /// The checkout in use.
    pub worktree: String,
    /// The directory.
    pub directory: String,
}
