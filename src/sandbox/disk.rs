//! What commands leave on the disk: their private directories for temporary files, and caches of worktrees.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::helper::open_real;

/// The variables that say where programs keep their caches, what they mean where they are not set, below the home directory,
/// and what they are for commands, in the worktree's cache. pnpm keeps its store there too.
const CACHES: [(&str, &str, &str); 6] = [
    ("XDG_CACHE_HOME", ".cache", ""),
    ("GOCACHE", ".cache/go-build", "go-build"),
    ("PIP_CACHE_DIR", ".cache/pip", "pip"),
    ("UV_CACHE_DIR", ".cache/uv", "uv"),
    ("npm_config_cache", ".npm", "npm"),
    ("PNPM_HOME", ".local/share/pnpm", "pnpm"),
];

/// A cache that no command has used for so long is removed.
const CACHE_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// With more than this in all caches, those that were used longest ago are removed.
const CACHE_MAX_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// One that was used so lately may be in use.
const CACHE_IN_USE: Duration = Duration::from_secs(24 * 3600);

/// How the names of directories for temporary files begin.
const TEMPORARY: &str = "polytree-command-";

/// A command's directory for temporary files. It goes with this value, whatever modes the command has given to what is in it.
#[derive(Debug)]
pub struct Temporary {
    directory: TempDir,
    /// The kernel releases it when the daemon is killed.
    _lock: File,
}

impl Temporary {
    /// Creates one, which only its owner can open.
    ///
    /// # Errors
    /// When the system's directory for temporary files is not writable.
    pub fn new() -> io::Result<Self> {
        Self::new_in(&fs::canonicalize(std::env::temp_dir())?)
    }

    fn new_in(place: &Path) -> io::Result<Self> {
        loop {
            let private = Permissions::from_mode(0o700);
            let directory = tempfile::Builder::new().prefix(TEMPORARY).permissions(private).tempdir_in(place)?;
            // Another daemon that has just started may remove it before it is locked.
            if let Some(lock) = lock(directory.path()) {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The lock of a directory for temporary files; `None` while another daemon holds it, and if the directory has gone.
fn lock(path: &Path) -> Option<File> {
    let lock = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            permit(path)?;
            File::open(path)
        }
        opened => opened,
    };
    let lock = lock.ok()?;
    lock.try_lock().ok()?;
    let (locked, named) = (lock.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    ((locked.dev(), locked.ino()) == (named.dev(), named.ino())).then_some(lock)
}

/// Removes the directories for temporary files that killed daemons of this user have left.
pub fn sweep_temporary() {
    if let Ok(place) = fs::canonicalize(std::env::temp_dir()) {
        sweep_left(&place);
    }
}

fn sweep_left(place: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY)
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == user);
        if is_ours
            && let Some(_lock) = lock(&path)
            && let Err(error) = remove(&path)
        {
            tracing::warn!(%error, path = %path.display(), "temporary files of a killed daemon could not be removed");
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = remove(self.path()) {
            tracing::warn!(%error, path = %self.path().display(), "temporary files of a command could not be removed");
        }
    }
}

/// Removes a directory with everything in it, also where its owner may not look into it.
fn remove(path: &Path) -> io::Result<()> {
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    unlock(path);
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gives the owner all rights on the directories below. No link is followed, not even one that is put there meanwhile.
fn unlock(path: &Path) {
    let Some((_directory, name)) = permit(path) else { return };
    for entry in fs::read_dir(&name).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&path.join(entry.file_name()));
        }
    }
}

/// Gives the owner all rights on a directory; the name by which it can be opened, as long as the descriptor is open.
fn permit(path: &Path) -> Option<(OwnedFd, PathBuf)> {
    let directory = open_real(path).ok()?;
    let name = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let is_permitted =
        fs::metadata(&name).is_ok_and(|found| found.is_dir()) && fs::set_permissions(&name, Permissions::from_mode(0o700)).is_ok();
    is_permitted.then_some((directory, name))
}

/// Makes a worktree's cache where it is not there, and notes that it is used now.
///
/// # Errors
/// When it cannot be made.
pub fn use_cache(cache: &Path) -> io::Result<()> {
    fs::create_dir_all(cache)?;
    File::open(cache)?.set_modified(SystemTime::now())
}

/// The variables by which programs find caches that they may write: those at home that the settings name, else the worktree's.
#[must_use]
pub fn cache_variables(cache: &Path, home: Option<&Path>, write: &[PathBuf]) -> Vec<(&'static str, PathBuf)> {
    let variables = CACHES.iter().map(|(variable, usual, own)| {
        let usual = home.map(|home| home.join(usual)).filter(|usual| write.iter().any(|path| usual.starts_with(path)));
        (*variable, usual.unwrap_or_else(|| cache.components().chain(Path::new(own).components()).collect()))
    });
    variables.collect()
}

/// Removes the caches that were not used for long, and more of them where they hold too much.
pub fn sweep_caches(caches: &Path) {
    sweep(caches, CACHE_MAX_BYTES);
}

fn sweep(caches: &Path, most: u64) {
    let now = SystemTime::now();
    let entries = fs::read_dir(caches).into_iter().flatten().flatten();
    let mut found: Vec<(Duration, PathBuf)> = entries
        .filter_map(|entry| {
            let used = entry.metadata().ok().filter(fs::Metadata::is_dir)?.modified().ok()?;
            Some((now.duration_since(used).unwrap_or_default(), entry.path()))
        })
        .collect();
    found.sort();
    let mut total = 0;
    for (age, path) in found {
        total += if age > CACHE_MAX_AGE { 0 } else { size(&path) };
        if (age > CACHE_MAX_AGE || total > most && age > CACHE_IN_USE)
            && let Err(error) = remove(&path)
        {
            tracing::warn!(%error, path = %path.display(), "a cache of commands could not be removed");
        }
    }
}

fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_that_the_settings_name_are_used() {
        let (cache, home) = (Path::new("/cache"), Path::new("/home"));
        let shown = |home: Option<&Path>, write: &[&str]| {
            let write: Vec<PathBuf> = write.iter().map(PathBuf::from).collect();
            let variables = cache_variables(cache, home, &write);
            variables.iter().map(|(name, path)| format!("{name}={}", path.display())).collect::<Vec<_>>().join(" ")
        };
        let own = "XDG_CACHE_HOME=/cache GOCACHE=/cache/go-build PIP_CACHE_DIR=/cache/pip UV_CACHE_DIR=/cache/uv npm_config_cache=/cache/npm PNPM_HOME=/cache/pnpm";
        assert_eq!(shown(Some(home), &["/home/.cache/other", "/home/.npmrc"]), own);
        assert_eq!(shown(None, &["/home"]), own);
        let some = own.replace("/cache/go-build", "/home/.cache/go-build").replace("/cache/npm", "/home/.npm");
        assert_eq!(shown(Some(home), &["/home/.cache/go-build", "/home/.npm"]), some);
        assert!(!shown(Some(home), &["/home"]).contains("=/cache"));
    }

    #[test]
    fn caches_go_by_age_and_then_by_size() {
        let keep = tempfile::tempdir().unwrap();
        let day = Duration::from_secs(24 * 3600);
        for (name, days) in [("new", 0), ("recent", 3), ("older", 4), ("old", 31)] {
            let cache = keep.path().join(name);
            use_cache(&cache.join("deep")).unwrap();
            fs::write(cache.join("deep/file"), [0; 100]).unwrap();
            File::open(&cache).unwrap().set_modified(SystemTime::now() - day * days).unwrap();
        }
        let names = || {
            let mut names: Vec<_> = fs::read_dir(keep.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        sweep_caches(keep.path());
        assert_eq!(names(), ["new", "older", "recent"]);
        sweep(keep.path(), 250);
        assert_eq!(names(), ["new", "recent"]);
        sweep(keep.path(), 50);
        assert_eq!(names(), ["new"], "one that may be in use stays");
    }

    #[test]
    fn what_a_killed_daemon_left_is_removed_and_what_is_used_stays() {
        let keep = tempfile::tempdir().unwrap();
        let place = keep.path().canonicalize().unwrap();
        let used = Temporary::new_in(&place).unwrap();
        assert_eq!(fs::metadata(used.path()).unwrap().mode() & 0o777, 0o700);
        let left = |name: &str| {
            let path = place.join(format!("{TEMPORARY}{name}"));
            fs::create_dir_all(path.join("a/b")).unwrap();
            path
        };
        let (open, closed, other) = (left("open"), left("closed"), place.join("polytree-other"));
        for path in [closed.join("a"), closed.clone()] {
            fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        }
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, place.join(format!("{TEMPORARY}link"))).unwrap();
        fs::write(place.join(format!("{TEMPORARY}file")), "").unwrap();
        sweep_left(&place);
        assert!(used.path().exists() && other.exists() && !open.exists() && !closed.exists());
        assert_eq!(fs::read_dir(&place).unwrap().count(), 4);
        if rustix::process::geteuid().is_root() {
            let foreign = left("foreign");
            std::os::unix::fs::chown(&foreign, Some(65534), None).unwrap();
            sweep_left(&place);
            assert!(foreign.exists());
        }
    }

    #[test]
    fn modes_keep_nothing_from_being_removed_and_links_are_not_followed() {
        let keep = tempfile::tempdir().unwrap();
        let other = keep.path().canonicalize().unwrap().join("other");
        fs::create_dir(&other).unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o500)).unwrap();
        let temporary = Temporary::new().unwrap();
        let path = temporary.path().to_owned();
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/c"), "").unwrap();
        std::os::unix::fs::symlink(&other, path.join("a/link")).unwrap();
        for name in ["a/b", "a"] {
            fs::set_permissions(path.join(name), Permissions::from_mode(0o000)).unwrap();
        }
        unlock(&path);
        assert_eq!(fs::metadata(path.join("a/b")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o500);
        drop(temporary);
        assert!(!path.exists() && other.exists());
    }
}
