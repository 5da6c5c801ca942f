//! Tells of changes in directories, each watched by itself. Where the system cannot, or will not for so many, the index
//! looks at the directories' times instead.
//!
//! On Linux this is inotify itself, for what the crate `notify` does not offer. What the system has to tell can be taken at
//! any moment, before a question is answered, where `notify` hands events over from a thread of its own when it gets to
//! them, so that nobody knows whether something is still on its way. The events that are wanted can be chosen: `notify` 8
//! also asks for each opening of a file (its pull request 612; from version 9 on that can be switched off), so that a
//! search through all files would flood it. And a watch that moves with its directory is recognised. Elsewhere there are
//! no watches yet.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod none;
pub mod table;

#[cfg(target_os = "linux")]
pub use linux::Watcher;
#[cfg(not(target_os = "linux"))]
pub use none::Watcher;

/// Why a directory is not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are as many watches as there may be.
    Full,
    /// It has gone, or may not be read.
    Gone,
}

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is new here.
    Came,
    /// It is no longer here.
    Went,
    /// Its content was changed.
    Written,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something happened to a name in a watched directory.
    Name {
        /// The number of the watch.
        watch: i32,
        /// The name.
        name: Vec<u8>,
        /// What happened.
        event: Event,
        /// It is a directory.
        is_directory: bool,
    },
    /// A watch has ended: its directory has gone.
    Ended(i32),
    /// More happened than could be told.
    Overflow,
}
