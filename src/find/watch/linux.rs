//! Watches by inotify.

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

use super::{Event, Notice, Refused};

/// How many bytes of events are read at once: some hundreds of events.
const BUFFER: usize = 16 * 1024;

const FLAGS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);

/// The watches of one index. They end with it.
pub struct Watcher {
    descriptor: AsyncFd<OwnedFd>,
}

impl Watcher {
    /// No watches yet.
    ///
    /// # Errors
    /// When the user has as many of these as there may be.
    pub fn new() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(unsafe_code, reason = "the runtime wants to know that the descriptor stays the same")]
        // SAFETY: the descriptor is owned here alone, stays open as long as this value lives, and an `OwnedFd` always gives
        // the same number.
        let descriptor = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Self { descriptor: descriptor.map_err(|error| error.into_parts().1)? })
    }

    /// Watches a directory; gives the number of the watch, which is the same for the same directory under any path.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn add(&self, directory: &Path) -> Result<i32, Refused> {
        inotify::add_watch(self.descriptor.as_fd(), directory, FLAGS).map_err(|error| match error {
            Errno::NOSPC | Errno::NOMEM => Refused::Full,
            _ => Refused::Gone,
        })
    }

    /// Watches a directory no more.
    pub fn remove(&self, watch: i32) {
        // It ends by itself with its directory.
        let _ = inotify::remove_watch(self.descriptor.as_fd(), watch);
    }

    /// Waits until there are notices.
    pub async fn ready(&self) {
        match self.descriptor.readable().await {
            // Whoever is told takes all of them.
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes all notices that there are.
    pub fn drain(&self, notices: &mut Vec<Notice>) {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.descriptor.as_fd(), &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                notices.push(Notice::Overflow);
            } else if flags.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
                notices.push(Notice::Ended(event.wd()));
            } else if let Some(name) = event.file_name() {
                let what = if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    Event::Came
                } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                    Event::Went
                } else {
                    Event::Written
                };
                let is_directory = flags.contains(ReadFlags::ISDIR);
                notices.push(Notice::Name { watch: event.wd(), name: name.to_bytes().to_vec(), event: what, is_directory });
            }
        }
    }

    /// How many directories one user may watch.
    #[must_use]
    pub fn most() -> usize {
        let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
        text.trim().parse().unwrap_or(8192)
    }
}
