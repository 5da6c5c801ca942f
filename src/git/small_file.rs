//! Reads small files of a git directory, which may be untrusted: never blocks on a pipe or a device, and never reads
//! more than the limit.

use std::{
    cell::Cell,
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    path::Path,
};

use crate::stdx::process::descriptors;

/// How to treat a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Read the target, as git does for its own files.
    Follow,
    /// Fail: a link in place of one of our own files may be an attack.
    Refuse,
}

thread_local! {
    /// Opening a file on this thread has failed because of the descriptor limit.
    static EXHAUSTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a check that treats unreadable files as missing, and fails if one was unreadable only because of the descriptor
/// limit: then the result of the check would be wrong.
///
/// # Errors
/// The error of the check, or `EMFILE`.
pub fn with_descriptor_check<T>(check: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    EXHAUSTED.set(false);
    let result = check();
    if EXHAUSTED.take() { Err(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())) } else { result }
}

/// The size limit of a file that contains one path or name, such as `HEAD`, `commondir` and `gitdir`.
const MAX_LINE_BYTES: u64 = 4 << 10;

/// The line of a one-line file; `None` if it cannot be read or has other content.
pub fn one_line(path: &Path) -> Option<String> {
    let text = String::from_utf8(read(path, MAX_LINE_BYTES, Links::Follow).ok()?).ok()?;
    let line = text.trim_end_matches(['\n', '\r']);
    (!line.is_empty() && !line.contains(['\n', '\0'])).then(|| line.to_owned())
}

/// The whole content of a regular file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be opened, is not a regular file, or is longer (`InvalidData`).
pub fn read(path: &Path, limit: u64, links: Links) -> io::Result<Vec<u8>> {
    read_with_metadata(path, limit, links).map(|(content, _)| content)
}

/// As [`read`], with the metadata of the file before reading.
pub fn read_with_metadata(path: &Path, limit: u64, links: Links) -> io::Result<(Vec<u8>, Metadata)> {
    let file = open(path, links).inspect_err(|error| EXHAUSTED.set(EXHAUSTED.get() || descriptors::is_exhaustion(error)))?;
    // The metadata of the open file, not of the path, so that the file cannot be exchanged in between.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0) + 1);
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than the limit"));
    }
    Ok((content, metadata))
}

#[cfg(unix)]
fn open(path: &Path, links: Links) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    let flags = match links {
        Links::Follow => OFlags::NONBLOCK,
        Links::Refuse => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path, links: Links) -> io::Result<File> {
    if links == Links::Refuse && std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a symbolic link"));
    }
    OpenOptions::new().read(true).open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn refuses_anything_but_small_regular_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "12345").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();

        assert_eq!(read(&path("file"), 5, Links::Refuse).unwrap(), b"12345");
        assert_eq!(read(&path("link"), 5, Links::Follow).unwrap(), b"12345");
        assert!(read(&path("file"), 4, Links::Follow).is_err());
        assert!(read(&path("link"), 5, Links::Refuse).is_err());
        // A pipe without a writer would block for ever with a plain `open`.
        assert!(read(&path("pipe"), 5, Links::Follow).is_err());
        assert!(read(directory.path(), 5, Links::Follow).is_err());
        assert!(read(Path::new("/dev/zero"), 5, Links::Follow).is_err());
    }
}
