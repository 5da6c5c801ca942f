//! Systems without an implementation: all directories are polled.

use std::{io, path::Path};

use super::{Notice, WatchError};

/// Never constructed.
pub enum Watcher {}

impl Watcher {
    /// Fails.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Watches a directory.
    pub fn add(&self, _: &Path) -> Result<i32, WatchError> {
        match *self {}
    }

    /// Removes a watch.
    pub fn remove(&self, _: i32) {
        match *self {}
    }

    /// Waits until there are notices.
    pub async fn ready(&self) {
        match *self {}
    }

    /// Takes all pending notices.
    pub fn drain(&self, _: &mut Vec<Notice>) {
        match *self {}
    }

    /// The user's limit of watches.
    pub fn user_limit() -> usize {
        0
    }
}
