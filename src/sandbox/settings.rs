//! What the user's settings say of the sandbox.

use std::path::PathBuf;

use polytree_protocol::sandbox::{SandboxConfig, SandboxPolicy};

use super::policy::{Abilities, Wants};
use crate::stdx::paths::AbsPath;

/// What the settings say, with paths made absolute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// What commands may read besides.
    pub read: Vec<PathBuf>,
    /// What commands with the policy `workspace` may write besides.
    pub write: Vec<PathBuf>,
    /// The sockets that they may connect to.
    pub sockets: Vec<PathBuf>,
    /// The domains that they may reach.
    pub domains: Vec<String>,
    /// They may reach servers on this machine.
    pub loopback: bool,
    /// A sandbox that cannot be had whole is no sandbox.
    pub required: bool,
}

impl Settings {
    /// From the settings file.
    #[must_use]
    pub fn new(config: &SandboxConfig) -> Self {
        let paths = |texts: &[String]| {
            let found = texts.iter().filter_map(|text| AbsPath::expand(text));
            found.map(|path| path.real().unwrap_or(path).as_path().to_owned()).collect()
        };
        Self {
            read: paths(&config.read),
            write: paths(&config.write),
            sockets: paths(&config.sockets),
            domains: config.network.domains.clone(),
            loopback: config.network.loopback,
            required: config.required,
        }
    }

    /// What of it needs more than the simplest sandbox.
    #[must_use]
    pub fn wants(&self) -> Wants {
        Wants { domains: !self.domains.is_empty() || self.loopback, sockets: !self.sockets.is_empty() }
    }

    /// Whether commands can be confined so on a machine with these abilities.
    #[must_use]
    pub fn can_have(&self, abilities: Abilities, policy: SandboxPolicy) -> bool {
        abilities.can_confine() && (!self.required || abilities.report(policy, self.wants()).missing.is_empty())
    }
}
