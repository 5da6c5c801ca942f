//! Putting a file in place as a whole: readers see the old bytes or the new ones, never a mixture. Mode and, where we
//! may, owner are kept. A hard link is separated from its siblings, as git does: package stores share files that way,
//! and an edit of one project must not reach the others. Nothing is flushed to the disk; the operating system does that.

use std::{
    fs::Metadata,
    io::{self, Write as _},
};

use crate::file::open::{Error, system};
use crate::stdx::paths::AbsPath;

/// What stands at the path before.
#[derive(Debug, Clone, Copy)]
pub enum Over<'a> {
    /// Nothing; parents are made as needed, and a file that appeared meanwhile is not replaced.
    Nothing,
    /// This file, whose mode and owner are kept.
    File(&'a Metadata),
}

/// Whether the file is not meant to be written: nobody's write bit is set, or not ours.
#[cfg(unix)]
#[must_use]
pub fn is_read_only(real: &AbsPath, metadata: &Metadata) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    metadata.permissions().readonly() || accessat(CWD, real.as_path(), Access::WRITE_OK, AtFlags::EACCESS) == Err(rustix::io::Errno::ACCESS)
}

/// Whether the file is not meant to be written.
#[cfg(not(unix))]
#[must_use]
pub fn is_read_only(_: &AbsPath, metadata: &Metadata) -> bool {
    metadata.permissions().readonly()
}

/// Writes the file at a real path that was checked before.
///
/// # Errors
/// When a component became a symlink, the place cannot be written, or (over nothing) something is there.
#[cfg(unix)]
pub fn save(real: &AbsPath, bytes: &[u8], over: Over<'_>) -> Result<(), Error> {
    use rustix::{
        fs::{AtFlags, Mode, OFlags, fchmod, fchown, openat, renameat, unlinkat},
        io::Errno,
    };
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let (Some(parent), Some(name)) = (real.parent(), real.as_path().file_name()) else { return Err(Error::Directory) };
    let directory = system::open_or_make_directory(&parent)?;
    let temporary = format!(".polytree-{}.tmp", ulid::Ulid::generate());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // A new file gets what the umask leaves; a replacement is private until it has the mode of the old one.
    let mode = Mode::from_raw_mode(if matches!(over, Over::Nothing) { 0o666 } else { 0o600 });
    let opened = match (openat(&directory, &temporary, flags, mode), over) {
        // The file may be writable where its directory is not.
        (Err(Errno::ACCESS | Errno::PERM | Errno::ROFS), Over::File(_)) => return in_place(real, bytes),
        (opened, _) => opened.map_err(io::Error::from)?,
    };
    let mut file = std::fs::File::from(opened);
    let result = (|| {
        file.write_all(bytes)?;
        match over {
            Over::Nothing => rename_over_nothing(&directory, &temporary, name)?,
            Over::File(old) => {
                let new = file.metadata()?;
                if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                    // Only root may give files away, so this is tried and not required.
                    let _ = fchown(&file, Some(rustix::fs::Uid::from_raw(old.uid())), Some(rustix::fs::Gid::from_raw(old.gid())));
                }
                fchmod(&file, Mode::from_raw_mode(old.permissions().mode() & 0o7777))?;
                renameat(&directory, &temporary, &directory, name)?;
            }
        }
        io::Result::Ok(())
    })();
    if let Err(error) = result {
        // Best effort: the error that matters is the first one.
        let _ = unlinkat(&directory, &temporary, AtFlags::empty());
        let raw = error.raw_os_error().map(Errno::from_raw_os_error);
        return match (raw, over) {
            // A file that is itself a mount point cannot be replaced, only filled.
            (Some(Errno::BUSY | Errno::XDEV), Over::File(_)) => in_place(real, bytes),
            _ => Err(error.into()),
        };
    }
    Ok(())
}

#[cfg(unix)]
fn rename_over_nothing(directory: &std::os::fd::OwnedFd, temporary: &str, name: &std::ffi::OsStr) -> io::Result<()> {
    use rustix::{
        fs::{AtFlags, renameat, statat},
        io::Errno,
    };
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
pub fn save(real: &AbsPath, bytes: &[u8], over: Over<'_>) -> Result<(), Error> {
    let Some(parent) = real.parent() else { return Err(Error::Directory) };
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
    system::open_for_overwriting(real)?.write_all(bytes)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    };

    use super::*;

    fn place() -> (tempfile::TempDir, AbsPath) {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
        (directory, root)
    }

    fn names(root: &AbsPath) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_with_its_parents() {
        let (_keep, root) = place();
        save(&root.join("a/b/c.txt"), b"hello", Over::Nothing).unwrap();
        assert_eq!(fs::read(root.join("a/b/c.txt")).unwrap(), b"hello");
        assert_eq!(names(&root.join("a/b")), ["c.txt"]);
    }

    #[test]
    fn what_appeared_meanwhile_is_not_replaced() {
        let (_keep, root) = place();
        fs::write(root.join("file"), "theirs").unwrap();
        assert!(save(&root.join("file"), b"ours", Over::Nothing).is_err());
        assert_eq!(fs::read(root.join("file")).unwrap(), b"theirs");
        symlink("elsewhere", root.join("link")).unwrap();
        assert!(save(&root.join("link"), b"ours", Over::Nothing).is_err());
        assert_eq!(names(&root), ["file", "link"]);
    }

    #[test]
    fn mode_is_kept_and_hard_links_are_separated() {
        let (_keep, root) = place();
        let (path, other) = (root.join("tool"), root.join("other"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).unwrap();
        fs::hard_link(&path, &other).unwrap();
        save(&path, b"new", Over::File(&fs::metadata(&path).unwrap())).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o751);
        assert_eq!(fs::read(&other).unwrap(), b"old");
        assert_eq!(names(&root), ["other", "tool"]);
    }

    #[test]
    fn a_file_without_write_bits_is_read_only() {
        let (_keep, root) = place();
        let path = root.join("file");
        fs::write(&path, "old").unwrap();
        assert!(!is_read_only(&path, &fs::metadata(&path).unwrap()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(is_read_only(&path, &fs::metadata(&path).unwrap()));
    }

    #[test]
    fn a_parent_that_became_a_symlink_is_not_followed() {
        let (_keep, root) = place();
        fs::create_dir(root.join("outside")).unwrap();
        symlink(root.join("outside"), root.join("inside")).unwrap();
        assert!(save(&root.join("inside/file"), b"x", Over::Nothing).is_err());
        assert_eq!(names(&root.join("outside")), Vec::<String>::new());
    }
}
