//! Where a command is to run, and what rules say of the files there.

use polytree_protocol::sandbox::SandboxPolicy;

use super::settings::Settings;
use crate::stdx::paths::AbsPath;

/// What the rules say of a file: what a command may not do without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// It may not be read.
    pub hidden: bool,
    /// It may not be changed.
    pub fixed: bool,
}

impl Verdict {
    /// Nothing is said of it.
    #[must_use]
    pub fn is_free(self) -> bool {
        self == Self::default()
    }
}

/// Where a command is to run.
pub struct Place<'a> {
    /// The policy; not `off`.
    pub policy: SandboxPolicy,
    /// What the settings say.
    pub settings: &'a Settings,
    /// The top of the checkout, a real path.
    pub worktree: &'a AbsPath,
    /// Stores of keys, and polytree's own directories.
    pub private: &'a [AbsPath],
    /// The home directory.
    pub home: Option<&'a AbsPath>,
    /// The value of `PATH`.
    pub search_path: Option<&'a str>,
    /// What earlier commands have printed, which may be read although it is polytree's own.
    pub outputs: &'a AbsPath,
    /// Directories outside that rules allow.
    pub outside: &'a [AbsPath],
    /// Names of polytree's files at the top of the worktree.
    pub own_names: &'a [&'a str],
    /// What the rules say of the files of the worktree.
    pub rules: &'a (dyn Fn(&str) -> Verdict + Sync),
    /// Changes with the rules.
    pub rules_key: u64,
}
