//! Where the socket is: always the same place for the same data directory, short enough for every system, in a
//! directory that nobody else can enter.

use std::io;

use crate::stdx::paths::AbsPath;

/// The longest path that a socket can have, without the terminating zero.
#[cfg(target_os = "linux")]
const PATH_LIMIT: usize = 107;
#[cfg(not(target_os = "linux"))]
const PATH_LIMIT: usize = 103;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be used safely.
    #[error("{directory} cannot hold the socket: {reason}")]
    Directory {
        /// The directory.
        directory: AbsPath,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something is where the socket should be, and it is not ours to remove.
    #[error("{path} is in the way: {reason}")]
    Occupied {
        /// The socket's path.
        path: AbsPath,
        /// What is there.
        reason: &'static str,
    },
    /// The system refused.
    #[error("cannot use the local socket {path}")]
    Io {
        /// The socket's path or its directory.
        path: AbsPath,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn io(path: &AbsPath) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// Where the daemon of a data directory is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    directory: AbsPath,
    path: AbsPath,
}

impl Address {
    /// The address of the daemon that owns `data`: in `runtime`, or below `/tmp` where that path is too long.
    #[must_use]
    pub fn new(runtime: &AbsPath, data: &AbsPath) -> Self {
        let name = &blake3::hash(data.as_path().as_os_str().as_encoded_bytes()).to_hex()[..16];
        let path = runtime.join(format!("daemon-{name}.sock"));
        if path.as_path().as_os_str().len() <= PATH_LIMIT {
            return Self { directory: runtime.clone(), path };
        }
        let directory = short_directory(runtime);
        let both = [runtime, data].map(|path| path.as_path().as_os_str().as_encoded_bytes()).join(&0);
        let path = directory.join(format!("{}.sock", &blake3::hash(&both).to_hex()[..32]));
        Self { directory, path }
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// The name as the system wants it.
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

    /// Makes the directory, or checks that it is ours alone.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        #[cfg(unix)]
        return private_directory(&self.directory);
        #[cfg(windows)]
        return std::fs::create_dir_all(&self.directory).map_err(Error::io(&self.directory));
    }
}

#[cfg(unix)]
fn short_directory(_: &AbsPath) -> AbsPath {
    let uid = rustix::process::geteuid().as_raw();
    AbsPath::new(format!("/tmp/polytree-{uid}")).expect("it is absolute")
}

#[cfg(windows)]
fn short_directory(runtime: &AbsPath) -> AbsPath {
    // A pipe's name has no such limit: it is made of a hash.
    runtime.clone()
}

/// Makes a directory of mode 0700, or takes one that is ours; others are then locked out of it.
#[cfg(unix)]
pub(super) fn private_directory(directory: &AbsPath) -> Result<(), Error> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};

    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(Error::io(directory))?;
    // Not followed: a link in a place where others can write could lead anywhere.
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
    fn one_place_for_each_data_directory() {
        let (runtime, long) = (path("/run/user/1/polytree"), path(&format!("/{}", "x".repeat(100))));
        let address = Address::new(&runtime, &path("/data"));
        assert_eq!(address, Address::new(&runtime, &path("/data/")));
        assert_ne!(address, Address::new(&runtime, &path("/other")));
        assert!(address.path().is_within(&runtime));

        let short = Address::new(&long, &path("/data"));
        assert_eq!(short, Address::new(&long, &path("/data")));
        assert_ne!(short, Address::new(&long, &path("/other")));
        assert_ne!(short, Address::new(&path(&format!("/{}", "y".repeat(100))), &path("/data")));
        assert!(short.path().to_string().starts_with("/tmp/polytree-"), "{}", short.path());
        assert!(short.path().to_string().len() < 100);
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
