//! At most one owner per data directory: the process that holds the lock file. The kernel releases the lock when the
//! process ends, so a killed daemon never blocks the next one. The file describes the owner; an owner that has exited
//! may leave a note why.

use std::{
    fs::{File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

/// What kind of process the owner is.
pub use polytree_protocol::diagnose::DiagnosisStart as OwnerKind;
use serde::{Deserialize, Serialize};

use super::Error;

/// How often, and after which delay, taking the lock is retried while other processes only probe it.
const PROBE_RETRIES: (u32, Duration) = (500, Duration::from_millis(1));

/// The owner of a data directory, as described in the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub pid: u32,
    pub version: String,
    pub socket: PathBuf,
    #[serde(default)]
    pub kind: OwnerKind,
}

/// The last owner has exited so that a newer version can start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The version that is to start.
    pub version: String,
    /// Until when older versions wait for it, in milliseconds since 1970.
    pub until: i64,
}

/// The state of the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// The directory has no owner. The last owner may have made room for a newer version.
    Free(Option<Room>),
    /// The directory has an owner; `None` until the owner has written its description.
    Owned(Option<Owner>),
}

/// The content of the lock file.
#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    owner: Owner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<Room>,
    /// The owner has exited because of `polytree stop`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
}

/// The lock; released on drop.
#[derive(Debug)]
pub struct Ownership {
    file: File,
    path: PathBuf,
    kind: OwnerKind,
    /// Locked only while one small file is written.
    owner: Mutex<Owner>,
    /// The path and identity of the open store.
    #[cfg(unix)]
    store: OnceLock<(PathBuf, Identity)>,
    #[cfg(not(unix))]
    store: OnceLock<PathBuf>,
}

/// A file's device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

impl Ownership {
    /// Takes the lock, or returns its owner (`None` until that one has written its description).
    ///
    /// # Errors
    /// When the lock file cannot be created or read.
    pub fn take(directory: &Path, owner: &Owner) -> Result<Result<Self, Option<Owner>>, Error> {
        let path = path(directory);
        let failed = |source| Error::File { path: path.clone(), source };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(failed)?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // An owner holds the lock exclusively, probes share it: a shared lock that succeeds means that only probes
            // are in the way.
            match file.try_lock_shared() {
                Ok(()) => file.unlock().map_err(failed)?,
                Err(TryLockError::WouldBlock) => return Ok(Err(read(&file).map(|content| content.owner))),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            tries += 1;
            if tries == PROBE_RETRIES.0 {
                return Ok(Err(None));
            }
            std::thread::sleep(PROBE_RETRIES.1);
        }
        let ownership = Self { file, path: path.clone(), kind: owner.kind, owner: Mutex::new(owner.clone()), store: OnceLock::new() };
        ownership.write(None, false).map_err(failed)?;
        Ok(Ok(ownership))
    }

    /// Writes the socket on which the owner listens.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn listen_at(&self, socket: &Path) -> std::io::Result<()> {
        socket.clone_into(&mut self.owner.lock().unwrap_or_else(PoisonError::into_inner).socket);
        self.write(None, false)
    }

    /// From now on [`Ownership::is_in_place`] checks the open store too. Called once.
    ///
    /// # Errors
    /// When the store is not there.
    pub fn watch_store(&self, store: &Path) -> Result<(), Error> {
        let metadata = std::fs::metadata(store).map_err(|source| Error::File { path: store.to_owned(), source })?;
        #[cfg(unix)]
        let watched = (store.to_owned(), identity(&metadata));
        #[cfg(not(unix))]
        let watched = {
            drop(metadata);
            store.to_owned()
        };
        let _ = self.store.set(watched);
        Ok(())
    }

    /// Whether the lock file and the store are still at their paths. If one of them, or the directory, was removed or
    /// replaced, writes are lost, and another process may own the new directory.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        #[cfg(unix)]
        {
            let held = self.file.metadata();
            let is_lock_there = held.map_or(true, |held| is_at(&self.path, identity(&held)));
            is_lock_there && self.store.get().is_none_or(|(path, held)| is_at(path, *held))
        }
        #[cfg(not(unix))]
        {
            self.path.exists() && self.store.get().is_none_or(|path| path.exists())
        }
    }

    /// Writes that the owner exits for a newer version; for processes that read the file after the lock is released.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn make_room(&self, room: Room) -> std::io::Result<()> {
        self.write(Some(room), false)
    }

    /// Writes that the owner exits because of `polytree stop`, so that clients do not start the next one at once.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn note_stop(&self) -> std::io::Result<()> {
        self.write(None, true)
    }

    /// Whether the directory has no owner because the last one was stopped.
    #[must_use]
    pub fn was_stopped(directory: &Path) -> bool {
        let Ok(file) = File::options().read(true).open(path(directory)) else { return false };
        file.try_lock_shared().is_ok() && read(&file).is_some_and(|content| content.stopped)
    }

    fn write(&self, room: Option<Room>, stopped: bool) -> std::io::Result<()> {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = serde_json::to_string(&Content { owner, room, stopped })?;
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    }

    #[must_use]
    pub fn kind(&self) -> OwnerKind {
        self.kind
    }

    /// The current state of the lock.
    #[must_use]
    pub fn lock_state(directory: &Path) -> LockState {
        let Ok(file) = File::options().read(true).open(path(directory)) else { return LockState::Free(None) };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => LockState::Owned(read(&file).map(|content| content.owner)),
            _ => LockState::Free(read(&file).and_then(|content| content.room)),
        }
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // Unlocks explicitly: a subprocess between fork and exec shares the descriptor and would keep the lock.
        let _ = self.file.unlock();
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Whether the file with this identity is at the path. A path that cannot be accessed counts as unchanged.
#[cfg(unix)]
fn is_at(path: &Path, held: Identity) -> bool {
    match std::fs::metadata(path) {
        Ok(there) => identity(&there) == held,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory),
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("daemon.lock")
}

fn read(file: &File) -> Option<Content> {
    let mut text = String::new();
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Owner {
        Owner { pid, version: "1".into(), socket: "/run/x".into(), kind: OwnerKind::Detached }
    }

    #[test]
    fn a_stopped_owner_leaves_a_note() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner { pid: 1, version: "1".into(), socket: "/run/x".into(), kind: OwnerKind::Detached };
        let stopped = || Ownership::was_stopped(directory.path());
        assert!(!stopped());
        let first = Ownership::take(directory.path(), &owner).unwrap().unwrap();
        first.note_stop().unwrap();
        assert!(!stopped(), "it is still here");
        drop(first);
        assert!(stopped());
        drop(Ownership::take(directory.path(), &owner).unwrap().unwrap());
        assert!(!stopped(), "the next one has ended in another way");
    }

    #[test]
    fn the_second_learns_the_owner_and_a_drop_releases_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Ownership::lock_state(directory.path()), LockState::Free(None));
        let first = Ownership::take(directory.path(), &process(1)).unwrap().unwrap();
        assert_eq!(Ownership::take(directory.path(), &process(2)).unwrap().unwrap_err(), Some(process(1)));
        assert_eq!(Ownership::lock_state(directory.path()), LockState::Owned(Some(process(1))));
        drop(first);
        assert_eq!(Ownership::lock_state(directory.path()), LockState::Free(None));
        assert!(Ownership::take(directory.path(), &process(3)).unwrap().is_ok());
    }

    #[test]
    fn others_read_the_current_socket() {
        let directory = tempfile::tempdir().unwrap();
        let first = Ownership::take(directory.path(), &process(1)).unwrap().unwrap();
        first.listen_at(Path::new("/run/y")).unwrap();
        assert_eq!(Ownership::lock_state(directory.path()), LockState::Owned(Some(Owner { socket: "/run/y".into(), ..process(1) })));
    }

    #[test]
    fn an_owner_notices_that_its_directory_was_removed_or_replaced() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("data");
        for replaced in [false, true] {
            std::fs::create_dir(&directory).unwrap();
            let owner = Ownership::take(&directory, &process(1)).unwrap().unwrap();
            assert!(owner.is_in_place());
            if replaced {
                std::fs::rename(&directory, root.path().join("old")).unwrap();
                std::fs::create_dir(&directory).unwrap();
                drop(Ownership::take(&directory, &process(2)).unwrap().unwrap());
            } else {
                std::fs::remove_dir_all(&directory).unwrap();
            }
            assert!(!owner.is_in_place());
        }
    }

    #[test]
    fn an_owner_notices_that_its_store_was_removed_or_replaced() {
        for is_replaced in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let (store, backup) = (directory.path().join("polytree.db"), directory.path().join("backup.db"));
            let owner = Ownership::take(directory.path(), &process(1)).unwrap().unwrap();
            assert!(owner.watch_store(&store).is_err(), "there is none yet");
            std::fs::write(&store, "1").unwrap();
            std::fs::write(&backup, "2").unwrap();
            owner.watch_store(&store).unwrap();
            std::fs::write(&store, "changed").unwrap();
            assert!(owner.is_in_place());
            if is_replaced {
                std::fs::rename(&backup, &store).unwrap();
            } else {
                std::fs::remove_file(&store).unwrap();
            }
            assert!(!owner.is_in_place());
        }
    }

    #[test]
    fn room_is_kept_until_the_next_owner() {
        let directory = tempfile::tempdir().unwrap();
        let first = Ownership::take(directory.path(), &process(1)).unwrap().unwrap();
        let room = Room { version: "2".into(), until: 5 };
        first.make_room(room.clone()).unwrap();
        assert_eq!(Ownership::lock_state(directory.path()), LockState::Owned(Some(process(1))));
        drop(first);
        assert_eq!(Ownership::lock_state(directory.path()), LockState::Free(Some(room)));
        drop(Ownership::take(directory.path(), &process(2)).unwrap().unwrap());
        assert_eq!(Ownership::lock_state(directory.path()), LockState::Free(None));
    }

    #[test]
    fn a_lock_file_of_an_earlier_version_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let held = Ownership::take(directory.path(), &process(1)).unwrap().unwrap();
        std::fs::write(path(directory.path()), r#"{"pid":7,"version":"0.0.9","socket":"/s"}"#).unwrap();
        let LockState::Owned(Some(owner)) = Ownership::lock_state(directory.path()) else { panic!() };
        assert_eq!((owner.pid, owner.kind), (7, OwnerKind::Foreground));
        drop(held);
    }

    #[test]
    fn probes_do_not_block_an_owner() {
        let directory = tempfile::tempdir().unwrap();
        drop(Ownership::take(directory.path(), &process(1)).unwrap().unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let _ = Ownership::lock_state(directory.path());
                    }
                });
            }
            for number in 0..50 {
                drop(Ownership::take(directory.path(), &process(number)).unwrap().expect("nobody owns it"));
            }
        });
    }
}
