//! Work on files that may hang, such as those of a network mount: on the pool for blocking work, with a limit for each file
//! system, so that one that hangs takes a few threads and never all of them.

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

/// How many threads work on the files of one file system at most.
const LIMIT: usize = 16;
/// How many of them for the same path: its files may lead to another file system, as those of a linked worktree do.
const PATH_LIMIT: usize = 2;
/// Above this many paths the idle ones are forgotten.
const MAX_PATHS: usize = 1024;

/// A limit for work, and whether that work hangs.
#[derive(Clone)]
struct Gate {
    slots: Arc<Semaphore>,
    limit: usize,
    /// It did not end in time, and nothing that was begun here has ended since.
    hangs: Arc<AtomicBool>,
}

impl Gate {
    fn new(limit: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(limit)), limit, hangs: Arc::default() }
    }

    /// Whether it hangs, with at least so many threads in it.
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
    /// Where file systems are mounted, the deepest first.
    mounts: Vec<PathBuf>,
    /// The kernel's list of them, which tells when it has changed.
    list: Option<File>,
    file_systems: HashMap<PathBuf, Gate>,
    paths: HashMap<PathBuf, Gate>,
}

/// One set for the process, as there is one pool of threads. Held for a look-up, or to read the list of mounts from the
/// kernel; never across an await or while a file is looked at.
static GATES: LazyLock<Mutex<Gates>> = LazyLock::new(Mutex::default);

/// The gates of a path and of the file system that it is on, going by the path alone.
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
    let file_system = all.file_systems.entry(mount).or_insert_with(|| Gate::new(LIMIT)).clone();
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
        // The process ends: the result will not be read.
        Err(_) => std::future::pending().await,
    }
}

/// Does work on files at `path`, for as long as it takes.
pub async fn run<T: Send + 'static>(path: impl AsRef<Path>, work: impl FnOnce() -> T + Send + 'static) -> T {
    let gates = gates(path.as_ref());
    through(gates, work).await
}

/// The same, for `timeout` at most. What has not ended in time is not waited for again until something that was begun there
/// has ended. What is not waited for any more goes on.
pub async fn run_within<T: Send + 'static>(
    path: impl AsRef<Path>,
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (path, file_system) = gates(path.as_ref());
    if path.hangs_with(1) || file_system.hangs_with(LIMIT) {
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

/// Which of these are directories; one that does not answer in time counts as none.
pub async fn are_directories(paths: Vec<PathBuf>, timeout: Duration) -> Vec<bool> {
    let distinct: HashSet<&PathBuf> = paths.iter().collect();
    let looks = distinct.into_iter().map(|path| async move {
        let looked_at = path.clone();
        run_within(path, timeout, move || looked_at.is_dir()).await.unwrap_or_default().then_some(path)
    });
    let found: HashSet<&PathBuf> = futures::future::join_all(looks).await.into_iter().flatten().collect();
    paths.iter().map(|path| found.contains(path)).collect()
}

/// Whether a file system was mounted or unmounted since the list was opened.
#[cfg(target_os = "linux")]
fn has_changed(list: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut asked = [PollFd::new(list, PollFlags::PRI)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok_and(|changed| changed > 0)
}

/// Elsewhere all files count as those of one file system.
#[cfg(not(target_os = "linux"))]
fn has_changed(_: &File) -> bool {
    false
}

/// The kernel's list of mounted file systems, and where they are, the deepest first. It looks at none of them.
fn mounts() -> (Option<File>, Vec<PathBuf>) {
    let Ok(mut list) = File::open("/proc/self/mountinfo") else { return (None, Vec::new()) };
    let mut text = Vec::new();
    let _ = list.read_to_end(&mut text);
    let mut mounts = parse(&text);
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.components().count()));
    (Some(list), mounts)
}

/// The fifth field of each line, in which blanks and the like are octal.
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
        // At once, whatever the timeout; and others are looked at, on the same file system too.
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
        assert!(file_system.slots.available_permits() >= LIMIT - 2 * PATH_LIMIT);
        drop(release);
        assert!(futures::future::join_all(works).await.into_iter().all(|is_over| is_over));
    }
}
