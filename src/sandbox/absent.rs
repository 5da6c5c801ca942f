//! Where nothing can be enforced: everything says so.

use std::{convert::Infallible, ffi::OsStr, io, path::PathBuf};

use polytree_protocol::sandbox::SandboxReport;
use tokio::process::Command;

use super::{Abilities, Place, Sandbox, Unconfined};
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
pub struct Told(Infallible);

impl Told {
    /// Never happens.
    pub async fn tell(self) -> Infallible {
        match self.0 {}
    }
}

impl Sandbox {
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
    pub fn command(&self, _: &OsStr, _: &AbsPath) -> io::Result<(Command, Told)> {
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
}
