//! What a command may touch. The daemon works out what a policy means for a place ([`prepare`]), and a helper, which is
//! the same executable, confines itself so and becomes the command ([`helper`]): by Landlock for files, by seccomp for
//! sockets, and by namespaces where they can be had. What can be enforced is found by trying it once.
//!
//! Only Linux has any of it; elsewhere nothing can be enforced, and that is told.

mod policy;

#[cfg(target_os = "linux")]
mod git_files;
#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod listing;
#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
mod prepare;
#[cfg(target_os = "linux")]
mod spec;

use std::{io, path::PathBuf, process::ExitCode};

use polytree_protocol::sandbox::{SandboxConfig, SandboxPolicy};
use tokio::sync::OnceCell;

pub use self::policy::{Abilities, Wants};
#[cfg(target_os = "linux")]
pub use self::{
    launch::{Confined, Place},
    listing::Verdict,
};
use crate::stdx::paths::AbsPath;

/// Why a command cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum Unconfined {
    /// The kernel, or the system, cannot do it.
    #[error("this machine cannot confine commands; `polytree doctor` says what is missing")]
    Impossible,
    /// A part of the policy cannot be enforced, and settings require all of it.
    #[error("this machine cannot enforce all of the sandbox, and `sandbox.required` in the settings wants that")]
    Incomplete,
    /// The worktree has too many directories to look for secrets.
    #[error("the worktree has too many directories to be looked through for what the rules keep from commands")]
    TooLarge,
    /// There are too many files between the secrets.
    #[error("the rules keep too many files from commands to tell the kernel of each")]
    TooMany,
    /// Rules keep some files from being changed, and this machine cannot do that inside a directory that is writable.
    #[error("rules keep some files of the worktree from being changed, which this machine cannot enforce")]
    Fixed,
    /// Something could not be read or made.
    #[error("the sandbox cannot be prepared: {0}")]
    Io(#[source] io::Error),
}

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

/// The sandbox of a daemon.
#[derive(Debug)]
pub struct Sandbox {
    /// Where it keeps caches of commands, and the file that hides others.
    directory: AbsPath,
    /// polytree's own directories.
    own: Vec<PathBuf>,
    abilities: OnceCell<Abilities>,
    // Held to look one up or to put it in.
    #[cfg(target_os = "linux")]
    listings: std::sync::Mutex<launch::Listings>,
}

impl Sandbox {
    /// `data` is polytree's directory for data, `others` are its other ones.
    #[must_use]
    pub fn new(data: &AbsPath, others: &[&AbsPath]) -> Self {
        let own = others.iter().copied().chain([data]);
        Self {
            directory: data.join("sandbox"),
            own: own.flat_map(|path| [path.clone(), path.real_or_nearest()]).map(|path| path.as_path().to_owned()).collect(),
            abilities: OnceCell::new(),
            #[cfg(target_os = "linux")]
            listings: std::sync::Mutex::default(),
        }
    }

    /// What this machine can enforce; tried when it is first asked.
    pub async fn abilities(&self) -> Abilities {
        *self.abilities.get_or_init(|| probe(&self.directory)).await
    }
}

#[cfg(target_os = "linux")]
async fn probe(directory: &AbsPath) -> Abilities {
    launch::probe(directory).await
}

#[cfg(not(target_os = "linux"))]
async fn probe(_: &AbsPath) -> Abilities {
    std::future::ready(Abilities::default()).await
}

/// Runs as the helper where the process was started as it. To be called before anything else is done.
#[must_use]
pub fn enter() -> Option<ExitCode> {
    #[cfg(target_os = "linux")]
    return helper::enter();
    #[cfg(not(target_os = "linux"))]
    None
}
