//! What commands leave on the disk: their private directories for temporary files, and caches of worktrees.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
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

/// A command's directory for temporary files. It goes with this value, whatever modes the command has given to what is in it.
#[derive(Debug)]
pub struct Temporary(TempDir);

impl Temporary {
    /// Makes one.
    ///
    /// # Errors
    /// When the system's directory for temporary files is not writable.
    pub fn new() -> io::Result<Self> {
        let place = fs::canonicalize(std::env::temp_dir())?;
        tempfile::Builder::new().prefix("polytree-").tempdir_in(place).map(Self)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
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
    let Ok(directory) = open_real(path) else { return };
    let name = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    if fs::metadata(&name).is_ok_and(|found| found.is_dir()) && fs::set_permissions(&name, Permissions::from_mode(0o700)).is_ok() {
        for entry in fs::read_dir(&name).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                unlock(&path.join(entry.file_name()));
            }
        }
    }
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
