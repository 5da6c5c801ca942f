//! The path of the local socket: in a private directory, and within the limit of the operating system. The daemon tries
//! several paths and writes the one in use to its lock file, so that clients with other variables, or another spelling of
//! the data directory, find the same daemon.

use std::io;

use crate::stdx::paths::AbsPath;

/// The maximum length of a socket's path, without the terminating zero.
#[cfg(target_os = "linux")]
const MAX_PATH_BYTES: usize = 107;
#[cfg(not(target_os = "linux"))]
const MAX_PATH_BYTES: usize = 103;

/// Why the socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be used safely.
    #[error("{directory} cannot hold the socket: {reason}")]
    Directory { directory: AbsPath, reason: &'static str },
    /// The path is taken by something that must not be removed.
    #[error("{path} is in the way: {reason}")]
    Occupied { path: AbsPath, reason: &'static str },
    /// All paths are too long.
    #[error("no path for the local socket is short enough")]
    Nowhere,
    /// The operating system refuses it.
    #[error("cannot use the local socket {path}")]
    Io {
        /// The path of the socket or its directory.
        path: AbsPath,
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(path: &AbsPath) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// The address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    directory: AbsPath,
    path: AbsPath,
}

impl Address {
    /// The addresses for the daemon that owns `data`, the preferred first: in `runtime`, in `data`, and below `/tmp` if those
    /// paths are too long or their file systems do not support sockets. Links are resolved, so that each spelling gives the
    /// same addresses.
    #[cfg(unix)]
    #[must_use]
    pub fn candidates(runtime: &AbsPath, data: &AbsPath) -> Vec<Self> {
        let (runtime, data) = (resolved(runtime), resolved(data));
        let name = &blake3::hash(data.as_path().as_os_str().as_encoded_bytes()).to_hex()[..16];
        let both = [&runtime, &data].map(|path| path.as_path().as_os_str().as_encoded_bytes()).join(&0);
        let short = short_directory().join(format!("{}.sock", &blake3::hash(&both).to_hex()[..32]));
        let paths = [runtime.join(format!("daemon-{name}.sock")), data.join("daemon.sock"), short];
        paths.into_iter().filter(|path| path.as_path().as_os_str().len() <= MAX_PATH_BYTES).filter_map(Self::at).collect()
    }

    /// The address for the daemon that owns `data`. A pipe's name has no relevant limit and depends only on the data
    /// directory, so there is one: the lock file of a running daemon cannot be read on this platform.
    #[cfg(windows)]
    #[must_use]
    pub fn candidates(_: &AbsPath, data: &AbsPath) -> Vec<Self> {
        Self::at(data.real_or_nearest().join("daemon.sock")).into_iter().collect()
    }

    /// The address with this path, such as a lock file names.
    #[must_use]
    pub fn at(path: AbsPath) -> Option<Self> {
        Some(Self { directory: path.parent()?, path })
    }

    #[must_use]
    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// The name for the operating system.
    pub(super) fn name(&self) -> io::Result<interprocess::local_socket::Name<'static>> {
        use interprocess::local_socket::{GenericFilePath, ToFsName as _};
        #[cfg(unix)]
        let path = self.path.as_path().to_owned();
        #[cfg(windows)]
        let path = {
            let hash = blake3::hash(self.path.as_path().as_os_str().as_encoded_bytes()).to_hex();
            std::path::PathBuf::from(format!(r"\\.\pipe\polytree-{hash}"))
        };
        path.to_fs_name::<GenericFilePath>()
    }

    /// Creates the directory, or checks that it is private.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        #[cfg(unix)]
        return private_directory(&self.directory);
        #[cfg(windows)]
        return std::fs::create_dir_all(&self.directory).map_err(Error::io(&self.directory));
    }
}

#[cfg(unix)]
fn short_directory() -> AbsPath {
    let uid = rustix::process::geteuid().as_raw();
    AbsPath::new(format!("/tmp/polytree-{uid}")).expect("it is absolute")
}

/// The real path. A link of another user is not resolved, and refused later.
#[cfg(unix)]
fn resolved(directory: &AbsPath) -> AbsPath {
    use std::os::unix::fs::MetadataExt as _;
    let trusted = |uid| uid == 0 || uid == rustix::process::geteuid().as_raw();
    match std::fs::symlink_metadata(directory) {
        Ok(metadata) if metadata.is_symlink() && !trusted(metadata.uid()) => directory.clone(),
        _ => directory.real_or_nearest(),
    }
}

/// Creates a directory with mode 0700, or uses an own one and restricts its mode.
#[cfg(unix)]
pub(super) fn private_directory(directory: &AbsPath) -> Result<(), Error> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};

    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(Error::io(directory))?;
    // Links are not followed: other users may be able to write to the parent.
    let metadata = std::fs::symlink_metadata(directory).map_err(Error::io(directory))?;
    let unfit = |reason| Err(Error::Directory { directory: directory.clone(), reason });
    if !metadata.is_dir() {
        return unfit("it is a link");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return unfit("it belongs to another user");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(Error::io(directory))?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    #[test]
    fn the_places_are_those_of_the_data_directory() {
        let (runtime, long) = (path("/run/user/1/polytree"), path(&format!("/{}", "x".repeat(100))));
        let addresses = Address::candidates(&runtime, &path("/data"));
        assert_eq!(addresses, Address::candidates(&runtime, &path("/data/")));
        assert_ne!(addresses[0], Address::candidates(&runtime, &path("/other"))[0]);
        assert!(addresses[0].path().is_within(&runtime));
        assert_eq!(addresses[1].path(), &path("/data/daemon.sock"));
        assert!(addresses[2].path().to_string().starts_with("/tmp/polytree-"), "{addresses:?}");
        assert_eq!(addresses.len(), 3);

        let short = Address::candidates(&long, &long);
        assert_ne!(short, Address::candidates(&long, &path(&format!("/{}", "y".repeat(100)))));
        assert!(short.len() == 1 && short[0].path().to_string().starts_with("/tmp/polytree-"), "{short:?}");
        assert!(short[0].path().to_string().len() < 100);
    }

    #[test]
    fn each_spelling_gives_the_same_places() {
        let temporary = tempfile::tempdir().unwrap();
        let root = path(temporary.path().to_str().unwrap()).real().unwrap();
        std::fs::create_dir(root.join("real").as_path()).unwrap();
        symlink("real", root.join("link").as_path()).unwrap();
        let of = |name: &str| Address::candidates(&root.join(name).join("run"), &root.join(name).join("data"));
        assert_eq!(of("link"), of("real"), "although neither exists yet");
        assert!(of("link")[0].path().is_within(&root.join("real")));
    }

    #[test]
    fn the_directory_is_ours_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let root = path(temporary.path().to_str().unwrap());
        let mode = |path: &AbsPath| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;

        let fresh = root.join("a/b");
        private_directory(&fresh).unwrap();
        assert_eq!(mode(&fresh), 0o700);

        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
        private_directory(&fresh).unwrap();
        assert_eq!(mode(&fresh), 0o700);

        let link = root.join("link");
        symlink(&fresh, &link).unwrap();
        assert!(matches!(private_directory(&link), Err(Error::Directory { .. })));

        let file = root.join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(private_directory(&file), Err(Error::Io { .. })));
    }
}
