//! Reads the small files of a git directory, which may come from a stranger: never waits on a pipe or a device,
//! never reads more than it was told to.

use std::{
    cell::Cell,
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    path::Path,
};

use crate::stdx::process::descriptors;

/// What to do when the name is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Read what it points to, as git does for its own files.
    Follow,
    /// Fail: a link in place of our own file is somebody's trap.
    Refuse,
}

thread_local! {
    /// A file could not be opened on this thread because there were no more descriptors.
    static EXHAUSTED: Cell<bool> = const { Cell::new(false) };
}

/// Looks at something by its small files, where a file that cannot be read counts as one that is not there. Fails where
/// one could not be opened only because there are no more descriptors: nothing can be said then.
///
/// # Errors
/// As the look itself, or when there are no more descriptors.
pub fn certain<T>(look: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    EXHAUSTED.set(false);
    let seen = look();
    if EXHAUSTED.take() { Err(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())) } else { seen }
}

/// The limit of a file that holds one path or name, such as `HEAD`, `commondir` and `gitdir`; more is not from git.
const LINE_BYTES: u64 = 4 << 10;

/// The one line of a file; `None` where it cannot be read or holds anything else.
#[must_use]
pub fn one_line(path: &Path) -> Option<String> {
    let text = String::from_utf8(read(path, LINE_BYTES, Links::Follow).ok()?).ok()?;
    let line = text.trim_end_matches(['\n', '\r']);
    (!line.is_empty() && !line.contains(['\n', '\0'])).then(|| line.to_owned())
}

/// The whole content of a regular file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be opened, is no regular file, or is longer (`InvalidData`).
pub fn read(path: &Path, limit: u64, links: Links) -> io::Result<Vec<u8>> {
    read_with_metadata(path, limit, links).map(|(content, _)| content)
}

/// The same, with what was known of the file before it was read.
///
/// # Errors
/// As [`read`].
pub fn read_with_metadata(path: &Path, limit: u64, links: Links) -> io::Result<(Vec<u8>, Metadata)> {
    let file = open(path, links).inspect_err(|error| EXHAUSTED.set(EXHAUSTED.get() || descriptors::is_exhaustion(error)))?;
    // Asked of the open file, not of the path, so that nothing can be exchanged between the question and the reading.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0) + 1);
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than such a file can be"));
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
    fn refuses_what_is_not_a_small_plain_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "12345").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();

        assert_eq!(read(&path("file"), 5, Links::Refuse).unwrap(), b"12345");
        assert_eq!(read(&path("link"), 5, Links::Follow).unwrap(), b"12345");
        assert!(read(&path("file"), 4, Links::Follow).is_err());
        assert!(read(&path("link"), 5, Links::Refuse).is_err());
        // A pipe without a writer would block for ever if it were opened in the ordinary way.
        assert!(read(&path("pipe"), 5, Links::Follow).is_err());
        assert!(read(directory.path(), 5, Links::Follow).is_err());
        assert!(read(Path::new("/dev/zero"), 5, Links::Follow).is_err());
    }
}
