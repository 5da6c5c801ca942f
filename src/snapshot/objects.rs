//! The object store: contents by id, one file each, readable only by the user. Objects are removed one by one, those first
//! that were used longest ago. Writing an existing object renews it.
//!
//! Objects are not stored in a git repository of our own, because libgit2 reads the user's git settings for that, and a
//! broken settings file would disable undo.

use std::{
    collections::HashSet,
    fs, io,
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use crate::{
    git::objects::Id,
    stdx::{
        paths::AbsPath,
        retention::{Item, Total},
    },
    store::Durability,
};

/// Why a file cannot be restored, once its content was removed.
pub const IMAGE_GONE: &str = "its earlier content was removed, as the limits `storage.snapshot_days` and `storage.snapshot_bytes` say";

/// An object store.
pub struct Objects {
    directory: AbsPath,
    /// The size of all objects, once they were listed.
    bytes: OnceLock<AtomicU64>,
    /// The number of operations that need all objects. Locked while an object is removed or renewed.
    users: Mutex<usize>,
    /// Whether a content survives a power cut as soon as it is written.
    is_synced: bool,
}

/// An object as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    path: PathBuf,
    modified: SystemTime,
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
    /// When the directory cannot be created.
    pub fn open(directory: &AbsPath, durability: Durability) -> io::Result<Self> {
        make_private(directory)?;
        let is_synced = durability == Durability::Power;
        Ok(Self { directory: directory.clone(), bytes: OnceLock::new(), users: Mutex::default(), is_synced })
    }

    /// Stores a content.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, content: &[u8]) -> io::Result<Id> {
        let id = Id::of(content);
        let path = self.path(id);
        if self.renew(id) == Some(content.len() as u64) {
            return Ok(id);
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
        if self.is_synced {
            file.as_file().sync_all()?;
        }
        file.persist(&path).map_err(|error| error.error)?;
        if self.is_synced {
            fs::File::open(parent)?.sync_all()?;
        }
        if let Some(bytes) = self.bytes.get() {
            bytes.fetch_add(content.len() as u64, Ordering::Relaxed);
        }
        Ok(id)
    }

    /// Marks an object as used now; its size, or `None` if it is missing.
    #[must_use]
    pub fn renew(&self, id: Id) -> Option<u64> {
        let _guard = self.users();
        let file = fs::OpenOptions::new().append(true).open(self.path(id)).ok()?;
        // If the time cannot be set, the object is only removed earlier.
        let _ = file.set_modified(SystemTime::now());
        Some(file.metadata().ok()?.len())
    }

    /// Reads a content; `None` if it is missing or damaged.
    #[must_use]
    pub fn read(&self, id: Id) -> Option<Vec<u8>> {
        fs::read(self.path(id)).ok().filter(|content| Id::of(content) == id)
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

    /// The size of all objects in bytes, once they were listed.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.bytes.get().map(|bytes| bytes.load(Ordering::Relaxed))
    }

    /// Removes an object, unless it was used since it was found or an operation needs all objects; returns whether it did.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, object: &Object, size: u64) -> io::Result<bool> {
        let users = self.users();
        let is_same =
            || fs::symlink_metadata(&object.path).and_then(|now| now.modified()).is_ok_and(|modified| modified == object.modified);
        if *users > 0 || !is_same() {
            return Ok(false);
        }
        fs::remove_file(&object.path)?;
        if let Some(bytes) = self.bytes.get() {
            bytes.fetch_sub(size, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// All objects. `needed`: the ids of those that stay, as do those that were used after `since`, in milliseconds since
    /// 1970. Files that a killed process has left unfinished are objects like others.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, needed: &HashSet<Id>, since: i64) -> io::Result<Vec<Item<Object>>> {
        let needed: HashSet<PathBuf> = needed.iter().map(|id| self.path(*id)).collect();
        let mut all = Vec::new();
        for directory in fs::read_dir(&self.directory)? {
            for file in fs::read_dir(directory?.path()).into_iter().flatten().flatten() {
                let Ok(metadata) = file.metadata() else { continue };
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let used = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let used = i64::try_from(used.as_millis()).unwrap_or(i64::MAX);
                let path = file.path();
                let is_needed = used >= since || needed.contains(&path);
                all.push(Item { what: Object { path, modified }, bytes: metadata.len(), used, is_needed });
            }
        }
        let bytes = Total::of(&all).bytes;
        if let Err(new) = self.bytes.set(AtomicU64::new(bytes)) {
            self.bytes.get().into_iter().for_each(|old| old.store(new.load(Ordering::Relaxed), Ordering::Relaxed));
        }
        Ok(all)
    }

    fn path(&self, id: Id) -> PathBuf {
        let name = id.to_string();
        let (first, rest) = name.split_at(2);
        self.directory.as_path().join(first).join(rest)
    }
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
    use crate::stdx::retention::{Clock, Limit, over};

    /// Objects of ten times, the oldest first.
    fn aged(objects: &Objects) -> Vec<Id> {
        let ids: Vec<Id> = (0..10u8).map(|number| objects.write(&[number; 100]).unwrap()).collect();
        for (age, id) in ids.iter().enumerate() {
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + age as u64);
            fs::File::options().append(true).open(objects.path(*id)).unwrap().set_modified(long_ago).unwrap();
        }
        ids
    }

    fn there(objects: &Objects, ids: &[Id]) -> String {
        ids.iter().map(|id| if objects.path(*id).exists() { 'x' } else { '-' }).collect()
    }

    #[test]
    fn objects_go_by_age_and_size_but_for_those_that_are_needed() {
        let place = tempfile::tempdir().unwrap();
        let directory = AbsPath::new(place.path()).unwrap().join("objects");
        let objects = Arc::new(Objects::open(&directory, Durability::Process).unwrap());
        let ids = aged(&objects);
        assert_eq!(objects.size(), None, "not counted yet");
        objects.write(&[0; 100]).unwrap();
        let needed = HashSet::from([ids[2]]);
        let all = objects.list(&needed, i64::MAX).unwrap();
        assert_eq!(objects.size(), Some(1000));
        let limit = Limit { age: None, bytes: Some(600) };
        let over = over(all, limit, &Clock::default());
        // Another one is used meanwhile.
        objects.write(&[3; 100]).unwrap();
        let kept = objects.keep();
        assert!(!over.iter().any(|item| objects.remove(&item.what, item.bytes).unwrap()), "nothing goes while a revert needs all");
        drop(kept);
        let removed = over.iter().filter(|item| objects.remove(&item.what, item.bytes).unwrap()).count();
        assert_eq!((removed, objects.size()), (3, Some(700)));
        assert_eq!(there(&objects, &ids), "x-xx--xxxx", "the first one was written again");
        objects.write(b"one more").unwrap();
        assert_eq!(objects.size(), Some(708));
        objects.list(&needed, 0).unwrap();
        assert_eq!(objects.size(), Some(708));
        assert!(objects.list(&needed, 0).unwrap().iter().all(|item| item.is_needed), "used after that time");
        assert_eq!(objects.renew(ids[1]), None);
    }

    #[test]
    fn all_is_private_and_what_was_cut_is_written_again() {
        let place = tempfile::tempdir().unwrap();
        let directory = AbsPath::new(place.path()).unwrap().join("objects");
        let objects = Objects::open(&directory, Durability::Process).unwrap();
        let ids = aged(&objects);
        for found in objects.list(&HashSet::new(), 0).unwrap() {
            let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&found.what.path), mode(found.what.path.parent().unwrap())), (0o600, 0o700));
        }
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(objects.path(ids[9]), "cut").unwrap();
        assert_eq!(objects.read(ids[9]), None, "it is never given to anybody");
        objects.write(&[9; 100]).unwrap();
        assert_eq!(objects.read(ids[9]).as_deref(), Some(&[9; 100][..]));
    }
}
