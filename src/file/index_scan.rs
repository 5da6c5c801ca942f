//! Looks at the files of a large repository faster than git does: several threads, each file by its name in an open
//! directory. Which files are certainly as git has them is marked in a copy of its index, and git, given the copy, looks at
//! the others alone. Where anything is in doubt a file is left to git, so its answer is the same, only sooner.

use std::{
    fs::Metadata,
    io::{Read as _, Write as _},
    sync::Arc,
};

use tempfile::NamedTempFile;

use super::{
    git_index::Index,
    git_program::{WorkTree, git_bytes},
    open,
};
use crate::stdx::{paths::AbsPath, tasks::Tasks};

/// With fewer files git is as fast. Tests want to see it at work.
const FEWEST: usize = if cfg!(test) { 0 } else { 2_000 };
/// A larger index is left to git.
const MOST_BYTES: u64 = 512 << 20;
/// The work is shared by so many threads.
const THREADS: usize = 4;

/// A copy of the index in which the files at and below `directory` that are certainly unchanged are marked, and all others
/// elsewhere; `None` where git may as well look by itself.
pub(super) async fn marked(tree: &WorkTree, directory: &AbsPath) -> Option<NamedTempFile> {
    let (index_path, top, directory) = (tree.index.clone(), tree.top.clone(), directory.clone());
    let (index, metadata) = Tasks::spawn_blocking(move || read(&index_path)).await.ok()??;
    let (written, modified) = (system::modified(&metadata)?, metadata.modified().ok()?);
    let index = Arc::new(index);
    let share = index.len().div_ceil(THREADS);
    let work: Vec<_> = (0..THREADS)
        .map(|part| {
            let (index, top, directory) = (Arc::clone(&index), top.clone(), directory.clone());
            let files = (part * share).min(index.len())..((part + 1) * share).min(index.len());
            Tasks::spawn_blocking(move || {
                let below = git_bytes(directory.as_path().strip_prefix(&top).ok()?.as_os_str());
                Some(system::unchanged(&index, files, &top, &below, written))
            })
        })
        .collect();
    let mut unchanged = Vec::with_capacity(index.len());
    for part in work {
        unchanged.extend(part.await.ok()??);
    }
    // Where most have been touched, git, which reads them anyway, is no slower.
    if unchanged.len() < index.len() / 2 && !cfg!(test) {
        return None;
    }
    let index = Arc::into_inner(index)?;
    Tasks::spawn_blocking(move || {
        let mut file = NamedTempFile::new().ok()?;
        file.write_all(&index.with_unchanged(&unchanged)).ok()?;
        // git reads again what is not older than its index: the copy must be as old as that.
        file.as_file().set_modified(modified).ok()?;
        Some(file)
    })
    .await
    .ok()?
}

/// The index, and what was known of its file before it was read.
fn read(path: &AbsPath) -> Option<(Index, Metadata)> {
    let (file, metadata) = open::regular(&path.real().ok()?).ok()?;
    if metadata.len() > MOST_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).ok()? + 1);
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let index = Index::parse(bytes).filter(|index| index.len() >= FEWEST)?;
    Some((index, metadata))
}

#[cfg(target_os = "linux")]
mod system {
    use std::{ffi::OsStr, fs::Metadata, ops::Range, os::fd::OwnedFd, os::unix::ffi::OsStrExt as _};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, openat, openat2, statat};

    use super::super::git_index::{Index, Stamp};
    use crate::stdx::paths::AbsPath;

    pub fn modified(metadata: &Metadata) -> Option<(u32, u32)> {
        use std::os::unix::fs::MetadataExt as _;
        Some((low(metadata.mtime()), low(metadata.mtime_nsec())))
    }

    /// Those of the files that are as git has them, and those that are not below the directory at all.
    pub fn unchanged(index: &Index, files: Range<usize>, top: &AbsPath, below: &[u8], written: (u32, u32)) -> Vec<usize> {
        let mut found = Vec::with_capacity(files.len());
        let Ok(root) = openat(CWD, top.as_path(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else { return found };
        let mut current: Option<(&[u8], Option<OwnedFd>)> = None;
        for file in files {
            let path = index.path(file);
            let Some(stamp) = index.stamp(file) else { continue };
            let is_below = below.is_empty() || path.strip_prefix(below).is_some_and(|rest| rest.starts_with(b"/"));
            if !is_below {
                found.push(file);
                continue;
            }
            let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
                Some(at) => (&path[..at], &path[at + 1..]),
                None => (&b"."[..], path),
            };
            if current.as_ref().is_none_or(|(known, _)| *known != directory) {
                current = Some((directory, open_below(&root, directory)));
            }
            let Some((_, Some(opened))) = &current else { continue };
            let Ok(stat) = statat(opened, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            // What was changed in the moment in which the index was written may look the same.
            if stamp.modified < written && is_same(&stamp, &stat) {
                found.push(file);
            }
        }
        found
    }

    /// Nothing below a link is the repository's.
    fn open_below(root: &OwnedFd, directory: &[u8]) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(root, OsStr::from_bytes(directory), flags, Mode::empty(), resolve).ok()
    }

    /// git compares the same, or less where settings say so.
    fn is_same(stamp: &Stamp, stat: &Stat) -> bool {
        let mode = match stat.st_mode & 0o170_000 {
            0o120_000 => 0o120_000,
            0o100_000 if stat.st_mode & 0o100 == 0 => 0o100_644,
            0o100_000 => 0o100_755,
            _ => return false,
        };
        let now = Stamp {
            changed: (low(stat.st_ctime), low(stat.st_ctime_nsec)),
            modified: (low(stat.st_mtime), low(stat.st_mtime_nsec)),
            inode: low(stat.st_ino),
            mode,
            owner: (stat.st_uid, stat.st_gid),
            size: low(stat.st_size),
        };
        now == *stamp
    }

    /// git keeps so much of each number.
    fn low(number: impl Into<i128>) -> u32 {
        // 32 bits always fit.
        u32::try_from(number.into() & 0xffff_ffff).unwrap_or(u32::MAX)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{fs::Metadata, ops::Range};

    use super::super::git_index::Index;
    use crate::stdx::paths::AbsPath;

    /// Never: git looks by itself.
    pub fn modified(_: &Metadata) -> Option<(u32, u32)> {
        None
    }

    pub fn unchanged(_: &Index, _: Range<usize>, _: &AbsPath, _: &[u8], _: (u32, u32)) -> Vec<usize> {
        Vec::new()
    }
}
