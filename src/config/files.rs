//! Reads untrusted files: only regular files, with a size limit, and with a stamp to detect later changes.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    path::Path,
    time::{Duration, SystemTime},
};

/// The size limit of settings, agents and referenced files.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// The coarsest time resolution of file systems: a file that was changed within this time before it was read may change
/// again without a new stamp.
const MAX_TIME_RESOLUTION: Duration = Duration::from_secs(2);

/// Identifies a state of a file without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    changed: (i64, i64),
    #[cfg(unix)]
    identity: (u64, u64),
}

impl Stamp {
    fn new(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            #[cfg(unix)]
            identity: (metadata.dev(), metadata.ino()),
        }
    }

    /// The current stamp of a path; `None` if it cannot be reached.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::new(&metadata))
    }

    /// Whether a change after `read`, the time of reading, always changes the stamp.
    pub fn is_settled(&self, read: SystemTime) -> bool {
        self.modified.and_then(|modified| read.duration_since(modified).ok()).is_some_and(|age| age > MAX_TIME_RESOLUTION)
    }
}

/// Opens a regular file without blocking, as a pipe would.
pub fn open_regular(path: &Path) -> io::Result<(File, Stamp)> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0));
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, Stamp::new(&metadata)))
}

/// Reads a regular file of at most `limit` bytes.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<(Vec<u8>, Stamp)> {
    let (file, stamp) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    Ok((bytes, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap().0, b"12345");
        assert_eq!(read_regular(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(read_regular(directory.path(), 5).is_err());
        assert!(read_regular(&directory.path().join("none"), 5).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(read_regular(&path, 5).is_err());
    }

    #[test]
    fn a_stamp_settles_with_age() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let now = SystemTime::now();
        assert!(!Stamp::of(&path).unwrap().is_settled(now));
        File::options().write(true).open(&path).unwrap().set_modified(now - Duration::from_mins(1)).unwrap();
        assert!(Stamp::of(&path).unwrap().is_settled(now));
    }
}
