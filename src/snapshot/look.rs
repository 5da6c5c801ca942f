//! Reads the state of a path without following symbolic links in any component.

use std::{
    fs::{self, Metadata},
    io::{self, Read as _},
    time::{Duration, SystemTime},
};

use super::state::{Mode, State};
use crate::{
    file::open,
    git::{objects::Id, path::git_bytes},
    stdx::paths::AbsPath,
};

/// The granularity of file times: a file that changed this recently may change again without a new time.
const TICK: Duration = Duration::from_millis(20);

/// The stat data of a file. If it is unchanged, so is the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    changed: (i64, i64),
    modified: (i64, i64),
    inode: (u64, u64),
    mode: u32,
    size: u64,
}

impl Stat {
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
            mode: metadata.mode(),
            size: metadata.len(),
        }
    }

    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        let modified = (since.as_secs().try_into().unwrap_or(i64::MAX), since.subsec_nanos().into());
        Self { changed: modified, modified, inode: (0, 0), mode: 0, size: metadata.len() }
    }

    /// Whether the file may change after `looked` without a change of its stat data.
    pub fn is_unsure(&self, looked: SystemTime) -> bool {
        let since = looked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK);
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        self.changed.max(self.modified) >= (seconds, i64::from(since.subsec_nanos()))
    }
}

/// Whether a file was made or written before this time. A file keeps both times where it is moved.
pub fn is_older(path: &AbsPath, time: SystemTime) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let times = [metadata.modified(), metadata.created()];
    times.into_iter().flatten().any(|of_file| of_file + TICK < time)
}

/// The result of [`look`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The state.
    pub state: State,
    /// The content, if there is one and it was read.
    pub content: Option<Vec<u8>>,
    /// A directory is there.
    pub is_directory: bool,
}

impl Seen {
    fn nothing(state: State) -> Self {
        Self { state, content: None, is_directory: false }
    }
}

/// Reads the state of a path. A content of more than `most` bytes is not read.
pub fn look(path: &AbsPath, most: u64) -> Seen {
    match seen(path, most) {
        Ok(seen) => seen,
        Err(error) => match error {
            open::Error::Io(error) if is_absent(&error) => absent(path),
            open::Error::NotDirectory | open::Error::Moved => absent(path),
            error => Seen::nothing(State::unknown(format!("it cannot be read: {error}"))),
        },
    }
}

/// The path is absent, unless a parent directory was replaced by a link.
fn absent(path: &AbsPath) -> Seen {
    let is_link = |parent: &AbsPath| parent.as_path().is_symlink();
    Seen::nothing(match path.ancestors().skip(1).find(is_link) {
        Some(link) => State::unknown(format!("{link} is a symbolic link now")),
        None => State::Absent,
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn seen(path: &AbsPath, most: u64) -> Result<Seen, open::Error> {
    let Some(parent) = path.parent() else { return Ok(Seen { is_directory: true, ..Seen::nothing(State::Absent) }) };
    // Fails if a component is a link.
    open::directory(&parent, 0)?;
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        return Ok(Seen { is_directory: true, ..Seen::nothing(State::Absent) });
    }
    if metadata.is_symlink() {
        let target = git_bytes(fs::read_link(path)?.as_os_str());
        let state = State::Link { id: Id::of(&target), size: target.len() as u64 };
        return Ok(Seen { state, content: Some(target), is_directory: false });
    }
    let (file, metadata) = open::regular(path)?;
    if metadata.len() > most {
        return Ok(Seen::nothing(State::unknown(too_large(metadata.len()))));
    }
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Ok(Seen::nothing(State::unknown(too_large(content.len() as u64))));
    }
    let state = State::File { id: Id::of(&content), size: content.len() as u64, mode: mode_of(&metadata) };
    Ok(Seen { state, content: Some(content), is_directory: false })
}

fn too_large(size: u64) -> String {
    format!("it has {size} bytes, too many to keep")
}

/// The permissions of a file.
#[cfg(unix)]
pub fn mode_of(metadata: &Metadata) -> Mode {
    use std::os::unix::fs::PermissionsExt as _;
    Mode::exact(metadata.permissions().mode())
}

/// The permissions of a file.
#[cfg(not(unix))]
pub fn mode_of(_: &Metadata) -> Mode {
    Mode::of_git(false)
}
