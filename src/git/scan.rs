//! Compares the files of a large repository with git's index faster than git does: on several threads, with one open
//! per directory and one `statat` per file. git then gets an index that contains only the files that may have changed,
//! or, if those are many, a copy of its index with the unchanged files marked as assume-valid. Everything in doubt is
//! left to git, so the result is the same.

use std::{
    fs::Metadata,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::{
    index::Index,
    path::git_bytes,
    program::WorkTree,
    small_file::{self, Links},
    tracked::{self, Directory, is_below},
};
use crate::stdx::{paths::AbsPath, tasks::Tasks};

/// With fewer files git is as fast. Tests always scan.
const MIN_FILES: usize = if cfg!(test) { 1 } else { 2_000 };
/// The size limit of an index file, in bytes; a larger one is left to git.
const MAX_INDEX_BYTES: u64 = 512 << 20;
const THREADS: usize = 4;
/// The limit of untracked names; if there are more, git lists them.
const MAX_UNTRACKED: usize = 20_000;

/// A snapshot of git's index.
#[derive(Debug)]
pub struct IndexSnapshot {
    pub index: Arc<Index>,
    path: AbsPath,
    metadata: Metadata,
    modified: SystemTime,
}

/// The result of scanning a directory recursively.
#[derive(Debug)]
pub struct Scan {
    /// The directory relative to the root, with `/` between names.
    pub below: Vec<u8>,
    /// The files that may differ from the index, by entry number, sorted.
    pub changed: Vec<usize>,
    /// The paths relative to the root that are not in the index, and whether each is a directory, sorted; `None` if not
    /// known.
    pub untracked: Option<Vec<(Vec<u8>, bool)>>,
}

/// Reads the index; `None` if scanning is of no use.
pub async fn read(tree: &WorkTree) -> Option<IndexSnapshot> {
    let path = tree.index.clone();
    Tasks::spawn_blocking(move || {
        let (index, metadata) = read_file(&path)?;
        let modified = metadata.modified().ok()?;
        Some(IndexSnapshot { index: Arc::new(index), path, metadata, modified })
    })
    .await
    .ok()?
}

/// Scans `directory` recursively.
pub async fn scan(read: &IndexSnapshot, tree: &WorkTree, directory: &AbsPath) -> Option<Scan> {
    let index_time = platform::modified(&read.metadata)?;
    let below = git_bytes(directory.as_path().strip_prefix(&tree.top).ok()?.as_os_str());
    let (index, start) = (Arc::clone(&read.index), below.clone());
    let directories = Tasks::spawn_blocking(move || tracked::directories(&index, &start)).await.ok()?;
    if directories.is_empty() {
        return None;
    }
    // Stops the threads when the caller stops waiting.
    let token = CancellationToken::new();
    let _guard = token.clone().drop_guard();
    let (directories, next) = (Arc::new(directories), Arc::new(AtomicUsize::new(0)));
    let work: Vec<_> = (0..THREADS)
        .map(|_| {
            let (index, directories, next) = (Arc::clone(&read.index), Arc::clone(&directories), Arc::clone(&next));
            let (top, token) = (tree.top.clone(), token.clone());
            Tasks::spawn_blocking(move || {
                let take = || if token.is_cancelled() { None } else { directories.get(next.fetch_add(1, Ordering::Relaxed)) };
                platform::compare(&index, take, &top, index_time)
            })
        })
        .collect();
    let mut all = Found::default();
    for part in work {
        let found = part.await.ok()??;
        all.changed.extend(found.changed);
        all.untracked.extend(found.untracked);
        all.is_incomplete |= found.is_incomplete;
    }
    all.changed.sort_unstable();
    all.untracked.sort_unstable();
    let is_known = !all.is_incomplete && all.untracked.len() <= MAX_UNTRACKED && read.index.has_only_normal_entries();
    Some(Scan { below, changed: all.changed, untracked: is_known.then_some(all.untracked) })
}

#[derive(Debug, Default)]
struct Found {
    changed: Vec<usize>,
    untracked: Vec<(Vec<u8>, bool)>,
    /// Some directory could not be listed.
    is_incomplete: bool,
}

impl IndexSnapshot {
    /// Whether the index file is unchanged.
    pub fn is_current(&self) -> bool {
        let now = self.path.real().ok().and_then(|path| std::fs::metadata(path).ok());
        now.is_some_and(|now| {
            platform::modified(&now) == platform::modified(&self.metadata)
                && now.len() == self.metadata.len()
                && platform::number(&now) == platform::number(&self.metadata)
        })
    }

    /// Writes an index with only these files, which must be sorted.
    pub async fn subset(&self, files: Vec<usize>) -> Option<NamedTempFile> {
        let (index, modified) = (Arc::clone(&self.index), self.modified);
        Tasks::spawn_blocking(move || write_index(&index.subset(files.into_iter()), modified)).await.ok()?
    }

    /// Writes a copy of the index with the assume-valid bit set for all files except those that may have changed in the
    /// directory; `None` if that is of no use.
    pub async fn with_unchanged(&self, scan: &Scan) -> Option<NamedTempFile> {
        // If most files have changed, git must read them anyway.
        if scan.changed.len() > self.index.len() / 2 && !cfg!(test) {
            return None;
        }
        let (index, modified, below, changed) = (Arc::clone(&self.index), self.modified, scan.below.clone(), scan.changed.clone());
        Tasks::spawn_blocking(move || {
            let is_unchanged = |file: &usize| {
                index.stamp(*file).is_some() && (!is_below(index.path(*file), &below) || changed.binary_search(file).is_err())
            };
            let unchanged: Vec<usize> = (0..index.len()).filter(is_unchanged).collect();
            write_index(&index.with_unchanged(&unchanged), modified)
        })
        .await
        .ok()?
    }
}

fn write_index(bytes: &[u8], modified: SystemTime) -> Option<NamedTempFile> {
    let mut file = NamedTempFile::new().ok()?;
    file.write_all(bytes).ok()?;
    // git rereads files that are not older than the index, so the copy gets the same time.
    file.as_file().set_modified(modified).ok()?;
    Some(file)
}

/// The index, and the metadata of its file before reading.
fn read_file(path: &AbsPath) -> Option<(Index, Metadata)> {
    let (bytes, metadata) = small_file::read_with_metadata(path.as_path(), MAX_INDEX_BYTES, Links::Follow).ok()?;
    let index = Index::parse(bytes)?;
    (index.len() >= MIN_FILES).then_some((index, metadata))
}

#[cfg(target_os = "linux")]
mod platform {
    use std::{ffi::OsStr, fs::Metadata, os::fd::OwnedFd, os::unix::ffi::OsStrExt as _, os::unix::fs::MetadataExt as _};

    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat, openat, openat2, statat};

    use super::{
        super::index::{Index, Stamp},
        Directory, Found, MAX_UNTRACKED,
    };
    use crate::stdx::paths::AbsPath;

    const BUFFER_BYTES: usize = 64 << 10;

    #[expect(clippy::unnecessary_wraps, reason = "`None` on other platforms")]
    pub fn modified(metadata: &Metadata) -> Option<(u32, u32)> {
        Some((low(metadata.mtime()), low(metadata.mtime_nsec())))
    }

    pub fn number(metadata: &Metadata) -> u64 {
        metadata.ino()
    }

    /// Compares the directories that `next` returns.
    pub fn compare<'a>(index: &Index, next: impl Fn() -> Option<&'a Directory>, top: &AbsPath, index_time: (u32, u32)) -> Option<Found> {
        let root = openat(CWD, top.as_path(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let (mut found, mut buffer) = (Found::default(), Vec::with_capacity(BUFFER_BYTES));
        while let Some(directory) = next() {
            let Some(opened) = open_below(&root, &directory.path) else {
                found.changed.extend(&directory.files);
                continue;
            };
            for file in &directory.files {
                let name = OsStr::from_bytes(&index.path(*file)[directory.name_start()..]);
                let is_unchanged = index.stamp(*file).is_some_and(|stamp| {
                    // A file that changed at the time when the index was written may have the same stat data.
                    stamp.modified < index_time && statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_same(&stamp, &stat))
                });
                if !is_unchanged {
                    found.changed.push(*file);
                }
            }
            untracked(index, directory, &opened, &mut buffer, &mut found);
        }
        Some(found)
    }

    /// Adds the entries of the directory that are not in the index.
    fn untracked(index: &Index, directory: &Directory, opened: &OwnedFd, buffer: &mut Vec<u8>, found: &mut Found) {
        let mut entries = RawDir::new(opened, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else {
                found.is_incomplete = true;
                return;
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b".." | b".git") {
                continue;
            }
            let tracked = directory.file(index, name);
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                },
                kind => kind,
            };
            let is_known = match kind {
                FileType::Directory => directory.has_directory(name) || tracked.is_some_and(|file| index.is_submodule(file)),
                FileType::RegularFile | FileType::Symlink => tracked.is_some(),
                // git ignores pipes, sockets and devices.
                _ => true,
            };
            if !is_known && found.untracked.len() <= MAX_UNTRACKED {
                let separator: &[u8] = if directory.path.is_empty() { b"" } else { b"/" };
                found.untracked.push(([&directory.path, separator, name].concat(), kind == FileType::Directory));
            }
        }
    }

    /// Paths through a symbolic link do not belong to the repository.
    fn open_below(root: &OwnedFd, directory: &[u8]) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let directory = if directory.is_empty() { b"." } else { directory };
        openat2(root, OsStr::from_bytes(directory), flags, Mode::empty(), resolve).ok()
    }

    /// Compares all that git does; settings may make git compare less.
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

    /// git stores the low 32 bits of each number.
    fn low(number: impl Into<i128>) -> u32 {
        // The masked value always fits.
        u32::try_from(number.into() & 0xffff_ffff).unwrap_or(u32::MAX)
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::fs::Metadata;

    use super::{super::index::Index, Directory, Found};
    use crate::stdx::paths::AbsPath;

    /// Scanning is only implemented on Linux.
    pub fn modified(_: &Metadata) -> Option<(u32, u32)> {
        None
    }

    pub fn number(_: &Metadata) -> u64 {
        0
    }

    pub fn compare<'a>(_: &Index, _: impl Fn() -> Option<&'a Directory>, _: &AbsPath, _: (u32, u32)) -> Option<Found> {
        None
    }
}
