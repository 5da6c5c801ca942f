//! The settings file, field by field. Keys of features that do not exist yet are refused, so that nobody
//! relies on a setting that does nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::definition_config::{AgentConfig, CommandConfig};
pub use crate::permission_config::{PERMISSION_TYPES, PermissionConfig, PermissionSetting};
use crate::{
    provider::{ModelCost, ModelLimit},
    sandbox::{Mode, SandboxConfig},
};

params! {
    /// Params of `config.sources`.
    ConfigSourcesParams {}
}

/// The files that decide about a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSources {
    /// A digest of the project's files that need trust, with their contents; for `project.trust`.
    pub digest: String,
    /// The files, lowest first: the user's, the project's from its root down, the one that a variable names.
    pub files: Vec<ConfigSource>,
    /// How many more there are: at most 1,000 are listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// A file that decides about a directory, or would if it existed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSource {
    /// The absolute path.
    pub path: String,
    /// It exists.
    pub exists: bool,
    /// It may be used, in its present state. The user's own files need no trust.
    pub trusted: bool,
    /// What is wrong with it. While settings are wrong, only of the first file of settings that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

params! {
    /// Params of `config.get`.
    ConfigGetParams {}
}

/// The settings of a directory, merged from all files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address of this file's JSON Schema, for editors; has no effect.
    #[serde(default, rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The model for prompts, as `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model for small jobs such as titles, as `provider/model`. Default: the cheapest of the prompt's provider
    /// that is small by its name, else the prompt's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_model: Option<String>,
    /// The agent of prompts that name none; default `build`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_agent: Option<String>,
    /// Agents by name: changes to built-in ones, and new ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agent: BTreeMap<String, AgentConfig>,
    /// Commands by name: prompts that are called by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub command: BTreeMap<String, CommandConfig>,
    /// Providers by id: changes to known ones, and new ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provider: BTreeMap<String, ProviderConfig>,
    /// Ids of providers that are never used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled_providers: Vec<String>,
    /// Ids of the only providers that may be used; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_providers: Option<Vec<String>>,
    /// Where `polytree models --refresh` fetches the catalogue of models; only in the user's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models_url: Option<String>,
    /// Where model servers on this machine are looked for when models are listed: `ollama`, `llamacpp`, `lmstudio` or
    /// `vllm`, and an address on loopback such as `http://127.0.0.1:11434`, or `off`; only in the user's own settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub local_servers: BTreeMap<String, String>,
    /// Paths and glob patterns of further files with instructions for the model. Relative ones are looked up in
    /// the directory and in all above it up to the worktree; absolute ones and those with `~/` count only in the
    /// user's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Vec<String>>,
    /// What tools may do without asking.
    #[serde(default, skip_serializing_if = "PermissionConfig::is_empty")]
    pub permission: PermissionConfig,
    /// What is done without a question where a session says nothing about it; only in the user's own settings. Default: `ask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What commands in the sandbox may touch; only in the user's own settings.
    #[serde(default)]
    pub sandbox: SandboxConfig,
    /// Tools switched on or off by name or wildcard.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, bool>,
    /// The user's name for display; default: the name of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether what a session changes in files is kept, so that it can be undone. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<bool>,
    /// The daemon's store; only in the user's own settings.
    #[serde(default)]
    pub storage: StorageConfig,
    /// The daemon itself; only in the user's own settings.
    #[serde(default)]
    pub server: ServerConfig,
    /// How much of a tool's output the model gets to read.
    #[serde(default)]
    pub tool_output: ToolOutputConfig,
    /// How a conversation is kept within the context of its model.
    #[serde(default)]
    pub compaction: CompactionConfig,
    /// Limits of child sessions that models start.
    #[serde(default)]
    pub task: TaskConfig,
    /// What models may cost; only in the user's own settings.
    #[serde(default)]
    pub spend: SpendConfig,
    /// Changes of files that an editor holds open.
    #[serde(default)]
    pub buffer: BufferConfig,
    /// Diagnostics that editors announce.
    #[serde(default)]
    pub diagnostics: DiagnosticsConfig,
    /// A file to which every exchange with a model is appended, for `replay`; absolute, or with `~/`; only in the
    /// user's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// A recording that answers instead of the models; absolute, or with `~/`; only in the user's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

/// A provider in the settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// The wire protocol: `openai` (Chat Completions, and whatever is compatible with it), `openai-responses`,
    /// `anthropic`, `gemini`, `ollama` (its own protocol, which is told the model's context limit), or `scripted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The environment variables that may hold its key; the first one that is set counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// How it is reached.
    #[serde(default)]
    pub options: ProviderOptions,
    /// Its models by id: changes to known ones, and new ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, ModelConfig>,
}

/// How a provider is reached. Keys that are not listed are merged into the body of each request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProviderOptions {
    /// The key; better as `{env:NAME}` or `{file:PATH}`.
    #[serde(default, rename = "apiKey", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// The address before the paths of the wire protocol, such as `http://127.0.0.1:8080/v1`; default: where the
    /// protocol's maker serves it, for `ollama` `http://127.0.0.1:11434`.
    #[serde(default, rename = "baseURL", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Further HTTP headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long the service may be silent, in milliseconds; default 300,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How long a connection may take to be made, in milliseconds; default 30,000.
    #[serde(default, rename = "connectTimeout", skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<u64>,
    /// The proxy, such as `http://user:password@host:3128` or `socks5://host:1080`; `none` for none. Default: what
    /// HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY of the client say. Loopback is never asked for by a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// A file with certificates (PEM) of authorities that are trusted beside the system's; absolute, or with `~/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Addresses to which a project's settings may send this provider's key with their `baseURL` or `proxy`: these and
    /// what lies below them; only in the user's own settings.
    #[serde(default, rename = "trustedURLs", skip_serializing_if = "Vec::is_empty")]
    pub trusted_urls: Vec<String>,
    /// Further options.
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

/// A model in the settings: what is absent is as the catalogue has it, or for a model that it does not know:
/// tools yes, all else no, limits and prices unknown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Takes images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<bool>,
    /// Takes documents, such as PDF files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<bool>,
    /// Thinks before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Takes a temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<bool>,
    /// Can call tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<bool>,
    /// Limits in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<ModelLimit>,
    /// Prices in US dollars for a million tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<ModelCost>,
    /// Further fields of each request's body.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// Variants by name: further fields of the request's body for prompts that ask for one; `false` takes a built-in
    /// one away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, Value>,
}

/// What models may cost, in US dollars. When a limit is reached, a turn ends before its next step with `SpendLimitError`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpendConfig {
    /// The limit of a session with its subagents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<f64>,
    /// The limit of all sessions of a day, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<f64>,
}

/// What a committed change survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The end of the process, however it ends. After a power cut the store is consistent and may lack the last second.
    #[default]
    Process,
    /// A power cut too; each commit waits for the disk.
    Power,
}

/// The daemon's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// What a committed change survives.
    pub durability: Durability,
    /// The age up to which events are kept, in days.
    pub log_days: u32,
    /// How large the event log may become, in bytes.
    pub log_bytes: u64,
    /// The age up to which whole outputs of tools are kept, in days; 0: no limit.
    pub output_days: u32,
    /// How large all whole outputs of tools may become, in bytes; 0: no limit.
    pub output_bytes: u64,
    /// The age up to which the contents of changed files are kept for undo, in days; 0: no limit.
    pub snapshot_days: u32,
    /// How large all contents for undo may become, in bytes; 0: no limit.
    pub snapshot_bytes: u64,
    /// How long archived sessions are kept, in days since they were archived; 0: no limit. Other sessions are never deleted.
    pub archived_days: u32,
    /// How large all archived sessions may become, in bytes; 0: no limit.
    pub archived_bytes: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            log_days: 7,
            log_bytes: 256 << 20,
            output_days: 7,
            output_bytes: 1 << 30,
            snapshot_days: 30,
            snapshot_bytes: 2 << 30,
            archived_days: 365,
            archived_bytes: 4 << 30,
        }
    }
}

/// The daemon itself. Read when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// How long a daemon that a client started keeps running without a client, a running turn, a waiting
    /// prompt, or a listener on the network, in milliseconds; 0: no limit.
    pub idle_timeout: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { idle_timeout: 10 * 60 * 1000 }
    }
}

/// How much of a tool's output the model reads; the rest is kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolOutputConfig {
    /// The most lines.
    pub max_lines: u64,
    /// The most bytes.
    pub max_bytes: u64,
}

impl Default for ToolOutputConfig {
    fn default() -> Self {
        Self { max_lines: 2000, max_bytes: 50 * 1024 }
    }
}

/// How a conversation is kept within the context of its model. The model and the prompt of summaries are those of the agent
/// `compaction`, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompactionConfig {
    /// Summarise the conversation when it nears the model's context limit, or when the service refuses it as too long.
    pub auto: bool,
    /// After each turn, stop sending old outputs of tools, beyond the last 40,000 tokens, where that frees at least 20,000.
    pub prune: bool,
    /// How many of the last turns a summary leaves as they are, if they are not too long.
    pub tail_turns: u32,
    /// How many tokens of the context stay free for the answer; at most three quarters of it. Default: the longest answer, at
    /// most 20,000 and a quarter of the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self { auto: true, prune: false, tail_turns: 2, reserved: None }
    }
}

/// Limits of child sessions that models start with the tool `task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskConfig {
    /// How deep they may be below the root session; 0: none are started.
    pub depth: u32,
    /// How many may work at once below the root session.
    pub children: u32,
    /// How long one may work for a call, in milliseconds; the time in which it waits for an answer of the user does not count.
    /// Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self { depth: 3, children: 10, timeout: None }
    }
}

/// What happens to a tool's change when the editor that holds the file open does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unanswered {
    /// Nothing is changed, and the model is told. So nothing is lost: neither the unsaved text, nor the change when the
    /// editor saves over it.
    #[default]
    Refuse,
    /// The same change is made to the file on the disk, if it fits there; the editor's text stays as it is,
    /// and reads of the file still return the editor's.
    Disk,
}

/// Changes of files that an editor holds open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BufferConfig {
    /// What happens to a change when the editor does not answer in time, or disconnects first.
    pub unanswered: Unanswered,
    /// How long an editor is waited for, in milliseconds; at most 600,000. It also bounds the wait for a text that an
    /// editor holds and has not told yet.
    pub reply_timeout: u64,
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self { unanswered: Unanswered::default(), reply_timeout: 5000 }
    }
}

/// Diagnostics that editors announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiagnosticsConfig {
    /// How long the result of an edit waits for the diagnostics of the new text, in milliseconds; at most 60,000. 0: results
    /// say nothing about diagnostics.
    pub wait: u64,
}

impl Default for DiagnosticsConfig {
    fn default() -> Self {
        Self { wait: 3000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_keys_of_agents_and_provider_options_are_kept() {
        let text = r#"{
            "agent": {"x": {"prompt": "p", "reasoningEffort": "high"}},
            "provider": {"y": {"options": {"apiKey": "k", "organization": "o"}}}
        }"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.agent["x"].options["reasoningEffort"], "high");
        assert_eq!(config.provider["y"].options.options["organization"], "o");
        let again: Config = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn keys_of_features_that_do_not_exist_are_refused() {
        for key in ["mcp", "lsp", "formatter", "plugin", "share", "theme"] {
            let error = serde_json::from_str::<Config>(&format!(r#"{{"{key}": {{}}}}"#)).unwrap_err();
            assert!(error.to_string().contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn the_example_of_the_contract_is_accepted() {
        let text = r#"{
            "model": "local/small", "small_model": "local/small",
            "provider": {"local": {
                "api": "openai", "name": "My server",
                "options": {"baseURL": "http://127.0.0.1:8080/v1", "apiKey": "{env:MY_KEY}", "headers": {}, "timeout": 300000},
                "models": {"small": {"name": "Small", "limit": {"context": 131072, "output": 8192}, "cost": {"input": 0, "output": 0}}}
            }},
            "permission": {"edit": "ask", "bash": {"*": "ask", "git status*": "allow"}, "webfetch": "allow"}
        }"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.permission.rules().len(), 4);
        assert_eq!(config.storage.log_bytes, 268_435_456);
    }
}
