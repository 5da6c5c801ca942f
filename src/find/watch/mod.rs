//! Watches single directories for changes. Where the operating system does not support that, or the limit of watches is
//! reached, the index polls modification times instead.
//!
//! On Linux this uses inotify directly, for what the crate `notify` does not offer. All pending events can be taken
//! before a request is answered, while `notify` delivers them from a thread of its own at any later time. The event
//! types can be chosen: `notify` 8 also subscribes to each opening of a file (its pull request 612; optional from
//! version 9 on), so that a search through all files would flood it. And a watch that moves with its directory is
//! recognised. Other systems have no watches yet.

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
pub enum WatchError {
    /// The limit of watches is reached.
    Full,
    /// It does not exist, or cannot be read.
    Gone,
}

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Appeared,
    /// Deleted or moved away.
    Disappeared,
    Modified,
    /// Its mode, owner or times were changed.
    Attributes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An event of a name in a watched directory.
    Name {
        /// The watch descriptor.
        watch: i32,
        name: Vec<u8>,
        event: Event,
        is_directory: bool,
    },
    /// A watch has ended with its directory.
    Ended(i32),
    /// The event queue has overflowed: events were lost.
    Overflow,
}
