//! The places that commands need beside the worktree: what the system has, and tool chains in the home directory.

use std::path::{Path, PathBuf};

/// What belongs to the system and is the same for everybody.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/run/current-system",
    "/sys",
    "/var/lib/dpkg",
    "/var/lib/alternatives",
    "/home/linuxbrew",
    "/snap",
    "/run/systemd/resolve",
];

/// What the kernel tells of itself, without what it tells of processes: their variables are among that.
const KERNEL: &[&str] = &[
    "/proc/cmdline",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys",
    "/proc/uptime",
    "/proc/version",
];

/// Devices that hold nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Tool chains and their settings below the home directory, without what may hold keys.
const HOME: &[&str] = &[
    ".asdf",
    ".bun",
    ".bundle/cache",
    ".cabal/bin",
    ".cabal/packages",
    ".cabal/store",
    ".cache/bazel",
    ".cache/deno",
    ".cache/go-build",
    ".cache/ms-playwright",
    ".cache/node",
    ".cache/node-gyp",
    ".cache/pip",
    ".cache/pnpm",
    ".cache/uv",
    ".cache/yarn",
    ".cargo",
    ".config/git",
    ".config/go",
    ".config/mise",
    ".deno",
    ".dotnet",
    ".elan",
    ".editorconfig",
    ".fnm",
    ".gem/ruby",
    ".ghcup",
    ".gitattributes",
    ".gitconfig",
    ".gitignore",
    ".gitignore_global",
    ".goenv",
    ".gradle/caches",
    ".gradle/jdks",
    ".gradle/wrapper",
    ".jenv",
    ".julia",
    ".linuxbrew",
    ".local/bin",
    ".local/lib",
    ".local/share/fnm",
    ".local/share/gem",
    ".local/share/mise",
    ".local/share/pnpm",
    ".local/share/uv",
    ".local/share/virtualenvs",
    ".m2/repository",
    ".n",
    ".nodenv",
    ".npm",
    ".npm-global",
    ".nuget/packages",
    ".nvm",
    ".opam",
    ".phpenv",
    ".pyenv",
    ".python-version",
    ".rbenv",
    ".rustup",
    ".rvm",
    ".sdkman",
    ".stack",
    ".swiftly",
    ".terminfo",
    ".tool-versions",
    ".volta",
    ".yarn",
    ".zvm",
    "anaconda3",
    "go",
    "miniconda3",
    "miniforge3",
    "sdk",
];

/// What only root may read, for a daemon that runs as root.
const KEYS_OF_ROOT: &[&str] = &["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssl/private", "/etc/sudoers.d"];

/// The roots that commands may read, with links resolved; only what is there. `path` is the value of `PATH`.
#[must_use]
pub fn readable(home: Option<&Path>, path: Option<&str>) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = SYSTEM.iter().filter_map(|path| real(Path::new(path))).collect();
    if let Some(home) = home {
        roots.extend(HOME.iter().filter_map(|name| real(&home.join(name))));
    }
    // A directory of programs may lie anywhere; one that holds the home directory, or much else, is no such.
    for directory in std::env::split_paths(path.unwrap_or_default()).filter(|directory| directory.is_absolute()) {
        if let Some(directory) = real(&directory)
            && directory.components().count() > 2
            && !home.is_some_and(|home| home.starts_with(&directory))
        {
            roots.push(directory);
        }
    }
    roots.sort();
    roots.dedup();
    let mut least: Vec<PathBuf> = Vec::new();
    for root in roots {
        if !least.last().is_some_and(|last| root.starts_with(last)) {
            least.push(root);
        }
    }
    least
}

/// What the kernel tells of itself that commands may read; of processes too for those that do more than look.
pub fn kernel(processes: bool) -> impl Iterator<Item = &'static Path> {
    let names: &'static [&'static str] = if processes { &["/proc"] } else { KERNEL };
    names.iter().map(Path::new)
}

/// The devices that commands may use.
pub fn devices() -> impl Iterator<Item = &'static Path> {
    DEVICES.iter().map(Path::new)
}

/// What the system keeps secret and a daemon that runs as root could read.
#[must_use]
pub fn of_root() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { KEYS_OF_ROOT } else { &[] }
}

/// The path with its links resolved; `None` where nothing is there.
#[must_use]
pub fn real(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{sandbox::key_stores, stdx::paths::AbsPath};

    #[test]
    fn no_root_lies_in_a_store_of_keys() {
        let home = AbsPath::new("/home/user").unwrap();
        let stores = key_stores(Some(&home), &BTreeMap::new());
        for name in HOME {
            assert!(!stores.iter().any(|store| home.join(name).is_within(store)), "{name}");
        }
    }

    #[test]
    fn roots_are_real_and_none_lies_in_another() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        for name in [".cargo/bin", "tools/bin", ".ssh"] {
            std::fs::create_dir_all(home.join(name)).unwrap();
        }
        let path = format!("{0}/.cargo/bin:{0}/tools/bin:{0}:/:bin:/usr/bin", home.display());
        let roots = readable(Some(&home), Some(&path));
        for (index, root) in roots.iter().enumerate() {
            assert!(root.exists());
            assert!(roots.iter().enumerate().all(|(other, path)| other == index || !root.starts_with(path)), "{root:?} in {roots:?}");
        }
        let below: Vec<_> = roots.iter().filter_map(|root| root.strip_prefix(&home).ok()).collect();
        assert_eq!(below, [Path::new(".cargo"), Path::new("tools/bin")]);
    }
}
