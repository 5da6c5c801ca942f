//! How far commands may go: modes of a session, the sandbox and its policies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done without a question. Stronger than any mode: a `deny`; an `ask` of the user's own whose pattern is not
/// `*`; polytree's own files and key stores; an agent that may not edit, such as `plan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What the rules allow.
    #[default]
    Ask,
    /// Besides: edits inside the worktree, and commands that run in the sandbox with the policy `workspace`.
    Edits,
    /// Everything.
    All,
}

/// What a command may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxPolicy {
    /// Reads the worktree and the system, no secrets; writes only a temporary directory of its own; no network.
    ReadOnly,
    /// Besides, writes the worktree but for git's settings and hooks, and the places that the settings name; network as
    /// the settings say.
    Workspace,
    /// Everything that the user may.
    #[default]
    Off,
}

/// A part of what a policy promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxWord {
    /// Files outside of the policy cannot be read, nor secrets inside.
    Read,
    /// Files outside of the policy cannot be written.
    Write,
    /// git's settings and hooks cannot be changed. Where it is missing they are compared after the command and put back.
    Git,
    /// No network but what the settings allow.
    Network,
    /// The domains that the settings name can be reached. Where it is missing there is no network at all.
    Domains,
    /// No UNIX sockets but those that the settings name. Where it is missing there are none at all.
    Sockets,
    /// Programs outside get no signals.
    Signals,
}

/// What a command runs in, as far as this machine can enforce it: `metadata.sandbox` of a `bash` call and of a question. The
/// last three fields are there when the command has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SandboxReport {
    /// The policy.
    pub policy: SandboxPolicy,
    /// What is enforced.
    pub enforced: Vec<SandboxWord>,
    /// What is not.
    pub missing: Vec<SandboxWord>,
    /// The lines of the output that tell of a refusal, which the sandbox may have caused; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Files by which programs are run, which the command has changed. They were put back as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<String>,
    /// Directories in which the command has created a git repository: its settings and hooks can name programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
}

/// What this machine can enforce, found by trying it: `sandbox` of `server.diagnose`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisSandbox {
    /// The ABI of Landlock; 0 where there is none.
    pub landlock: u32,
    /// System calls can be refused.
    pub seccomp: bool,
    /// Namespaces can be made without privileges.
    pub namespaces: bool,
    /// bubblewrap is installed and runs.
    pub bubblewrap: bool,
    /// What is enforced of each policy when settings use all of it.
    pub policies: BTreeMap<String, SandboxPromise>,
}

/// What is enforced of a policy, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SandboxPromise {
    /// What is.
    pub enforced: Vec<SandboxWord>,
    /// What is not.
    pub missing: Vec<SandboxWord>,
}

/// The sandbox of commands; only in the user's own settings. Paths are absolute or begin with `~/`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// Files and directories that commands may read besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Files and directories, such as caches, that commands with the policy `workspace` may write besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// UNIX sockets that commands may connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<String>,
    /// Names of variables that commands get although they hold keys of providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// What commands with the policy `workspace` may reach.
    #[serde(default)]
    pub network: SandboxNetwork,
    /// Commands that are to run in the sandbox are asked for where it cannot be had whole.
    #[serde(default)]
    pub required: bool,
}

/// The network of commands in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxNetwork {
    /// Domains that may be reached over HTTP and HTTPS, such as `crates.io`; `*.crates.io` for all below one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Servers on this machine may be reached too.
    #[serde(default)]
    pub loopback: bool,
}
