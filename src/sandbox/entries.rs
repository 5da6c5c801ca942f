//! What is at a path, with everything below it, to be compared and put back.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

/// So many files are kept of one place, and so many bytes of all.
pub const MAX_FILES: usize = 256;
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A file system entry as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Directory(u32),
    /// With its mode and how many names it has: by another name it could be written later.
    File(u32, u64, Vec<u8>),
    Link(PathBuf),
    /// Something that is not kept, such as a socket.
    Other,
}

/// Makes it what it was.
///
/// # Errors
/// When it cannot be written, or lies behind a link.
pub fn put_back(path: &Path, before: &BTreeMap<PathBuf, Entry>) -> io::Result<()> {
    // Nothing is removed or written where a link leads.
    if let Some(parent) = path.parent().filter(|parent| fs::canonicalize(parent).is_ok_and(|real| real != *parent)) {
        return Err(io::Error::other(format!("{} has become a link", parent.display())));
    }
    remove(path)?;
    before.iter().try_for_each(|(path, entry)| put(path, entry))
}

/// What is there, and below; at most `left` bytes of it.
///
/// # Errors
/// When it is too much, or cannot be read.
pub fn entries(path: &Path, left: &mut u64) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(error),
        };
        let mode = metadata.mode() & 0o7777;
        let entry = if metadata.is_symlink() {
            Entry::Link(fs::read_link(&path)?)
        } else if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
            Entry::Directory(mode)
        } else if metadata.is_file() {
            *left = left.checked_sub(metadata.len()).ok_or_else(too_much)?;
            Entry::File(mode, metadata.nlink(), fs::read(&path)?)
        } else {
            Entry::Other
        };
        found.insert(path, entry);
        if found.len() > MAX_FILES {
            return Err(too_much());
        }
    }
    Ok(found)
}

fn too_much() -> io::Error {
    io::Error::other("git's settings and hooks are too large to be kept while a command runs")
}

/// Removes it, if it is there, without following a link.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn put(path: &Path, entry: &Entry) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match entry {
        Entry::Directory(mode) => {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Entry::File(mode, _, content) => {
            fs::write(path, content)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Entry::Link(target) => symlink(target, path),
        Entry::Other => Ok(()),
    }
}
