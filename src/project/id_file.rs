//! The file `polytree-id` in a repository's common git directory, the only file that is written there. It is created
//! atomically, concurrent processes agree on one id, and a valid id is only replaced by a process that knows it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    thread,
    time::Duration,
};

use polytree_protocol::id::ProjectId;
use tempfile::NamedTempFile;

use crate::{
    git::small_file::{self, Links},
    stdx::paths::AbsPath,
};

/// The file's name.
pub const NAME: &str = "polytree-id";

const MAX_BYTES: u64 = 64;

/// The content of the id file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdFile {
    /// It does not exist.
    Missing,
    /// Not an id: other text, a symbolic link, an unreadable file.
    Invalid,
    /// The project's id.
    Valid(ProjectId),
}

impl IdFile {
    /// The id, if there is a valid one.
    #[must_use]
    pub fn id(&self) -> Option<&ProjectId> {
        match self {
            IdFile::Valid(id) => Some(id),
            IdFile::Missing | IdFile::Invalid => None,
        }
    }
}

/// Reads the id file. Does not follow links; unreadable files are `Invalid`.
#[must_use]
pub fn read(common_dir: &AbsPath) -> IdFile {
    match small_file::read(common_dir.join(NAME).as_path(), MAX_BYTES, Links::Refuse) {
        Ok(content) => {
            let text = std::str::from_utf8(&content).unwrap_or_default();
            ProjectId::parse(text.trim_end()).map_or(IdFile::Invalid, IdFile::Valid)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => IdFile::Missing,
        Err(_) => IdFile::Invalid,
    }
}

/// Writes an id if there is none, and returns the repository's id: that of another process, if it was first.
///
/// # Errors
/// If the repository is not writable.
pub fn create(common_dir: &AbsPath, wanted: &ProjectId) -> io::Result<ProjectId> {
    write(common_dir, wanted, None)
}

/// Replaces the id `old` of a copied repository, and returns the repository's id.
///
/// # Errors
/// If the repository is not writable.
pub fn replace(common_dir: &AbsPath, old: &ProjectId, wanted: &ProjectId) -> io::Result<ProjectId> {
    write(common_dir, wanted, Some(old))
}

fn write(common_dir: &AbsPath, wanted: &ProjectId, replaced: Option<&ProjectId>) -> io::Result<ProjectId> {
    let lock = lock(common_dir);
    match read(common_dir) {
        IdFile::Valid(id) if Some(&id) != replaced => return Ok(id),
        IdFile::Missing => put_new(common_dir, wanted)?,
        // Only the lock ensures that another process does not write a valid id between reading and renaming.
        IdFile::Valid(_) | IdFile::Invalid if lock.is_some() => {
            prepare(common_dir, wanted)?.persist(common_dir.join(NAME)).map_err(|error| error.error)?;
        }
        IdFile::Valid(_) | IdFile::Invalid => return Err(io::ErrorKind::WouldBlock.into()),
    }
    match read(common_dir) {
        IdFile::Valid(id) => Ok(id),
        IdFile::Missing | IdFile::Invalid => Err(io::Error::other("the id file cannot be read back")),
    }
}

fn put_new(common_dir: &AbsPath, id: &ProjectId) -> io::Result<()> {
    match prepare(common_dir, id)?.persist_noclobber(common_dir.join(NAME)) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A file system without exclusive rename and hard links. Other processes may read a partial file, which is invalid,
        // but the lock keeps them from replacing it.
        Err(_) => {
            let mut file = match OpenOptions::new().write(true).create_new(true).open(common_dir.join(NAME)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
                opened => opened?,
            };
            file.write_all(line(id).as_bytes())
        }
    }
}

/// The complete file under a temporary name, which is removed if it is not renamed. Not synced: a partial file after a
/// power failure is invalid, and is written again.
fn prepare(common_dir: &AbsPath, id: &ProjectId) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".polytree-id-").tempfile_in(common_dir)?;
    file.write_all(line(id).as_bytes())?;
    take_mode_of_head(common_dir, file.as_file())?;
    Ok(file)
}

fn line(id: &ProjectId) -> String {
    format!("{id}\n")
}

/// Readable for users who can read the repository, such as the group of a shared one.
#[cfg(unix)]
fn take_mode_of_head(common_dir: &AbsPath, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = fs::metadata(common_dir.join("HEAD")).map_or(0o644, |head| head.permissions().mode());
    file.set_permissions(fs::Permissions::from_mode(mode & 0o666))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "same signature on all platforms")]
fn take_mode_of_head(_: &AbsPath, _: &File) -> io::Result<()> {
    Ok(())
}

/// Locks the directory itself, which leaves no file in it. `None` if this is not possible or times out.
fn lock(common_dir: &AbsPath) -> Option<File> {
    let directory = File::open(common_dir).ok()?;
    // Other processes hold it for one small write; the wait is limited.
    for _ in 0..200 {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use ulid::Ulid;

    use super::*;

    fn directory() -> (tempfile::TempDir, AbsPath) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let path = AbsPath::new(directory.path()).unwrap();
        (directory, path)
    }

    fn names(path: &AbsPath) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn new_id() -> ProjectId {
        ProjectId::from_ulid(Ulid::generate())
    }

    #[test]
    fn the_first_id_stays() {
        let (_keep, path) = directory();
        assert_eq!(read(&path), IdFile::Missing);
        let id = new_id();
        assert_eq!(create(&path, &id).unwrap(), id);
        assert_eq!(fs::read_to_string(path.join(NAME)).unwrap(), format!("{id}\n"));
        assert_eq!(create(&path, &new_id()).unwrap(), id);
        assert_eq!(replace(&path, &new_id(), &new_id()).unwrap(), id, "replacing needs the old id");
        let other = new_id();
        assert_eq!(replace(&path, &id, &other).unwrap(), other);
        assert_eq!(names(&path), ["HEAD", NAME]);
    }

    #[test]
    fn what_is_no_id_is_replaced() {
        for content in ["", "prj_", "prj_01ARZ3NDEKTSV4RRFFQ69G5FAV and more\n", "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV\n", &"x".repeat(10_000)] {
            let (_keep, path) = directory();
            fs::write(path.join(NAME), content).unwrap();
            assert_eq!(read(&path), IdFile::Invalid, "{content:?}");
            let id = new_id();
            assert_eq!(create(&path, &id).unwrap(), id);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_its_target_left_alone() {
        let (_keep, path) = directory();
        let (_keep_outside, outside) = directory();
        let target = outside.join("victim");
        fs::write(&target, format!("{}\n", new_id())).unwrap();
        let before = fs::read(&target).unwrap();
        std::os::unix::fs::symlink(&target, path.join(NAME)).unwrap();
        assert_eq!(read(&path), IdFile::Invalid);
        let id = new_id();
        assert_eq!(create(&path, &id).unwrap(), id);
        assert_eq!(fs::read(&target).unwrap(), before);
        assert!(fs::symlink_metadata(path.join(NAME)).unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn has_the_mode_of_the_repository() {
        use std::os::unix::fs::PermissionsExt as _;

        for mode in [0o640, 0o664, 0o600] {
            let (_keep, path) = directory();
            fs::set_permissions(path.join("HEAD"), fs::Permissions::from_mode(mode)).unwrap();
            create(&path, &new_id()).unwrap();
            assert_eq!(fs::metadata(path.join(NAME)).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    fn create_at_once(path: &AbsPath) -> Vec<io::Result<ProjectId>> {
        let barrier = Barrier::new(8);
        let writer = || {
            let id = new_id();
            barrier.wait();
            create(path, &id)
        };
        thread::scope(|scope| {
            let writers: Vec<_> = (0..8).map(|_| scope.spawn(writer)).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        })
    }

    #[test]
    fn all_who_write_at_once_agree() {
        for content in [None, Some("rubbish")] {
            let (_keep, path) = directory();
            if let Some(content) = content {
                fs::write(path.join(NAME), content).unwrap();
            }
            let ids: Vec<ProjectId> = create_at_once(&path).into_iter().map(Result::unwrap).collect();
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
            assert_eq!(read(&path), IdFile::Valid(ids[0].clone()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_can_keep_others_waiting_by_holding_the_lock() {
        let (_keep, path) = directory();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        let ids: Vec<ProjectId> = create_at_once(&path).into_iter().map(Result::unwrap).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        // Replacing needs the lock, or a valid id might be lost.
        fs::write(path.join(NAME), "rubbish").unwrap();
        assert_eq!(create(&path, &new_id()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(create(&path, &new_id()).is_ok());
    }
}
