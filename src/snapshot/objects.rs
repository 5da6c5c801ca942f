//! The object store: contents by id, one file each, readable only by the user. Beyond a size limit the oldest objects are
//! removed. Writing an existing object renews it.
//!
//! Objects are not stored in a git repository of our own, because libgit2 reads the user's git settings for that, and a
//! broken settings file would disable undo.

use std::{
    fs, io,
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use crate::{git::objects::Id, stdx::paths::AbsPath};

/// How full the store is after pruning, in percent.
const PRUNED_TO: u64 = 80;

/// How full the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The size of all objects, in bytes.
    pub bytes: u64,
    /// The size limit, in bytes.
    pub limit: u64,
}

/// An object store.
pub struct Objects {
    directory: AbsPath,
    limit: u64,
    bytes: AtomicU64,
    /// The number of operations that need all objects. Locked while objects are removed.
    users: Mutex<usize>,
}

/// Suspends pruning until it is dropped.
pub struct Kept(Arc<Objects>);

impl Drop for Kept {
    fn drop(&mut self) {
        *self.0.users() -= 1;
    }
}

impl Objects {
    /// Opens the store in a directory, which is created if missing.
    ///
    /// # Errors
    /// When the directory cannot be created or read.
    pub fn open(directory: &AbsPath, limit: u64) -> io::Result<Self> {
        make_private(directory)?;
        let objects = Self { directory: directory.clone(), limit, bytes: AtomicU64::new(0), users: Mutex::default() };
        let all = objects.list()?;
        objects.bytes.store(all.iter().map(|file| file.size).sum(), Ordering::Relaxed);
        Ok(objects)
    }

    /// Stores a content.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, content: &[u8]) -> io::Result<Id> {
        let id = Id::of(content);
        let path = self.path(id);
        if let Ok(file) = fs::OpenOptions::new().append(true).open(&path) {
            // If the time cannot be set, the object is only removed earlier.
            let _ = file.set_modified(SystemTime::now());
            if file.metadata().is_ok_and(|metadata| metadata.len() == content.len() as u64) {
                return Ok(id);
            }
        }
        let parent = path.parent().unwrap_or(self.directory.as_path());
        let mut builder = tempfile::Builder::new();
        // Temporary files have the mode 0600.
        let mut file = match builder.prefix("new-").tempfile_in(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_private(&AbsPath::new(parent).ok_or(io::ErrorKind::InvalidInput)?)?;
                builder.prefix("new-").tempfile_in(parent)?
            }
            file => file?,
        };
        file.write_all(content)?;
        file.persist(&path).map_err(|error| error.error)?;
        self.bytes.fetch_add(content.len() as u64, Ordering::Relaxed);
        Ok(id)
    }

    /// Reads a content; `None` if it is missing or damaged.
    #[must_use]
    pub fn read(&self, id: Id) -> Option<Vec<u8>> {
        fs::read(self.path(id)).ok().filter(|content| Id::of(content) == id)
    }

    /// Whether an object exists.
    #[must_use]
    pub fn contains(&self, id: Id) -> bool {
        self.path(id).exists()
    }

    /// Suspends pruning until the value is dropped.
    #[must_use]
    pub fn keep(self: &Arc<Self>) -> Kept {
        *self.users() += 1;
        Kept(Arc::clone(self))
    }

    fn users(&self) -> MutexGuard<'_, usize> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current size and the limit.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { bytes: self.bytes.load(Ordering::Relaxed), limit: self.limit }
    }

    /// Removes the oldest objects beyond the limit. Does nothing while pruning is suspended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn prune(&self) -> io::Result<()> {
        if self.bytes.load(Ordering::Relaxed) <= self.limit {
            return Ok(());
        }
        let users = self.users();
        if *users > 0 {
            return Ok(());
        }
        let mut all = self.list()?;
        all.sort_by_key(|file| file.modified);
        let mut left: u64 = all.iter().map(|file| file.size).sum();
        let goal = self.limit / 100 * PRUNED_TO;
        for file in all {
            if left <= goal {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                left -= file.size;
            }
        }
        self.bytes.store(left, Ordering::Relaxed);
        Ok(())
    }

    fn path(&self, id: Id) -> PathBuf {
        let name = id.to_string();
        let (first, rest) = name.split_at(2);
        self.directory.as_path().join(first).join(rest)
    }

    fn list(&self) -> io::Result<Vec<Found>> {
        let mut all = Vec::new();
        for directory in fs::read_dir(&self.directory)? {
            for file in fs::read_dir(directory?.path()).into_iter().flatten().flatten() {
                let Ok(metadata) = file.metadata() else { continue };
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                all.push(Found { path: file.path(), size: metadata.len(), modified });
            }
        }
        Ok(all)
    }
}

struct Found {
    path: PathBuf,
    size: u64,
    modified: SystemTime,
}

/// Creates a directory that only its owner can access.
///
/// # Errors
/// When it cannot be made.
pub fn make_private(directory: &AbsPath) -> io::Result<()> {
    let mut make = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.recursive(true).create(directory)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, time::Duration};

    use super::*;

    #[test]
    fn the_oldest_go_and_all_is_private() {
        let place = tempfile::tempdir().unwrap();
        let directory = AbsPath::new(place.path()).unwrap().join("objects");
        let objects = Arc::new(Objects::open(&directory, 1000).unwrap());
        let ids: Vec<Id> = (0..10u8).map(|number| objects.write(&[number; 100]).unwrap()).collect();
        objects.prune().unwrap();
        assert!(ids.iter().all(|id| objects.contains(*id)), "as much as it may hold");
        for (age, id) in ids.iter().enumerate() {
            let long_ago = SystemTime::now() - Duration::from_secs(1000 - age as u64);
            fs::File::options().append(true).open(objects.path(*id)).unwrap().set_modified(long_ago).unwrap();
        }
        objects.write(&[0; 100]).unwrap();
        assert_eq!(objects.usage().bytes, 1000, "it was there");
        objects.write(b"one more").unwrap();
        let kept = objects.keep();
        objects.prune().unwrap();
        assert!(objects.contains(ids[1]), "nothing goes while somebody needs it");
        drop(kept);
        objects.prune().unwrap();
        let there: Vec<bool> = ids.iter().map(|id| objects.contains(*id)).collect();
        assert_eq!(there, [true, false, false, false, true, true, true, true, true, true]);
        assert_eq!(Objects::open(&directory, 1000).unwrap().usage(), objects.usage());
        for found in objects.list().unwrap() {
            assert_eq!(fs::metadata(&found.path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(found.path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        // One that was cut is written again, and never given to anybody.
        fs::write(objects.path(ids[9]), "cut").unwrap();
        assert_eq!(objects.read(ids[9]), None);
        objects.write(&[9; 100]).unwrap();
        assert_eq!(objects.read(ids[9]).as_deref(), Some(&[9; 100][..]));
    }
}
