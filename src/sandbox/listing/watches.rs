//! Tells which directories of a worktree have got other entries, by inotify. What the kernel has to tell can be taken at any
//! moment, so that nothing is missed that happened before a command starts.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

/// How many bytes of events are read at once: some hundreds of events.
const BUFFER: usize = 16 * 1024;

const FLAGS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// The magic numbers of file systems on which nothing changes that this kernel does not do: ext4, XFS, btrfs, tmpfs, ZFS, F2FS,
/// overlayfs and bcachefs. Others, such as NFS, do not tell what another machine has done.
const LOCAL: [u64; 8] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x2FC1_2FC1, 0xF2F5_2010, 0x794C_7630, 0xCA45_1A4E];

/// Not everything can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The watches of one worktree.
pub struct Watches {
    descriptor: OwnedFd,
    /// The directories, relative to the worktree, by the numbers of their watches.
    paths: HashMap<i32, PathBuf>,
    /// Those that may not be opened cannot be watched either, and are looked at each time.
    unwatched: BTreeSet<PathBuf>,
    /// What has changed and was not looked at yet.
    changed: BTreeSet<PathBuf>,
    /// Something was missed.
    has_missed: bool,
    /// The file systems that were mounted when this was made.
    mounts: blake3::Hash,
}

impl fmt::Debug for Watches {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watches").field("watched", &self.paths.len()).field("changed", &self.changed).finish_non_exhaustive()
    }
}

impl Watches {
    /// No watches yet, for a worktree with about so many directories; `None` where they could not be relied on or are too many.
    pub fn new(worktree: &Path, directories: usize) -> Option<Self> {
        let kind = rustix::fs::statfs(worktree).ok()?.f_type;
        // The index of files takes up to a half, and editors and builds watch files too.
        let is_affordable = directories <= most() / 3;
        if !is_affordable || !LOCAL.contains(&u64::try_from(kind).ok()?) {
            return None;
        }
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let (paths, mounts) = (HashMap::with_capacity(directories), mounts().ok()?);
        Some(Self { descriptor, paths, unwatched: BTreeSet::new(), changed: BTreeSet::new(), has_missed: false, mounts })
    }

    /// Watches a directory, which is `relative` in the worktree; gives the number of the watch.
    ///
    /// # Errors
    /// When there are as many watches as there may be.
    pub fn add(&mut self, directory: &Path, relative: &Path) -> Result<Option<i32>, Full> {
        match inotify::add_watch(self.descriptor.as_fd(), directory, FLAGS) {
            // Of a directory that was moved here: its watch has moved with it.
            Ok(watch) => {
                self.paths.insert(watch, relative.to_owned());
                self.unwatched.remove(relative);
                Ok(Some(watch))
            }
            Err(Errno::NOSPC | Errno::NOMEM) => Err(Full),
            Err(_) => {
                self.unwatched.insert(relative.to_owned());
                Ok(None)
            }
        }
    }

    /// Watches a directory no more that is not there any more, unless it is elsewhere now.
    pub fn remove(&mut self, watch: Option<i32>, relative: &Path) {
        self.unwatched.remove(relative);
        let Some(watch) = watch.filter(|watch| self.paths.get(watch).is_some_and(|path| path == relative)) else { return };
        self.paths.remove(&watch);
        // It ends by itself with its directory.
        let _ = inotify::remove_watch(self.descriptor.as_fd(), watch);
    }

    /// What has changed, or may have; `None` when that is not known and everything must be looked at.
    #[must_use]
    pub fn changed(&mut self) -> Option<BTreeSet<PathBuf>> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.descriptor.as_fd(), &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT) {
                self.has_missed = true;
            } else if flags.contains(ReadFlags::IGNORED) {
                // Another directory may have come to its place, even with the same inode.
                self.changed.extend(self.paths.remove(&event.wd()));
            } else if let Some(path) = self.paths.get(&event.wd()).filter(|path| !self.changed.contains(*path)) {
                self.changed.insert(path.clone());
            }
        }
        self.has_missed |= mounts().ok() != Some(self.mounts);
        self.changed.extend(self.unwatched.iter().cloned());
        (!self.has_missed).then(|| self.changed.clone())
    }

    /// What has changed was looked at.
    pub fn settle(&mut self) {
        self.changed.clear();
    }
}

/// A file system that is mounted over a directory hides it, and nothing tells that.
fn mounts() -> io::Result<blake3::Hash> {
    Ok(blake3::hash(&std::fs::read("/proc/self/mountinfo")?))
}

/// How many directories one user may watch.
fn most() -> usize {
    let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
    text.trim().parse().unwrap_or(8192)
}
