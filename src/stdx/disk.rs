//! Runs work on files that may hang, such as those of a network mount, on the pool of blocking threads, with a limit per
//! file system, so that a hanging one never blocks all threads.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::tasks::Tasks;

/// The limit of threads per file system.
const FILE_SYSTEM_LIMIT: usize = 16;
/// The limit of threads per path: its files may lead to another file system, as those of a linked worktree do.
const PATH_LIMIT: usize = 2;
/// Above this number, paths without work are removed.
const MAX_PATHS: usize = 1024;

/// Limits work, and detects whether it hangs.
#[derive(Clone)]
struct Gate {
    slots: Arc<Semaphore>,
    limit: usize,
    /// Some work timed out, and none has ended since.
    hangs: Arc<AtomicBool>,
}

impl Gate {
    fn new(limit: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(limit)), limit, hangs: Arc::default() }
    }

    /// Whether it hangs, with at least this number of threads.
    fn hangs_with(&self, busy: usize) -> bool {
        self.hangs.load(Ordering::Relaxed) && self.limit - self.slots.available_permits() >= busy
    }

    async fn enter(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.slots).acquire_owned().await {
            Ok(slot) => slot,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

#[derive(Default)]
struct Gates {
    /// The mount points, the deepest first.
    mounts: Vec<PathBuf>,
    /// The kernel's list of mounts, which reports changes.
    list: Option<File>,
    file_systems: HashMap<PathBuf, Gate>,
    paths: HashMap<PathBuf, Gate>,
}

/// One for the process, like the pool of threads. Locked for a lookup, or to read the kernel's list of mounts; never across
/// an await or while a file is read.
static GATES: LazyLock<Mutex<Gates>> = LazyLock::new(Mutex::default);

/// The gates of a path and of its file system, by the path alone.
fn gates(path: &Path) -> (Gate, Gate) {
    let mut all = GATES.lock().unwrap_or_else(PoisonError::into_inner);
    if all.list.as_ref().is_none_or(has_changed) {
        (all.list, all.mounts) = mounts();
        let Gates { mounts, file_systems, .. } = &mut *all;
        file_systems.retain(|mount, _| mounts.contains(mount));
        all.paths.clear();
    }
    if all.paths.len() >= MAX_PATHS {
        all.paths.retain(|_, gate| gate.slots.available_permits() < gate.limit);
    }
    let mount = all.mounts.iter().find(|mount| path.starts_with(mount)).cloned().unwrap_or_default();
    let file_system = all.file_systems.entry(mount).or_insert_with(|| Gate::new(FILE_SYSTEM_LIMIT)).clone();
    let path = all.paths.entry(path.to_owned()).or_insert_with(|| Gate::new(PATH_LIMIT)).clone();
    (path, file_system)
}

async fn through<T: Send + 'static>((path, file_system): (Gate, Gate), work: impl FnOnce() -> T + Send + 'static) -> T {
    let slots = (path.enter().await, file_system.enter().await);
    let done = Tasks::spawn_blocking(move || {
        let result = work();
        for gate in [path, file_system] {
            gate.hangs.store(false, Ordering::Relaxed);
        }
        drop(slots);
        result
    });
    match done.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The process exits: the result is not needed.
        Err(_) => std::future::pending().await,
    }
}

/// Runs work on files at `path`, without a timeout.
pub async fn run<T: Send + 'static>(path: impl AsRef<Path>, work: impl FnOnce() -> T + Send + 'static) -> T {
    let gates = gates(path.as_ref());
    through(gates, work).await
}

/// Like [`run`], with a timeout. After a timeout, further work there fails immediately until some work there has ended.
/// Work that timed out goes on in the background.
pub async fn run_within<T: Send + 'static>(
    path: impl AsRef<Path>,
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (path, file_system) = gates(path.as_ref());
    if path.hangs_with(1) || file_system.hangs_with(FILE_SYSTEM_LIMIT) {
        return None;
    }
    let result = tokio::time::timeout(timeout, through((path.clone(), file_system.clone()), work)).await.ok();
    if result.is_none() {
        for gate in [path, file_system] {
            gate.hangs.store(true, Ordering::Relaxed);
        }
    }
    result
}

/// Which of these are directories; false after a timeout.
pub async fn are_directories(paths: Vec<PathBuf>, timeout: Duration) -> Vec<bool> {
    let distinct: HashSet<&PathBuf> = paths.iter().collect();
    let looks = distinct.into_iter().map(|path| async move {
        let looked_at = path.clone();
        run_within(path, timeout, move || looked_at.is_dir()).await.unwrap_or_default().then_some(path)
    });
    let found: HashSet<&PathBuf> = futures::future::join_all(looks).await.into_iter().flatten().collect();
    paths.iter().map(|path| found.contains(path)).collect()
}

/// Whether the list of mounts has changed.
#[cfg(target_os = "linux")]
fn has_changed(list: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut asked = [PollFd::new(list, PollFlags::PRI)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok_and(|changed| changed > 0)
}

/// On other platforms all files count as one file system.
#[cfg(not(target_os = "linux"))]
fn has_changed(_: &File) -> bool {
    false
}

/// The kernel's list of mounts and the mount points, the deepest first. Does not access the file systems.
fn mounts() -> (Option<File>, Vec<PathBuf>) {
    let Ok(mut list) = File::open("/proc/self/mountinfo") else { return (None, Vec::new()) };
    let mut text = Vec::new();
    let _ = list.read_to_end(&mut text);
    let mut mounts = parse(&text);
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.components().count()));
    (Some(list), mounts)
}

/// The fifth field of each line, with octal escapes.
fn parse(text: &[u8]) -> Vec<PathBuf> {
    let path = |line: &[u8]| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field);
        while let Some((&first, after)) = rest.split_first() {
            let octal = after.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
            if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
                bytes.push(byte);
                rest = &after[3..];
            } else {
                bytes.push(first);
                rest = after;
            }
        }
        Some(PathBuf::from(String::from_utf8(bytes).ok()?))
    };
    text.split(|byte| *byte == b'\n').filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let text = b"22 27 0:21 / / rw,relatime - ext4 /dev/x rw\n23 27 0:22 / /mnt/a\\040b\\134c rw - nfs s:/ rw\n";
        assert_eq!(parse(text), [PathBuf::from("/"), PathBuf::from("/mnt/a b\\c")]);
    }

    #[tokio::test]
    async fn what_hangs_is_waited_for_once_and_stops_nothing_else() {
        let (hung, long) = (PathBuf::from("/proc/self"), Duration::from_secs(600));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let look = move || held.recv().is_err();
        assert_eq!(run_within(&hung, Duration::from_millis(20), look).await, None);
        // Immediately, without waiting for the timeout; other paths still work, also on the same file system.
        assert_eq!(run_within(&hung, long, || true).await, None);
        let paths = ["/proc/self", "/", "/proc", "/none", "/"].map(PathBuf::from).to_vec();
        assert_eq!(are_directories(paths, long).await, [false, true, true, false, true]);
        drop(release);
        while !are_directories(vec![hung.clone()], long).await[0] {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_path_that_hangs_takes_few_threads() {
        let hung = PathBuf::from("/dev");
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let mut works = Vec::new();
        for _ in 0..20 {
            let held = Arc::clone(&held);
            let mut work = Box::pin(run(hung.clone(), move || held.lock().unwrap().recv().is_err()));
            assert!(futures::poll!(&mut work).is_pending());
            works.push(work);
        }
        let (path, file_system) = gates(&hung);
        assert_eq!(path.slots.available_permits(), 0);
        assert!(file_system.slots.available_permits() >= FILE_SYSTEM_LIMIT - 2 * PATH_LIMIT);
        drop(release);
        assert!(futures::future::join_all(works).await.into_iter().all(|is_over| is_over));
    }
}
