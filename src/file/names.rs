//! The names in one directory with what they are, read as fast as the system gives them, for those who read very many
//! directories. The buffers are used again and again.

#[cfg(not(target_os = "linux"))]
use std::path::PathBuf;
use std::{ffi::OsStr, io, path::Path};

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

/// The size of the buffer for one system call.
#[cfg(target_os = "linux")]
const BUFFER: usize = 32 * 1024;

/// A directory that is open. What lies in it is reached from here without going through all names of its path again.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct Directory(rustix::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Directory {
    /// Opens a directory at a real path.
    ///
    /// # Errors
    /// When it is no directory, not readable, or reached through a symlink.
    pub fn open(path: &AbsPath) -> io::Result<Self> {
        super::open::system::open_directory(path).map(Self)
    }

    /// Opens a directory in this one by its name.
    ///
    /// # Errors
    /// When it is no directory but perhaps a symlink to one, or not readable.
    pub fn child(&self, name: &[u8]) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }
}

/// A directory whose names are to be read.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Directory(PathBuf);

#[cfg(not(target_os = "linux"))]
impl Directory {
    /// Takes a directory at a real path.
    ///
    /// # Errors
    /// None here; reading the names fails.
    pub fn open(path: &AbsPath) -> io::Result<Self> {
        Ok(Self(path.as_path().to_owned()))
    }

    /// Takes a directory in this one by its name.
    ///
    /// # Errors
    /// None here; reading the names fails.
    pub fn child(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(self.0.join(as_path(name))))
    }
}

impl Names {
    /// Reads a directory in place of what was read before. Gives how it was before its names were read.
    ///
    /// # Errors
    /// When the system cannot read it, or it is no directory.
    pub fn read(&mut self, directory: &Directory) -> io::Result<State> {
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
    fn fill(&mut self, Directory(directory): &Directory) -> io::Result<State> {
        use rustix::fs::{FileType, RawDir, fstat};
        let state = fstat(directory)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve(BUFFER);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not tell.
                FileType::Unknown => kind(stated(directory, name)),
                known => kind(known),
            };
            self.push(name, kind);
        }
        self.buffer = buffer;
        Ok(State { changed: nanoseconds(state.st_mtime, state.st_mtime_nsec), identity: state.st_ino })
    }

    #[cfg(not(target_os = "linux"))]
    fn fill(&mut self, Directory(directory): &Directory) -> io::Result<State> {
        let state = state(directory)?;
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
fn stated(directory: &rustix::fd::OwnedFd, name: &[u8]) -> rustix::fs::FileType {
    use rustix::fs::{AtFlags, FileType, statat};
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_or(FileType::Unknown, |state| FileType::from_raw_mode(state.st_mode))
}

#[cfg(target_os = "linux")]
fn kind(kind: rustix::fs::FileType) -> Kind {
    use rustix::fs::FileType;
    match kind {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
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
