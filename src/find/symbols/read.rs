//! Lists the files of a directory that may have symbols, and reads them on all processors.

use std::{
    io::Read as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{
    decode::MAX_BYTES,
    extract::Extractor,
    language::{ByName, Language},
    stamp::Stamp,
    table::File,
};
use crate::{
    file::open,
    find::{files::Files, listing::EntryKind, walk::Bounds},
    stdx::paths::AbsPath,
};

/// More threads gain little and need memory.
const MAX_THREADS: usize = 8;
/// How many files a thread reads before it delivers them.
const BATCH_FILES: usize = 16;
/// Grammars may need some stack for nested text.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// A file found by a walk.
pub(super) struct Listed {
    pub path: AbsPath,
    pub stamp: Stamp,
}

/// The files below the root that may have symbols, sorted by path. `None` if the token is cancelled.
pub(super) fn list(root: &AbsPath, token: &CancellationToken) -> Option<Vec<Listed>> {
    let mut listed = Vec::new();
    if let Ok(files) = Files::walk(root, Bounds::SEARCH, &|| token.is_cancelled()) {
        // Installed packages are not part of the project, even if they are not ignored.
        let keep = |path: &Path, what| {
            !token.is_cancelled() && (what == EntryKind::File || path.file_name().is_none_or(|name| name != "node_modules"))
        };
        files.visit(keep, |path, what| {
            if what == EntryKind::File {
                listed.extend(candidate(path));
            }
        });
    }
    if token.is_cancelled() {
        return None;
    }
    listed.sort_by(|one: &Listed, other| one.path.cmp(&other.path));
    Some(listed)
}

/// The file at a path, if it may have symbols.
fn candidate(path: &Path) -> Option<Listed> {
    let by_name = Language::by_name(path)?;
    let metadata = path.symlink_metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() <= MAX_BYTES)?;
    if by_name == ByName::Open && !is_program(&metadata) {
        return None;
    }
    Some(Listed { path: AbsPath::new(path)?, stamp: Stamp::of(&metadata) })
}

#[cfg(unix)]
fn is_program(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_program(_: &std::fs::Metadata) -> bool {
    false
}

/// Whether a file with this name may be listed.
pub(super) fn may_have_symbols(path: &Path) -> bool {
    Language::by_name(path).is_some()
}

/// Reads one file; `None` if it is not a regular file or cannot be read.
pub(super) fn read(path: &AbsPath, extractor: &mut Extractor) -> Option<File> {
    let (began, now) = (Instant::now(), SystemTime::now());
    let (file, metadata) = open::regular(path).ok()?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or(0) + 1);
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    let mut read = File::of_bytes(path.clone(), Stamp::of(&metadata), began, &bytes, extractor);
    // Without a stamp it is read again at the next check.
    read.stamp = read.stamp.filter(|stamp| !stamp.is_uncertain(now));
    Some(read)
}

/// Reads the files on all processors, and delivers them in batches, unordered.
pub(super) fn read_all(paths: &[AbsPath], token: &CancellationToken, deliver: impl Fn(Vec<Arc<File>>) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut extractor = Extractor::new(token.clone());
        let mut batch = Vec::new();
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            if token.is_cancelled() {
                return;
            }
            batch.extend(read(path, &mut extractor).map(Arc::new));
            if batch.len() >= BATCH_FILES {
                deliver(std::mem::take(&mut batch));
            }
        }
        deliver(batch);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(paths.len());
    std::thread::scope(|scope| {
        let started = (0..threads)
            .filter(|_| std::thread::Builder::new().name("symbols".into()).stack_size(STACK_BYTES).spawn_scoped(scope, work).is_ok())
            .count();
        if started == 0 && !paths.is_empty() {
            work();
        }
    });
}

/// Reads the files and returns them all.
pub(super) fn collect(paths: &[AbsPath], token: &CancellationToken) -> Vec<Arc<File>> {
    let files = Mutex::new(Vec::new());
    read_all(paths, token, |batch| files.lock().unwrap_or_else(PoisonError::into_inner).extend(batch));
    files.into_inner().unwrap_or_else(PoisonError::into_inner)
}
