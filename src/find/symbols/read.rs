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

/// More threads gain little and take memory.
const MAX_THREADS: usize = 8;
/// How many files a thread reads before it hands them over.
const BATCH: usize = 16;
/// Grammars may take some stack for nested text.
const STACK: usize = 8 * 1024 * 1024;

/// A file that a walk has found.
pub(super) struct Listed {
    pub path: AbsPath,
    pub stamp: Stamp,
}

/// The files at or below the root that may have symbols, in the order of their paths. `None` when the token is cancelled.
pub(super) fn list(root: &AbsPath, token: &CancellationToken) -> Option<Vec<Listed>> {
    let mut listed = Vec::new();
    if let Ok(files) = Files::walk(root, Bounds::SEARCH, &|| token.is_cancelled()) {
        // What package managers put there is nobody's own, even where no ignore file says so.
        let keep = |path: &Path, what| {
            !token.is_cancelled() && (what == EntryKind::File || path.file_name().is_none_or(|name| name != "node_modules"))
        };
        files.visit(keep, |path, what| {
            if what == EntryKind::File {
                listed.extend(look(path));
            }
        });
    }
    if token.is_cancelled() {
        return None;
    }
    listed.sort_by(|one: &Listed, other| one.path.cmp(&other.path));
    Some(listed)
}

/// The file at a path, if it is one that may have symbols.
fn look(path: &Path) -> Option<Listed> {
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

/// Whether a file of this name might be listed.
pub(super) fn may_have_symbols(path: &Path) -> bool {
    Language::by_name(path).is_some()
}

/// Reads one file; `None` when it is none any more or may not be read.
pub(super) fn read(path: &AbsPath, extractor: &mut Extractor) -> Option<File> {
    let (began, now) = (Instant::now(), SystemTime::now());
    let (file, metadata) = open::regular(path).ok()?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or(0) + 1);
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    let mut read = File::of_bytes(path.clone(), Stamp::of(&metadata), began, &bytes, extractor);
    // Without a stamp it is read again the next time.
    read.stamp = read.stamp.filter(|stamp| !stamp.is_fresh(now));
    Some(read)
}

/// Reads the files with as many threads as there are cores, and hands them over in batches, in no order.
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
            if batch.len() >= BATCH {
                deliver(std::mem::take(&mut batch));
            }
        }
        deliver(batch);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(paths.len());
    std::thread::scope(|scope| {
        let started = (0..threads)
            .filter(|_| std::thread::Builder::new().name("symbols".into()).stack_size(STACK).spawn_scoped(scope, work).is_ok())
            .count();
        if started == 0 && !paths.is_empty() {
            work();
        }
    });
}

/// Reads the files and gives them all.
pub(super) fn collect(paths: &[AbsPath], token: &CancellationToken) -> Vec<Arc<File>> {
    let files = Mutex::new(Vec::new());
    read_all(paths, token, |batch| files.lock().unwrap_or_else(PoisonError::into_inner).extend(batch));
    files.into_inner().unwrap_or_else(PoisonError::into_inner)
}
