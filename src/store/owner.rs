//! One owner for each data directory: whoever holds the lock file. The kernel lets go of the lock with the process,
//! however it ends, so a killed daemon never blocks the next one. The file says who the owner is, and after it for
//! which version it made room.

use std::{
    fs::{File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::Error;

/// How often, and after which pause, the lock is tried again while others only look at it.
const LOOKERS: (u32, Duration) = (500, Duration::from_millis(1));

/// What kind of process the owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Started by whoever needed it; goes by itself.
    Detached,
    /// `polytree serve`, which a person or a service manager has started.
    #[default]
    Foreground,
    /// Inside a client's process; goes with it.
    Standalone,
}

/// Who owns a data directory, as its lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Where it listens.
    pub socket: PathBuf,
    /// What kind of process it is.
    #[serde(default)]
    pub kind: Kind,
}

/// For whom the last owner has made room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The version that shall come.
    pub version: String,
    /// Until when others wait for it, in milliseconds since 1970.
    pub until: i64,
}

/// What the lock file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nobody owns the directory. The last owner may have made room.
    Free(Option<Room>),
    /// It is owned; `None` while the owner has not said who it is.
    Owned(Option<Owner>),
}

/// The content of the lock file.
#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    owner: Owner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<Room>,
    /// The owner has gone because it was told to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
}

/// The held lock; let go when dropped.
#[derive(Debug)]
pub struct Ownership {
    file: File,
    path: PathBuf,
    kind: Kind,
    /// Plain mutex: held for reading and writing one small file.
    me: Mutex<Owner>,
    /// The open store and its identity.
    #[cfg(unix)]
    store: OnceLock<(PathBuf, Identity)>,
    #[cfg(not(unix))]
    store: OnceLock<PathBuf>,
}

/// A file's device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

impl Ownership {
    /// Takes the lock, or tells who holds it (`None` while that one has not said who it is).
    ///
    /// # Errors
    /// When the lock file cannot be created or read.
    pub fn take(directory: &Path, me: &Owner) -> Result<Result<Self, Option<Owner>>, Error> {
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
            // An owner keeps out those who look; those who look do not keep out each other.
            match file.try_lock_shared() {
                Ok(()) => file.unlock().map_err(failed)?,
                Err(TryLockError::WouldBlock) => return Ok(Err(read(&file).map(|content| content.owner))),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            tries += 1;
            if tries == LOOKERS.0 {
                return Ok(Err(None));
            }
            std::thread::sleep(LOOKERS.1);
        }
        let ownership = Self { file, path: path.clone(), kind: me.kind, me: Mutex::new(me.clone()), store: OnceLock::new() };
        ownership.write(None, false).map_err(failed)?;
        Ok(Ok(ownership))
    }

    /// Notes where the owner listens now.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn listen_at(&self, socket: &Path) -> std::io::Result<()> {
        socket.clone_into(&mut self.me.lock().unwrap_or_else(PoisonError::into_inner).socket);
        self.write(None, false)
    }

    /// From now on the open store must stay in place too. Called once.
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

    /// Whether the lock file and the store are still where others look for them. When one of them, or the directory, was
    /// removed or replaced, what is written is lost, and another process may own the next directory.
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

    /// Notes that the owner goes, so that a newer one can come; for those who come after the lock is let go.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn make_room(&self, room: Room) -> std::io::Result<()> {
        self.write(Some(room), false)
    }

    /// Notes that the owner goes because it was told to; for those who would start the next one at once.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn note_stop(&self) -> std::io::Result<()> {
        self.write(None, true)
    }

    /// Whether nobody owns the directory because the last owner was told to go.
    #[must_use]
    pub fn was_stopped(directory: &Path) -> bool {
        let Ok(file) = File::options().read(true).open(path(directory)) else { return false };
        file.try_lock_shared().is_ok() && read(&file).is_some_and(|content| content.stopped)
    }

    fn write(&self, room: Option<Room>, stopped: bool) -> std::io::Result<()> {
        let owner = self.me.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = serde_json::to_string(&Content { owner, room, stopped })?;
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    }

    /// What kind of process this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Tells who owns the directory now.
    #[must_use]
    pub fn look(directory: &Path) -> Look {
        let Ok(file) = File::options().read(true).open(path(directory)) else { return Look::Free(None) };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Look::Owned(read(&file).map(|content| content.owner)),
            _ => Look::Free(read(&file).and_then(|content| content.room)),
        }
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // Said aloud: a process that is just being started shares the descriptor until it runs its program.
        let _ = self.file.unlock();
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Whether the file with this identity is at the path. A path that cannot be looked at counts as unchanged.
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

    fn me(pid: u32) -> Owner {
        Owner { pid, version: "1".into(), socket: "/run/x".into(), kind: Kind::Detached }
    }

    #[test]
    fn an_owner_that_was_told_to_go_leaves_word() {
        let directory = tempfile::tempdir().unwrap();
        let me = Owner { pid: 1, version: "1".into(), socket: "/run/x".into(), kind: Kind::Detached };
        let stopped = || Ownership::was_stopped(directory.path());
        assert!(!stopped());
        let first = Ownership::take(directory.path(), &me).unwrap().unwrap();
        first.note_stop().unwrap();
        assert!(!stopped(), "it is still here");
        drop(first);
        assert!(stopped());
        drop(Ownership::take(directory.path(), &me).unwrap().unwrap());
        assert!(!stopped(), "the next one has ended in another way");
    }

    #[test]
    fn the_second_learns_who_is_first_and_a_drop_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Ownership::look(directory.path()), Look::Free(None));
        let first = Ownership::take(directory.path(), &me(1)).unwrap().unwrap();
        assert_eq!(Ownership::take(directory.path(), &me(2)).unwrap().unwrap_err(), Some(me(1)));
        assert_eq!(Ownership::look(directory.path()), Look::Owned(Some(me(1))));
        drop(first);
        assert_eq!(Ownership::look(directory.path()), Look::Free(None));
        assert!(Ownership::take(directory.path(), &me(3)).unwrap().is_ok());
    }

    #[test]
    fn others_learn_where_the_owner_listens_now() {
        let directory = tempfile::tempdir().unwrap();
        let first = Ownership::take(directory.path(), &me(1)).unwrap().unwrap();
        first.listen_at(Path::new("/run/y")).unwrap();
        assert_eq!(Ownership::look(directory.path()), Look::Owned(Some(Owner { socket: "/run/y".into(), ..me(1) })));
    }

    #[test]
    fn an_owner_notices_that_its_directory_has_gone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("data");
        for replaced in [false, true] {
            std::fs::create_dir(&directory).unwrap();
            let owner = Ownership::take(&directory, &me(1)).unwrap().unwrap();
            assert!(owner.is_in_place());
            if replaced {
                std::fs::rename(&directory, root.path().join("old")).unwrap();
                std::fs::create_dir(&directory).unwrap();
                drop(Ownership::take(&directory, &me(2)).unwrap().unwrap());
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
            let owner = Ownership::take(directory.path(), &me(1)).unwrap().unwrap();
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
    fn room_is_kept_until_somebody_has_come() {
        let directory = tempfile::tempdir().unwrap();
        let first = Ownership::take(directory.path(), &me(1)).unwrap().unwrap();
        let room = Room { version: "2".into(), until: 5 };
        first.make_room(room.clone()).unwrap();
        assert_eq!(Ownership::look(directory.path()), Look::Owned(Some(me(1))));
        drop(first);
        assert_eq!(Ownership::look(directory.path()), Look::Free(Some(room)));
        drop(Ownership::take(directory.path(), &me(2)).unwrap().unwrap());
        assert_eq!(Ownership::look(directory.path()), Look::Free(None));
    }

    #[test]
    fn a_lock_file_of_an_earlier_version_is_understood() {
        let directory = tempfile::tempdir().unwrap();
        let held = Ownership::take(directory.path(), &me(1)).unwrap().unwrap();
        std::fs::write(path(directory.path()), r#"{"pid":7,"version":"0.0.9","socket":"/s"}"#).unwrap();
        let Look::Owned(Some(owner)) = Ownership::look(directory.path()) else { panic!() };
        assert_eq!((owner.pid, owner.kind), (7, Kind::Foreground));
        drop(held);
    }

    #[test]
    fn those_who_look_keep_nobody_out() {
        let directory = tempfile::tempdir().unwrap();
        drop(Ownership::take(directory.path(), &me(1)).unwrap().unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let _ = Ownership::look(directory.path());
                    }
                });
            }
            for number in 0..50 {
                drop(Ownership::take(directory.path(), &me(number)).unwrap().expect("nobody owns it"));
            }
        });
    }
}
