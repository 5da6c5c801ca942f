//! What is mounted over hidden files and directories: a file and a directory that nobody can open. Root can open what has no
//! permissions, but not what belongs to a user who does not exist in the sandbox's user namespace. So a command gets
//! "permission denied" whoever runs it, and a program such as git cannot take a hidden file for an empty or a removed one.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

/// The user that the kernel shows where one is not mapped.
const NOBODY: u32 = 65534;

/// The one for files, in the directory for both.
#[must_use]
pub fn file(place: &Path) -> PathBuf {
    place.join("file")
}

/// The one for directories.
#[must_use]
pub fn directory(place: &Path) -> PathBuf {
    place.join("directory")
}

/// Makes both in `place`, or checks that they are still closed.
///
/// # Errors
/// When they cannot be made, or root cannot give them to another user.
pub fn make(place: &Path) -> io::Result<()> {
    let (file, directory) = (file(place), directory(place));
    fs::create_dir_all(place)?;
    if fs::symlink_metadata(&file).is_err() {
        File::create(&file)?;
    }
    if fs::symlink_metadata(&directory).is_err() {
        fs::create_dir(&directory)?;
    }
    close(&file)?;
    close(&directory)
}

fn close(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if rustix::process::geteuid().is_root() && found.uid() != NOBODY {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    if found.mode() & 0o7777 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o000))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_is_closed_again() {
        let keep = tempfile::tempdir().unwrap();
        let place = keep.path().join("deep/hidden");
        for _ in 0..2 {
            make(&place).unwrap();
            for path in [file(&place), directory(&place)] {
                let found = fs::symlink_metadata(&path).unwrap();
                assert_eq!(found.mode() & 0o7777, 0);
                assert!(!rustix::process::geteuid().is_root() || found.uid() == NOBODY);
                fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            }
        }
    }
}
