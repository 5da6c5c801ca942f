//! Work on files that may hang, such as those of a network mount: on the pool for blocking work, with a limit for each file
//! system, so that one that hangs takes a few threads and never all of them.

use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use super::tasks::Tasks;

/// How many threads work on the files of one file system at most.
const LIMIT: usize = 4;

/// A mounted file system.
struct FileSystem {
    slots: Arc<Semaphore>,
    /// It did not answer in time, and nothing that was begun there has ended since.
    hangs: AtomicBool,
}

#[derive(Default)]
struct FileSystems {
    /// Where they are mounted, the deepest first.
    mounts: Vec<PathBuf>,
    /// The kernel's list of them, which tells when it has changed.
    list: Option<File>,
    known: HashMap<PathBuf, Arc<FileSystem>>,
}

/// One list for the process, as there is one pool of threads. Held for a look-up, or to read the list of mounts from the
/// kernel; never across an await or while a file is looked at.
static FILE_SYSTEMS: LazyLock<Mutex<FileSystems>> = LazyLock::new(Mutex::default);

impl FileSystem {
    /// The file system that a path is on, going by the path alone.
    fn of(path: &Path) -> Arc<Self> {
        let mut all = FILE_SYSTEMS.lock().unwrap_or_else(PoisonError::into_inner);
        if all.list.as_ref().is_none_or(has_changed) {
            (all.list, all.mounts) = mounts();
            let FileSystems { mounts, known, .. } = &mut *all;
            known.retain(|mount, _| mounts.contains(mount) || mount.as_os_str().is_empty());
        }
        let mount = all.mounts.iter().find(|mount| path.starts_with(mount)).cloned().unwrap_or_default();
        let new = || Arc::new(Self { slots: Arc::new(Semaphore::new(LIMIT)), hangs: AtomicBool::new(false) });
        Arc::clone(all.known.entry(mount).or_insert_with(new))
    }

    async fn run<T: Send + 'static>(self: Arc<Self>, work: impl FnOnce() -> T + Send + 'static) -> T {
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return std::future::pending().await };
        let done = Tasks::spawn_blocking(move || {
            let result = work();
            self.hangs.store(false, Ordering::Relaxed);
            drop(slot);
            result
        });
        match done.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The process ends: nobody will read the result.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Does work on files of the file system that `path` is on, for as long as it takes.
pub async fn run<T: Send + 'static>(path: impl AsRef<Path>, work: impl FnOnce() -> T + Send + 'static) -> T {
    FileSystem::of(path.as_ref()).run(work).await
}

/// The same, for `timeout` at most. Where a file system has not answered in time, it is not waited for again until something
/// that was begun there has ended. What is not waited for any more goes on.
pub async fn run_within<T: Send + 'static>(
    path: impl AsRef<Path>,
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let file_system = FileSystem::of(path.as_ref());
    // Only while something that was begun there has not ended.
    if file_system.hangs.load(Ordering::Relaxed) && file_system.slots.available_permits() < LIMIT {
        return None;
    }
    let result = tokio::time::timeout(timeout, Arc::clone(&file_system).run(work)).await.ok();
    if result.is_none() {
        file_system.hangs.store(true, Ordering::Relaxed);
    }
    result
}

/// Which of these are directories; those of a file system that does not answer in time count as none.
pub async fn are_directories(paths: Vec<PathBuf>, timeout: Duration) -> Vec<bool> {
    let mut groups: Vec<(Arc<FileSystem>, Vec<(usize, PathBuf)>)> = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let file_system = FileSystem::of(path);
        match groups.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &file_system)) {
            Some((_, group)) => group.push((index, path.clone())),
            None => groups.push((file_system, vec![(index, path.clone())])),
        }
    }
    let mut found = vec![false; paths.len()];
    let looks = groups.into_iter().map(|(_, group)| async move {
        let first = group.first().map(|(_, path)| path.clone()).unwrap_or_default();
        let look = move || group.into_iter().map(|(index, path)| (index, path.is_dir())).collect::<Vec<_>>();
        run_within(first, timeout, look).await.unwrap_or_default()
    });
    for (index, is_there) in futures::future::join_all(looks).await.into_iter().flatten() {
        found[index] = is_there;
    }
    found
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
    async fn one_that_hangs_is_waited_for_once() {
        let hung = FileSystem { slots: Arc::new(Semaphore::new(LIMIT)), hangs: AtomicBool::new(false) };
        let mount = PathBuf::from("/proc");
        FileSystem::of(&mount);
        FILE_SYSTEMS.lock().unwrap().known.insert(mount.clone(), Arc::new(hung));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let look = move || held.recv().is_err();
        assert_eq!(run_within(&mount, Duration::from_millis(20), look).await, None);
        // At once, by the long timeout; and others are looked at.
        assert_eq!(run_within(&mount, Duration::from_secs(600), || true).await, None);
        assert_eq!(
            are_directories(vec!["/proc/self".into(), "/".into(), "/none".into()], Duration::from_secs(600)).await,
            [false, true, false]
        );
        drop(release);
        assert!(run(&mount, || true).await);
        while !are_directories(vec!["/proc/self".into()], Duration::from_secs(600)).await[0] {
            tokio::task::yield_now().await;
        }
    }
}
