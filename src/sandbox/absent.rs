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
    pub async fn send(self) -> Infallible {
        match self.0 {}
    }
}

/// The sandbox of a daemon.
#[derive(Debug)]
pub struct Sandbox;

/// There is no helper.
#[must_use]
pub fn enter() -> Option<ExitCode> {
    None
}

impl Sandbox {
    /// Nothing is kept.
    #[must_use]
    pub fn new(_: &AbsPath, _: &[&AbsPath]) -> Self {
        Self
    }

    /// Nothing can be enforced.
    pub async fn abilities(&self) -> Abilities {
        std::future::ready(Abilities::default()).await
    }

    /// Says that it cannot be done.
    ///
    /// # Errors
    /// Always.
    pub fn confine(&self, _: Abilities, _: &Place<'_>) -> Result<Confined, Unconfined> {
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
