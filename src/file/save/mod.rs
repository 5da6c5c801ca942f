//! Putting a file in place as a whole: readers see the old bytes or the new ones, never a mixture. Mode, attributes and,
//! where we may, owner are kept. A hard link is separated from its siblings, as git does: package stores share files that way,
//! and an edit of one project must not reach the others. Nothing is flushed to the disk; the operating system does that.

#[cfg(unix)]
use std::{
    ffi::OsStr,
    os::fd::{AsRawFd as _, OwnedFd},
};
use std::{
    fs::{File, Metadata},
    io::{self, Read as _, Seek as _, Write as _},
};

#[cfg(unix)]
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, fchmod, fchown, linkat, openat, renameat, statat, unlinkat},
    io::Errno,
};

#[cfg(unix)]
use self::unfinished::Note;
#[cfg(unix)]
use crate::file::new_mode;
use crate::{
    file::open::{Error, system},
    stdx::paths::AbsPath,
};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod attributes;
pub mod lock;
pub mod unfinished;

/// Larger files are not changed by tools: they are read into memory as a whole.
pub const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// What stands at the path before.
#[derive(Debug, Clone, Copy)]
pub enum Over<'a> {
    /// Nothing; parents are made as needed, and a file that appeared meanwhile is not replaced.
    Nothing,
    /// This file, whose mode, owner and attributes are kept.
    File(&'a Metadata),
}

/// Where a file is written.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// A directory that must be there: it is not made, and neither is what is above it.
    pub root: Option<&'a AbsPath>,
    /// Where temporary files are noted while they are there.
    pub notes: &'a AbsPath,
    /// The mask of the client for the permissions of new files, where it is known.
    pub mask: Option<u32>,
}

/// Whether the file is not meant to be written: nobody's write bit is set, or not ours.
#[cfg(unix)]
pub fn is_read_only(real: &AbsPath, metadata: &Metadata) -> bool {
    use rustix::fs::{Access, accessat};
    metadata.permissions().readonly() || accessat(CWD, real.as_path(), Access::WRITE_OK, AtFlags::EACCESS) == Err(Errno::ACCESS)
}

/// Whether the file is not meant to be written.
#[cfg(not(unix))]
pub fn is_read_only(_: &AbsPath, metadata: &Metadata) -> bool {
    metadata.permissions().readonly()
}

/// Writes the file at a real path that was checked before.
///
/// # Errors
/// When a component became a symlink, the place cannot be written, or (over nothing) something is there.
#[cfg(unix)]
pub fn save(real: &AbsPath, bytes: &[u8], over: Over<'_>, ground: Ground<'_>) -> Result<(), Error> {
    let (Some(parent), Some(name)) = (real.parent(), real.as_path().file_name()) else { return Err(Error::Directory) };
    let directory = system::open_or_make_directory(&parent, ground.root, ground.mask)?;
    // A new file gets what the mask leaves; a replacement is private until it has the mode of the old one.
    let mode = match over {
        Over::Nothing => new_mode::wanted(&directory, 0o666, ground.mask).unwrap_or(new_mode::mode(0o666)),
        Over::File(_) => new_mode::mode(0o600),
    };
    let target = Target { real, parent: &parent, directory: &directory, name, over, ground };
    let result = match target.unnamed(mode) {
        Ok(Some(file)) => target.fill(file, bytes).and_then(|file| target.link(&file)),
        Ok(None) => Err(Failure::Unnamed),
        Err(error) => Err(error),
    };
    let result = match result {
        Err(Failure::Unnamed) => target.named(mode, bytes),
        other => other,
    };
    match (result, over) {
        (Ok(()), _) => Ok(()),
        // The file may be writable where its directory is not, one that is itself a mount point cannot be replaced, and
        // what a new file cannot have the old one keeps.
        (Err(Failure::Directory(Errno::ACCESS | Errno::PERM | Errno::ROFS) | Failure::Attributes), Over::File(_)) => in_place(real, bytes),
        (Err(Failure::Io(error)), Over::File(_))
            if matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::BUSY | Errno::XDEV)) =>
        {
            in_place(real, bytes)
        }
        (Err(Failure::Io(error)), _) => Err(error.into()),
        (Err(Failure::Directory(error)), _) => Err(io::Error::from(error).into()),
        (Err(Failure::Attributes | Failure::Unnamed), _) => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    }
}

/// Removes the file at a real path that was checked before.
///
/// # Errors
/// When a component became a symlink, or the file cannot be removed.
pub fn remove(real: &AbsPath) -> io::Result<()> {
    #[cfg(unix)]
    {
        let (Some(parent), Some(name)) = (real.parent(), real.as_path().file_name()) else { return Err(Errno::ISDIR.into()) };
        let directory = system::open_or_make_directory(&parent, Some(&parent), None)?;
        Ok(unlinkat(&directory, name, AtFlags::empty())?)
    }
    #[cfg(not(unix))]
    std::fs::remove_file(real)
}

/// Why a new file is not in its place.
#[cfg(unix)]
enum Failure {
    /// The directory takes no new file.
    Directory(Errno),
    /// The new file cannot have what the old one has.
    Attributes,
    /// Files without a name cannot be made here.
    Unnamed,
    Io(io::Error),
}

#[cfg(unix)]
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(unix)]
impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A place in an open directory.
#[cfg(unix)]
struct Target<'a> {
    real: &'a AbsPath,
    parent: &'a AbsPath,
    directory: &'a OwnedFd,
    name: &'a OsStr,
    over: Over<'a>,
    ground: Ground<'a>,
}

#[cfg(unix)]
impl Target<'_> {
    /// A new file without a name, which goes with the process; `None` where there are none.
    #[cfg(target_os = "linux")]
    fn unnamed(&self, mode: Mode) -> Result<Option<File>, Failure> {
        match openat(self.directory, ".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, mode) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => Ok(None),
            Err(error) => Err(Failure::Directory(error)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Linux")]
    fn unnamed(&self, _: Mode) -> Result<Option<File>, Failure> {
        Ok(None)
    }

    /// Gives the new file its content and what the old one has.
    fn fill(&self, mut file: File, bytes: &[u8]) -> Result<File, Failure> {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        file.write_all(bytes)?;
        if let Over::File(old) = self.over {
            let new = file.metadata()?;
            // Only root may give files away. One of somebody else is written where it stands, so that its owner and its
            // group keep their access.
            let group = Some(rustix::fs::Gid::from_raw(old.gid())).filter(|_| new.gid() != old.gid());
            let owner = Some(rustix::fs::Uid::from_raw(old.uid())).filter(|_| new.uid() != old.uid());
            if (owner.is_some() || group.is_some()) && fchown(&file, owner, group).is_err() {
                return Err(Failure::Attributes);
            }
            // Before the mode: the bits of the group are the mask of an access list.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            system::open_file(self.real).and_then(|old| attributes::copy(&old, &file)).map_err(|_| Failure::Attributes)?;
            fchmod(&file, Mode::from_raw_mode(old.permissions().mode() & 0o7777))?;
        } else if let Some(wanted) = new_mode::wanted(self.directory, 0o666, self.ground.mask) {
            new_mode::give(&file, wanted)?;
        }
        Ok(file)
    }

    /// Gives a file without a name the one that it shall have.
    fn link(&self, file: &File) -> Result<(), Failure> {
        let link = |name: &OsStr| {
            let open = format!("/proc/self/fd/{}", file.as_raw_fd());
            linkat(CWD, open, self.directory, name, AtFlags::SYMLINK_FOLLOW).map_err(|error| match error {
                // Without /proc, or where links are forbidden.
                Errno::NOENT | Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV => Failure::Unnamed,
                other => other.into(),
            })
        };
        match self.over {
            Over::Nothing => link(self.name),
            Over::File(_) => self.through_temporary(|temporary| link(temporary.as_ref())),
        }
    }

    /// The whole with a file that has a name from the beginning.
    fn named(&self, mode: Mode, bytes: &[u8]) -> Result<(), Failure> {
        self.through_temporary(|temporary| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(self.directory, temporary, flags, mode).map_err(Failure::Directory)?;
            self.fill(file.into(), bytes).map(drop)
        })
    }

    /// Has a temporary file made and gives it its name.
    fn through_temporary(&self, make: impl FnOnce(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        let id = ulid::Ulid::generate();
        let temporary = unfinished::name(id);
        let note = Note::new(self.ground.notes, self.parent, id);
        let result = make(&temporary).and_then(|()| match self.over {
            Over::Nothing => Ok(rename_over_nothing(self.directory, &temporary, self.name)?),
            Over::File(_) => Ok(renameat(self.directory, &temporary, self.directory, self.name)?),
        });
        // The error that matters is the first one. What stays is noted.
        let is_gone = result.is_ok() || matches!(unlinkat(self.directory, &temporary, AtFlags::empty()), Ok(()) | Err(Errno::NOENT));
        if is_gone {
            note.done();
        }
        result
    }
}

#[cfg(unix)]
fn rename_over_nothing(directory: &OwnedFd, temporary: &str, name: &OsStr) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(directory, temporary, directory, name, rustix::fs::RenameFlags::NOREPLACE) {
        Err(Errno::NOSYS | Errno::INVAL) => {}
        other => return Ok(other?),
    }
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(renameat(directory, temporary, directory, name)?),
        Err(error) => Err(error.into()),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// Writes the file at a real path that was checked before.
///
/// # Errors
/// When the place cannot be written or (over nothing) something is there.
#[cfg(not(unix))]
pub fn save(real: &AbsPath, bytes: &[u8], over: Over<'_>, ground: Ground<'_>) -> Result<(), Error> {
    let Some(parent) = real.parent() else { return Err(Error::Directory) };
    if ground.root.is_some_and(|root| !root.as_path().is_dir()) {
        return Err(io::Error::from(io::ErrorKind::NotFound).into());
    }
    std::fs::create_dir_all(&parent)?;
    let mut file = tempfile::NamedTempFile::new_in(&parent)?;
    file.write_all(bytes)?;
    if real.real_or_nearest() != *real {
        return Err(Error::Moved);
    }
    match over {
        Over::Nothing => file.persist_noclobber(real).map(drop).map_err(|error| error.error.into()),
        Over::File(_) => match file.persist(real) {
            Ok(_) => Ok(()),
            Err(_) => in_place(real, bytes),
        },
    }
}

fn in_place(real: &AbsPath, bytes: &[u8]) -> Result<(), Error> {
    Ok(overwrite(&system::open_for_overwriting(real)?, bytes)?)
}

/// Gives an open file another content. Where that fails, as on a full disk, it has its old one again.
fn overwrite(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let mut old = Vec::new();
    let is_known = file.read_to_end(&mut old).is_ok();
    let put = |mut file: &File, bytes: &[u8]| {
        file.rewind()?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    };
    reserve(file, bytes.len()).and_then(|()| put(file, bytes)).inspect_err(|_| {
        if is_known {
            // The error that matters is the first one.
            let _ = put(file, &old);
        }
    })
}

/// Takes the space that a file needs, before anything of it is overwritten.
#[cfg(target_os = "linux")]
fn reserve(file: &File, length: usize) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length as u64) {
        // Nothing to reserve, or not possible here.
        Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn reserve(_: &File, _: usize) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests;
