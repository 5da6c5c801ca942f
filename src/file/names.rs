//! Reads the names and types in a directory with few system calls and reused buffers, for walks of very many
//! directories.

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

/// The state of a directory, to detect that it was changed or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The modification time, in nanoseconds since 1970.
    pub changed: i64,
    /// The inode number; 0 if there is none.
    pub identity: u64,
}

/// The buffer for one system call, in bytes.
#[cfg(target_os = "linux")]
const BUFFER_BYTES: usize = 32 * 1024;

/// An open directory. Subdirectories are opened relative to it, without resolving the whole path again.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct Directory(rustix::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Directory {
    /// Opens a directory at a real path.
    ///
    /// # Errors
    /// When it is not a directory, not readable, or the path contains a symbolic link.
    pub fn open(path: &AbsPath) -> io::Result<Self> {
        super::open::system::open_directory(path).map(Self)
    }

    /// Opens a subdirectory by its name.
    ///
    /// # Errors
    /// When it is not a directory (a symbolic link is none), or not readable.
    pub fn child(&self, name: &[u8]) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }
}

/// A directory to read.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Directory(PathBuf);

#[cfg(not(target_os = "linux"))]
impl Directory {
    /// A directory at a real path.
    pub fn open(path: &AbsPath) -> io::Result<Self> {
        Ok(Self(path.as_path().to_owned()))
    }

    /// A subdirectory by its name.
    pub fn child(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(self.0.join(as_path(name))))
    }
}

impl Names {
    /// Reads a directory, replacing the previous names. Returns its state before reading.
    pub fn read(&mut self, directory: &Directory) -> io::Result<State> {
        self.bytes.clear();
        self.entries.clear();
        self.fill(directory)
    }

    /// The names, in the order of the file system.
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
        buffer.reserve(BUFFER_BYTES);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not return the type.
                FileType::Unknown => kind(stat_type(directory, name)),
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
fn stat_type(directory: &rustix::fd::OwnedFd, name: &[u8]) -> rustix::fs::FileType {
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

/// The state of a directory.
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

/// Converts a name, or several separated by `/`, to a path.
#[cfg(unix)]
pub fn as_path(name: &[u8]) -> &Path {
    Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

/// Converts a name, or several separated by `/`, to a path.
#[cfg(not(unix))]
pub fn as_path(name: &[u8]) -> std::borrow::Cow<'_, Path> {
    match String::from_utf8_lossy(name) {
        std::borrow::Cow::Borrowed(text) => std::borrow::Cow::Borrowed(Path::new(text)),
        std::borrow::Cow::Owned(text) => std::borrow::Cow::Owned(PathBuf::from(text)),
    }
}
