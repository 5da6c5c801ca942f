//! A system without watches of single directories: everything is looked at by its times.

use std::{io, path::Path};

use super::{Notice, Refused};

/// There is none of it.
pub enum Watcher {}

impl Watcher {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Watches a directory.
    ///
    /// # Errors
    /// There is no value to call it on.
    pub fn add(&self, _: &Path) -> Result<i32, Refused> {
        match *self {}
    }

    /// Watches a directory no more.
    pub fn remove(&self, _: i32) {
        match *self {}
    }

    /// Waits until there are notices.
    pub async fn ready(&self) {
        match *self {}
    }

    /// Takes all notices that there are.
    pub fn drain(&self, _: &mut Vec<Notice>) {
        match *self {}
    }

    /// How many directories one user may watch.
    #[must_use]
    pub fn most() -> usize {
        0
    }
}
