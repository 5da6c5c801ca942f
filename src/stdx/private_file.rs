//! Files that are for their user alone, such as keys: read without following links or believing what others have put
//! there, and replaced so that at their place there is always a whole one, whatever ends the process.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read as _, Write as _},
    path::Path,
};

use super::paths::AbsPath;

/// Reads the file; `None` where there is none. One that others may read is closed to them first.
///
/// # Errors
/// When it is a link or no regular file, belongs to another user, holds more than `most` bytes, or cannot be read.
pub fn read(path: &AbsPath, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path.as_path()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    check(&file)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it holds more than {most} bytes")));
    }
    Ok(Some(bytes))
}

/// Puts a file with these bytes in the place of the one that is there, if one is: written beside it, flushed to the disk,
/// renamed. What an earlier process has left half-written is removed. There must be only one caller at a time.
///
/// # Errors
/// When the place is a link or no regular file, or the file cannot be written; then the old one is as it was.
pub fn replace(path: &AbsPath, bytes: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.as_path().parent(), path.as_path().file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(odd()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let prefix = beginning(name);
    sweep(directory, &prefix);
    // Such files have mode 0600 from the beginning, and their names are unique.
    let mut file = tempfile::Builder::new().prefix(&prefix).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is on the disk when the directory is. Where that cannot be asked for, the file is there all the same.
    #[cfg(unix)]
    let _ = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

/// How the names of half-written ones begin.
fn beginning(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push("-");
    prefix
}

fn sweep(directory: &Path, prefix: &OsStr) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn odd() -> io::Error {
    io::Error::other("a link or something else than a file is in its place; remove that")
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<std::fs::File> {
    use rustix::{fs::OFlags, io::Errno};
    // A pipe in its place must not make anybody wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match rustix::fs::open(path, flags, rustix::fs::Mode::empty()) {
        Ok(file) => Ok(file.into()),
        Err(Errno::LOOP | Errno::NXIO) => Err(odd()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<std::fs::File> {
    if std::fs::symlink_metadata(path)?.is_file() { std::fs::File::open(path) } else { Err(odd()) }
}

/// What was opened must be the user's own, and for the user alone.
fn check(file: &std::fs::File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(odd());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user; remove it or take it over"));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place() -> (tempfile::TempDir, AbsPath) {
        let directory = tempfile::tempdir().unwrap();
        let path = AbsPath::new(directory.path()).unwrap().join("keys");
        (directory, path)
    }

    fn mode(path: &AbsPath) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_read_and_for_nobody_else() {
        let (directory, path) = place();
        assert_eq!(read(&path, 9).unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!((read(&path, 3).unwrap().unwrap(), mode(&path)), (b"two".to_vec(), 0o600));
        assert_eq!(read(&path, 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
        read(&path, 3).unwrap();
        assert_eq!(mode(&path), 0o600, "one that was open to others is closed");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn no_link_and_no_pipe_is_followed() {
        let (directory, path) = place();
        let target = directory.path().join("target");
        std::fs::write(&target, "theirs").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        for result in [read(&path, 99).map(drop), replace(&path, b"mine")] {
            assert!(result.unwrap_err().to_string().contains("remove that"));
        }
        assert_eq!(std::fs::read(&target).unwrap(), b"theirs");
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path.as_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(read(&path, 99).is_err() && replace(&path, b"mine").is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(read(&path, 99).is_err() && replace(&path, b"mine").is_err());
    }

    #[test]
    fn what_a_crash_has_left_is_swept_and_counts_for_nothing() {
        let (directory, path) = place();
        replace(&path, b"old").unwrap();
        let half = directory.path().join(".keys-x1y2z3");
        std::fs::write(&half, "half of a ke").unwrap();
        assert_eq!(read(&path, 99).unwrap().unwrap(), b"old");
        assert!(half.exists());
        replace(&path, b"new").unwrap();
        assert!(!half.exists());
        assert_eq!(read(&path, 99).unwrap().unwrap(), b"new");
    }
}
