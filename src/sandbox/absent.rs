//! Where nothing can be enforced: everything says so.

use std::{convert::Infallible, ffi::OsStr, io, path::PathBuf, process::ExitCode};

use polytree_protocol::sandbox::SandboxReport;
use tokio::process::Command;

use super::{error::Unconfined, place::Place, policy::Abilities};
use crate::stdx::paths::AbsPath;

/// There is none.
#[derive(Debug)]
pub struct Confined {
    /// What is enforced.
    pub report: SandboxReport,
    never: Infallible,
}

/// There is nobody to be told.
#[derive(Debug)]
pub struct SpecSender(Infallible);

impl SpecSender {
    /// Never happens.
    pub fn send(self) -> std::future::Ready<Infallible> {
        match self.0 {}
    }
}

/// The sandbox of a daemon.
#[derive(Debug)]
pub struct Sandbox {
    /// None.
    abilities: Abilities,
}

/// There is no helper.
#[must_use]
pub fn enter() -> Option<ExitCode> {
    None
}

impl Sandbox {
    /// Nothing is kept.
    #[must_use]
    pub fn new(_: &AbsPath, _: &[&AbsPath]) -> Self {
        Self { abilities: Abilities::default() }
    }

    /// Nothing is left.
    pub fn clean(&self) {
        debug_assert!(!self.abilities.can_confine());
    }

    /// Nothing is kept.
    pub fn sweep(&self) {
        debug_assert!(!self.abilities.can_confine());
    }

    /// Nothing can be enforced.
    pub async fn abilities(&self) -> Abilities {
        std::future::ready(self.abilities).await
    }

    /// Says that it cannot be done.
    ///
    /// # Errors
    /// Always.
    pub fn confine(&self, _: Abilities, _: &Place<'_>) -> Result<Confined, Unconfined> {
        debug_assert!(!self.abilities.can_confine());
        Err(Unconfined::Impossible)
    }
}

impl Confined {
    /// Never happens.
    ///
    /// # Errors
    /// Never.
    pub fn command(&self, _: &OsStr, _: &AbsPath) -> io::Result<(Command, SpecSender)> {
        match self.never {}
    }

    /// Never happens.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        match self.never {}
    }

    /// Never happens.
    ///
    /// # Errors
    /// Never.
    pub fn restore(&self) -> io::Result<Vec<PathBuf>> {
        match self.never {}
    }

    /// Never happens.
    #[must_use]
    pub fn new_repositories(&self) -> Vec<PathBuf> {
        match self.never {}
    }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::sandbox::SandboxPolicy;

    use super::*;
    use crate::sandbox::{Settings, Verdict};

    #[tokio::test]
    async fn nothing_is_enforced_and_that_is_told() {
        let directory = AbsPath::new("/d").unwrap();
        let sandbox = Sandbox::new(&directory, &[&directory]);
        sandbox.clean();
        sandbox.sweep();
        let abilities = sandbox.abilities().await;
        assert!(enter().is_none() && !abilities.can_confine());
        let place = Place {
            policy: SandboxPolicy::ReadOnly,
            settings: &Settings::default(),
            worktree: &directory,
            private: &[],
            home: None,
            search_path: None,
            outputs: &directory,
            outside: &[],
            own_names: &[],
            rules: &|_| Verdict::default(),
            rules_key: 0,
        };
        assert!(matches!(sandbox.confine(abilities, &place), Err(Unconfined::Impossible)));
    }

    /// What is used of the sandbox is the same on all systems.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn it_is_used_as_the_one_of_linux() {
        use crate::sandbox;
        macro_rules! same {
            ($kind:ty: $($name:ident),*) => {{
                let _ = ($(|it: &'static $kind| <$kind>::$name(it)),*,);
            }};
        }
        let command: fn(&Confined, &OsStr, &AbsPath) -> io::Result<(Command, SpecSender)> = Confined::command;
        let there: fn(&sandbox::Confined, &OsStr, &AbsPath) -> io::Result<(Command, sandbox::SpecSender)> = sandbox::Confined::command;
        let _ = (command, there, |sender: SpecSender| sender.send(), |sender: sandbox::SpecSender| sender.send());
        let _ = (|it: &Confined| it.report.clone(), |it: &sandbox::Confined| it.report.clone());
        same!(Confined: variables, restore, new_repositories);
        same!(sandbox::Confined: variables, restore, new_repositories);
        same!(Sandbox: sweep, abilities);
        same!(sandbox::Sandbox: sweep, abilities);
    }
}
