//! One owner for each data directory: whoever holds the lock file. The kernel lets go of the lock with the process,
//! however it ends, so a killed daemon never blocks the next one.

use std::{
    fs::{File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Error;

/// Who owns a data directory, as its lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Where it listens.
    pub socket: PathBuf,
}

/// The held lock; let go when dropped.
#[derive(Debug)]
pub struct Ownership {
    _file: File,
}

impl Ownership {
    /// Takes the lock, or tells who holds it (`None` while that one has not said who it is).
    ///
    /// # Errors
    /// When the lock file cannot be created or read.
    pub fn take(directory: &Path, me: &Owner) -> Result<Result<Self, Option<Owner>>, Error> {
        let path = directory.join("daemon.lock");
        let failed = |source| Error::File { path: path.clone(), source };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(read(&mut file))),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let text = serde_json::to_string(me)?;
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        Ok(Ok(Self { _file: file }))
    }

    /// Tells who owns the directory now; `None` when nobody does.
    #[must_use]
    pub fn look(directory: &Path) -> Option<Owner> {
        let mut file = File::options().read(true).open(directory.join("daemon.lock")).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read(&mut file),
            _ => None,
        }
    }
}

fn read(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_learns_who_is_first_and_a_drop_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let me = |pid| Owner { pid, version: "1".into(), socket: "/run/x".into() };
        assert_eq!(Ownership::look(directory.path()), None);
        let first = Ownership::take(directory.path(), &me(1)).unwrap().unwrap();
        assert_eq!(Ownership::take(directory.path(), &me(2)).unwrap().unwrap_err(), Some(me(1)));
        assert_eq!(Ownership::look(directory.path()), Some(me(1)));
        drop(first);
        assert_eq!(Ownership::look(directory.path()), None);
        assert!(Ownership::take(directory.path(), &me(3)).unwrap().is_ok());
    }
}
