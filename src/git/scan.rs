//! Compares the files of a large repository with git's index faster than git does: on several threads, with each directory
//! opened once and its files looked at by their names. Files that are certainly unchanged are kept from git: it gets an
//! index of the other files alone, or, where those are many, a copy of its index in which the unchanged ones are marked.
//! Whatever is in doubt is left to git, so its answer is the same, only sooner.

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

/// With fewer files git is as fast. Tests use it for all.
const MIN_FILES: usize = if cfg!(test) { 1 } else { 2_000 };
/// The size limit of an index file; a larger one is left to git.
const MAX_INDEX_BYTES: u64 = 512 << 20;
/// How many threads share the work.
const THREADS: usize = 4;
/// How many untracked names are kept; where there are more, git lists them by itself.
const MAX_OTHERS: usize = 20_000;

/// git's index as it was at a moment.
#[derive(Debug)]
pub struct Read {
    /// What is in it.
    pub index: Arc<Index>,
    path: AbsPath,
    metadata: Metadata,
    modified: SystemTime,
}

/// What was found at and below a directory.
#[derive(Debug)]
pub struct Scan {
    /// The directory, relative to the top, with `/` between names.
    pub below: Vec<u8>,
    /// The files that may differ from the index, by their numbers in it, in order.
    pub changed: Vec<usize>,
    /// What is there and not in the index, relative to the top, with whether it is a directory, in order; `None` where
    /// that is not known.
    pub others: Option<Vec<(Vec<u8>, bool)>>,
}

/// Reads the index; `None` where git may as well look by itself.
pub async fn read(tree: &WorkTree) -> Option<Read> {
    let path = tree.index.clone();
    Tasks::spawn_blocking(move || {
        let (index, metadata) = read_file(&path)?;
        let modified = metadata.modified().ok()?;
        Some(Read { index: Arc::new(index), path, metadata, modified })
    })
    .await
    .ok()?
}

/// Looks at all that is at and below `directory`.
pub async fn scan(read: &Read, tree: &WorkTree, directory: &AbsPath) -> Option<Scan> {
    let written = system::modified(&read.metadata)?;
    let below = git_bytes(directory.as_path().strip_prefix(&tree.top).ok()?.as_os_str());
    let (index, start) = (Arc::clone(&read.index), below.clone());
    let directories = Tasks::spawn_blocking(move || tracked::directories(&index, &start)).await.ok()?;
    if directories.is_empty() {
        return None;
    }
    // The threads end when nobody waits for them any more.
    let token = CancellationToken::new();
    let _guard = token.clone().drop_guard();
    let (directories, next) = (Arc::new(directories), Arc::new(AtomicUsize::new(0)));
    let work: Vec<_> = (0..THREADS)
        .map(|_| {
            let (index, directories, next) = (Arc::clone(&read.index), Arc::clone(&directories), Arc::clone(&next));
            let (top, token) = (tree.top.clone(), token.clone());
            Tasks::spawn_blocking(move || {
                let take = || if token.is_cancelled() { None } else { directories.get(next.fetch_add(1, Ordering::Relaxed)) };
                system::look(&index, take, &top, written)
            })
        })
        .collect();
    let mut all = Found::default();
    for part in work {
        let found = part.await.ok()??;
        all.changed.extend(found.changed);
        all.others.extend(found.others);
        all.is_part |= found.is_part;
    }
    all.changed.sort_unstable();
    all.others.sort_unstable();
    let is_known = !all.is_part && all.others.len() <= MAX_OTHERS && read.index.is_common();
    Some(Scan { below, changed: all.changed, others: is_known.then_some(all.others) })
}

/// What one thread found.
#[derive(Debug, Default)]
struct Found {
    changed: Vec<usize>,
    others: Vec<(Vec<u8>, bool)>,
    /// There may be more that is not tracked.
    is_part: bool,
}

impl Read {
    /// Whether nobody has written the index since.
    pub fn is_current(&self) -> bool {
        let now = self.path.real().ok().and_then(|path| std::fs::metadata(path).ok());
        now.is_some_and(|now| {
            system::modified(&now) == system::modified(&self.metadata)
                && now.len() == self.metadata.len()
                && system::number(&now) == system::number(&self.metadata)
        })
    }

    /// An index of these files alone, which must be in order.
    pub async fn of(&self, files: Vec<usize>) -> Option<NamedTempFile> {
        let (index, modified) = (Arc::clone(&self.index), self.modified);
        Tasks::spawn_blocking(move || written(&index.of(files.into_iter()), modified)).await.ok()?
    }

    /// A copy of the index in which all files but those that may have changed at and below the directory are marked;
    /// `None` where git may as well look by itself.
    pub async fn marked(&self, scan: &Scan) -> Option<NamedTempFile> {
        // Where most have been touched, git, which reads them anyway, is no slower.
        if scan.changed.len() > self.index.len() / 2 && !cfg!(test) {
            return None;
        }
        let (index, modified, below, changed) = (Arc::clone(&self.index), self.modified, scan.below.clone(), scan.changed.clone());
        Tasks::spawn_blocking(move || {
            let is_unchanged = |file: &usize| {
                index.stamp(*file).is_some() && (!is_below(index.path(*file), &below) || changed.binary_search(file).is_err())
            };
            let unchanged: Vec<usize> = (0..index.len()).filter(is_unchanged).collect();
            written(&index.with_unchanged(&unchanged), modified)
        })
        .await
        .ok()?
    }
}

fn written(bytes: &[u8], modified: SystemTime) -> Option<NamedTempFile> {
    let mut file = NamedTempFile::new().ok()?;
    file.write_all(bytes).ok()?;
    // git reads again what is not older than its index: the copy must be as old as that.
    file.as_file().set_modified(modified).ok()?;
    Some(file)
}

/// The index, and what was known of its file before it was read.
fn read_file(path: &AbsPath) -> Option<(Index, Metadata)> {
    let (bytes, metadata) = small_file::read_with_metadata(path.as_path(), MAX_INDEX_BYTES, Links::Follow).ok()?;
    let index = Index::parse(bytes)?;
    (index.len() >= MIN_FILES).then_some((index, metadata))
}

#[cfg(target_os = "linux")]
mod system {
    use std::{ffi::OsStr, fs::Metadata, os::fd::OwnedFd, os::unix::ffi::OsStrExt as _, os::unix::fs::MetadataExt as _};

    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat, openat, openat2, statat};

    use super::{
        super::index::{Index, Stamp},
        Directory, Found, MAX_OTHERS,
    };
    use crate::stdx::paths::AbsPath;

    const BUFFER_BYTES: usize = 64 << 10;

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it is not known")]
    pub fn modified(metadata: &Metadata) -> Option<(u32, u32)> {
        Some((low(metadata.mtime()), low(metadata.mtime_nsec())))
    }

    pub fn number(metadata: &Metadata) -> u64 {
        metadata.ino()
    }

    /// Looks at the directories that `next` gives.
    pub fn look<'a>(index: &Index, next: impl Fn() -> Option<&'a Directory>, top: &AbsPath, written: (u32, u32)) -> Option<Found> {
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
                    // What was changed in the moment in which the index was written may look the same.
                    stamp.modified < written && statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_same(&stamp, &stat))
                });
                if !is_unchanged {
                    found.changed.push(*file);
                }
            }
            others(index, directory, &opened, &mut buffer, &mut found);
        }
        Some(found)
    }

    /// Adds what the directory holds and the index does not.
    fn others(index: &Index, directory: &Directory, opened: &OwnedFd, buffer: &mut Vec<u8>, found: &mut Found) {
        let mut entries = RawDir::new(opened, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else {
                found.is_part = true;
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
                FileType::Directory => directory.has_directory(name) || tracked.is_some_and(|file| index.is_module(file)),
                FileType::RegularFile | FileType::Symlink => tracked.is_some(),
                // git does not see it.
                _ => true,
            };
            if !is_known && found.others.len() <= MAX_OTHERS {
                let separator: &[u8] = if directory.path.is_empty() { b"" } else { b"/" };
                found.others.push(([&directory.path, separator, name].concat(), kind == FileType::Directory));
            }
        }
    }

    /// Nothing below a link is the repository's.
    fn open_below(root: &OwnedFd, directory: &[u8]) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let directory = if directory.is_empty() { b"." } else { directory };
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
    use std::fs::Metadata;

    use super::{super::index::Index, Directory, Found};
    use crate::stdx::paths::AbsPath;

    /// Never: git looks by itself.
    pub fn modified(_: &Metadata) -> Option<(u32, u32)> {
        None
    }

    pub fn number(_: &Metadata) -> u64 {
        0
    }

    pub fn look<'a>(_: &Index, _: impl Fn() -> Option<&'a Directory>, _: &AbsPath, _: (u32, u32)) -> Option<Found> {
        None
    }
}
