//! Watches with inotify.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{Event, Notice, WatchError};

/// The read buffer, in bytes: some hundreds of events.
const BUFFER_BYTES: usize = 16 * 1024;

const FLAGS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);

/// The watches of one index, removed on drop.
pub struct Watcher {
    descriptor: AsyncFd<OwnedFd>,
}

impl Watcher {
    /// Creates an inotify instance.
    ///
    /// # Errors
    /// When the user's limit of instances is reached.
    pub fn new() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(unsafe_code, reason = "`AsyncFd` requires that the descriptor never changes")]
        // SAFETY: this value owns the descriptor and keeps it open, and an `OwnedFd` always returns the same number.
        let descriptor = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Self { descriptor: descriptor.map_err(|error| error.into_parts().1)? })
    }

    /// Watches a directory; returns the watch descriptor, which is the same for any path to the same directory.
    pub fn add(&self, directory: &Path) -> Result<i32, WatchError> {
        inotify::add_watch(self.descriptor.as_fd(), directory, FLAGS).map_err(|error| match error {
            Errno::NOSPC | Errno::NOMEM => WatchError::Full,
            _ => WatchError::Gone,
        })
    }

    /// Removes a watch.
    pub fn remove(&self, watch: i32) {
        // The watch may have ended with its directory.
        let _ = inotify::remove_watch(self.descriptor.as_fd(), watch);
    }

    /// Waits until there are notices.
    pub async fn ready(&self) {
        match self.descriptor.readable().await {
            // The caller drains all notices.
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes all pending notices.
    pub fn drain(&self, notices: &mut Vec<Notice>) {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(self.descriptor.as_fd(), &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                notices.push(Notice::Overflow);
            } else if flags.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
                notices.push(Notice::Ended(event.wd()));
            } else if let Some(name) = event.file_name() {
                let what = if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    Event::Appeared
                } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                    Event::Disappeared
                } else if flags.contains(ReadFlags::ATTRIB) {
                    Event::Attributes
                } else {
                    Event::Modified
                };
                let is_directory = flags.contains(ReadFlags::ISDIR);
                notices.push(Notice::Name { watch: event.wd(), name: name.to_bytes().to_vec(), event: what, is_directory });
            }
        }
    }

    /// The user's limit of watches.
    pub fn user_limit() -> usize {
        let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
        text.trim().parse().unwrap_or(8192)
    }
}
