//! The names in one directory with what they are, read as fast as the system gives them, for those who read very many
//! directories. The buffers are used again and again.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use super::open::Kind;
use crate::stdx::paths::AbsPath;

/// The names in a directory.
#[derive(Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    entries: Vec<(usize, Kind)>,
    #[cfg(target_os = "linux")]
    buffer: Vec<u8>,
}

/// How a directory is, so that it can be seen whether it has changed or another has taken its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// When its names were last changed, in nanoseconds since 1970.
    pub changed: i64,
    /// The file system's number of it; 0 where there is none.
    pub identity: u64,
}

/// The most bytes that the system gives at once.
#[cfg(target_os = "linux")]
const BUFFER: usize = 32 * 1024;

impl Names {
    /// Reads a directory in place of what was read before. Gives how it was before its names were read.
    ///
    /// # Errors
    /// When it is no directory, not readable, or reached through a symlink.
    pub fn read(&mut self, directory: &AbsPath) -> io::Result<State> {
        self.bytes.clear();
        self.entries.clear();
        self.fill(directory)
    }

    /// The names, in the system's order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Kind)> {
        let mut start = 0;
        self.entries.iter().map(move |(end, kind)| (&self.bytes[std::mem::replace(&mut start, *end)..*end], *kind))
    }

    fn push(&mut self, name: &[u8], kind: Kind) {
        self.bytes.extend_from_slice(name);
        self.entries.push((self.bytes.len(), kind));
    }

    #[cfg(target_os = "linux")]
    fn fill(&mut self, directory: &AbsPath) -> io::Result<State> {
        use rustix::fs::{FileType, RawDir, fstat};
        let descriptor = super::open::system::open_directory(directory)?;
        let state = fstat(&descriptor)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve(BUFFER);
        let mut entries = RawDir::new(&descriptor, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Directory => Kind::Directory,
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Symlink,
                // Some file systems do not tell.
                FileType::Unknown => kind(&join(directory.as_path(), name)),
                _ => Kind::Special,
            };
            self.push(name, kind);
        }
        self.buffer = buffer;
        Ok(State { changed: nanoseconds(state.st_mtime, state.st_mtime_nsec), identity: state.st_ino })
    }

    #[cfg(not(target_os = "linux"))]
    fn fill(&mut self, directory: &AbsPath) -> io::Result<State> {
        let state = state(directory.as_path())?;
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_dir() => Kind::Directory,
                Ok(kind) if kind.is_file() => Kind::File,
                Ok(kind) if kind.is_symlink() => Kind::Symlink,
                _ => Kind::Special,
            };
            self.push(entry.file_name().as_encoded_bytes(), kind);
        }
        Ok(state)
    }
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> Kind {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Kind::Directory,
        Ok(metadata) if metadata.is_symlink() => Kind::Symlink,
        Ok(metadata) if metadata.is_file() => Kind::File,
        _ => Kind::Special,
    }
}

/// How a directory is.
///
/// # Errors
/// When it is no directory or has gone.
pub fn state(directory: &Path) -> io::Result<State> {
    let metadata = directory.symlink_metadata()?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let since = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let identity = 0;
    Ok(State { changed: nanoseconds(since.as_secs().cast_signed(), since.subsec_nanos()), identity })
}

fn nanoseconds(seconds: i64, rest: impl Into<i128>) -> i64 {
    let all = i128::from(seconds) * 1_000_000_000 + rest.into();
    i64::try_from(all).unwrap_or(i64::MAX)
}

/// The path of a name as it was read.
#[must_use]
pub fn join(directory: &Path, name: &[u8]) -> PathBuf {
    directory.join(as_path(name))
}

/// A name, or several with `/` between them, as a path.
#[cfg(unix)]
#[must_use]
pub fn as_path(name: &[u8]) -> &Path {
    Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

/// A name, or several with `/` between them, as a path.
#[cfg(not(unix))]
#[must_use]
pub fn as_path(name: &[u8]) -> std::borrow::Cow<'_, Path> {
    match String::from_utf8_lossy(name) {
        std::borrow::Cow::Borrowed(text) => std::borrow::Cow::Borrowed(Path::new(text)),
        std::borrow::Cow::Owned(text) => std::borrow::Cow::Owned(PathBuf::from(text)),
    }
}
