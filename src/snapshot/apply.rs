//! Writes the files of a revert. Each file is checked again right before; one that differs from the plan is left alone.

use std::{fs, io};

use super::{
    journal::Entry,
    look,
    objects::{IMAGE_GONE, Objects},
    state::{Mode, State},
};
use crate::{
    file::save::{self, Ground, MAX_BYTES, Over},
    stdx::paths::AbsPath,
};

/// Where files are written.
pub struct Place<'a> {
    /// The top of the checkout, which must exist and is never created.
    pub root: &'a AbsPath,
    /// The directory in which temporary files are recorded.
    pub notes: &'a AbsPath,
    pub objects: &'a Objects,
    /// An earlier process may have written some of the files.
    pub is_resumed: bool,
    pub faults: &'a Faults,
}

/// Why a file was not written.
#[derive(Debug)]
pub enum Failure {
    /// It was changed since it was planned.
    Changed,
    /// An error of the operating system.
    System(String),
    /// Fault injection.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests end here"))]
    Killed,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// Says of each point whether the process is killed there.
#[cfg(test)]
type Kill = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Fault injection for tests.
#[derive(Default)]
pub struct Faults {
    #[cfg(test)]
    pub kill: Option<Kill>,
}

impl Faults {
    /// A point at which the process may be killed.
    #[cfg_attr(not(test), expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "only tests end here"))]
    pub fn at(&self, place: &str) -> Result<(), Failure> {
        #[cfg(test)]
        if self.kill.as_ref().is_some_and(|kill| kill(place)) {
            return Err(Failure::Killed);
        }
        let _ = place;
        Ok(())
    }
}

impl Place<'_> {
    /// Brings a file to its target state.
    pub fn write(&self, path: &AbsPath, entry: &Entry) -> Result<(), Failure> {
        let seen = look::look(path, MAX_BYTES);
        if seen.state.is_same(&entry.to) && !seen.is_directory {
            if self.is_resumed && entry.to == State::Absent {
                self.remove_directories(path, entry.new_directories);
            }
            return Ok(());
        }
        let is_as_planned = seen.state.is_same(&entry.from) || (self.is_resumed && is_between(&seen.state, entry));
        if !is_as_planned {
            return Err(Failure::Changed);
        }
        if path.is_within(self.root) && !self.root.as_path().is_dir() {
            return Err(Failure::System(format!("{} is gone", self.root)));
        }
        match &entry.to {
            State::Absent => self.remove(path, entry.new_directories),
            State::File { id, mode, .. } => {
                let content = self.objects.read(*id).ok_or_else(|| Failure::System(IMAGE_GONE.into()))?;
                self.file(path, &seen, &content, *mode)
            }
            State::Link { id, .. } => {
                let target = self.objects.read(*id).ok_or_else(|| Failure::System(IMAGE_GONE.into()))?;
                self.link(path, &seen, &target)
            }
            State::Unknown { reason } => Err(Failure::System(reason.clone())),
        }
    }

    fn remove(&self, path: &AbsPath, new_directories: u32) -> Result<(), Failure> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.faults.at("removed")?;
        self.remove_directories(path, new_directories);
        Ok(())
    }

    /// Removes the parent directories that became empty.
    fn remove_directories(&self, path: &AbsPath, new_directories: u32) {
        for parent in path.ancestors().skip(1).take(new_directories as usize).filter(|parent| parent != self.root) {
            if fs::remove_dir(&parent).is_err() {
                break;
            }
        }
    }

    fn file(&self, path: &AbsPath, seen: &look::Seen, content: &[u8], mode: Mode) -> Result<(), Failure> {
        let old = match &seen.state {
            State::File { .. } => Some(fs::symlink_metadata(path)?),
            State::Link { .. } => {
                fs::remove_file(path)?;
                self.faults.at("link removed")?;
                None
            }
            State::Absent | State::Unknown { .. } => None,
        };
        if seen.is_directory {
            remove_empty(path)?;
        }
        if seen.content.as_deref() != Some(content) || old.is_none() {
            let ground = Ground { root: Some(self.root).filter(|root| path.is_within(root)), notes: self.notes, mask: None };
            let over = old.as_ref().map_or(Over::Nothing, Over::File);
            save::save(path, content, over, ground).map_err(|error| Failure::System(error.to_string()))?;
            self.faults.at("saved")?;
        }
        let now = look::mode_of(&fs::symlink_metadata(path)?);
        set_mode(path, now, mode.over(now))
    }

    #[cfg(unix)]
    fn link(&self, path: &AbsPath, seen: &look::Seen, target: &[u8]) -> Result<(), Failure> {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

        use crate::file::{open::system, save::unfinished};

        let parent = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if seen.is_directory {
            remove_empty(path)?;
        }
        system::open_or_make_directory(&parent, Some(self.root).filter(|root| path.is_within(root)), None)?;
        let id = ulid::Ulid::generate();
        let temporary = parent.join(unfinished::name(id));
        std::os::unix::fs::symlink(OsStr::from_bytes(target), &temporary)?;
        fs::rename(&temporary, path).inspect_err(|_| {
            // The error that matters is the first one.
            let _ = fs::remove_file(&temporary);
        })?;
        Ok(())
    }

    #[cfg(not(unix))]
    fn link(&self, _: &AbsPath, _: &look::Seen, _: &[u8]) -> Result<(), Failure> {
        Err(Failure::System("symbolic links cannot be made here".into()))
    }
}

#[cfg(unix)]
fn set_mode(path: &AbsPath, now: Mode, wanted: Mode) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    if now.is_same(wanted) {
        return Ok(());
    }
    // Through the open file, so that a replacement keeps its mode.
    let (file, metadata) = crate::file::open::regular(path).map_err(|error| Failure::System(error.to_string()))?;
    let bits = metadata.permissions().mode() & !0o777 | wanted.bits;
    Ok(file.set_permissions(fs::Permissions::from_mode(bits))?)
}

#[cfg(not(unix))]
fn set_mode(_: &AbsPath, _: Mode, _: Mode) -> Result<(), Failure> {
    Ok(())
}

/// Removes a directory that contains only empty directories.
fn remove_empty(directory: &AbsPath) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_empty(&directory.join(entry.file_name()))?;
        }
    }
    fs::remove_dir(directory)
}

/// Whether a killed process can have left a file in this state.
fn is_between(now: &State, entry: &Entry) -> bool {
    match (now, &entry.from, &entry.to) {
        // The link was removed, the file is not yet in place.
        (State::Absent, State::Link { .. }, State::File { .. }) => true,
        // The content was written, the mode not yet.
        (State::File { id, .. }, _, State::File { id: to, .. }) => id == to,
        _ => false,
    }
}
