//! The directories of polytree: settings, data, and runtime files. They are private, and data is never on a network file
//! system, where the store's locks are not reliable.

use std::{collections::BTreeMap, io};

use crate::stdx::paths::{self, AbsPath};

/// The environment variables of a process or of a client.
pub type Environment = BTreeMap<String, String>;

/// The three directories.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Places {
    /// The user's settings and agents.
    pub config: AbsPath,
    /// The store, logs and keys.
    pub data: AbsPath,
    /// Sockets.
    pub runtime: AbsPath,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable is not an absolute path.
    #[error("{name} must be an absolute path, not {value:?}")]
    Relative { name: &'static str, value: String },
    /// There is no home directory.
    #[error("there is no home directory: set HOME, or POLYTREE_CONFIG_DIR and POLYTREE_DATA_DIR")]
    NoHome,
    /// A directory cannot be created or used.
    #[error("cannot use the directory {path}")]
    Directory { path: AbsPath, source: io::Error },
    /// Other users could create files there.
    #[error("the directory {path} belongs to another user and is writable by others; set {name} to a directory of your own")]
    Foreign {
        path: AbsPath,
        /// The variable that moves it.
        name: &'static str,
    },
    /// The data directory is on a network file system.
    #[error(
        "the data directory {path} is on a network file system ({kind}), where the store's locks are not reliable; \
         set POLYTREE_DATA_DIR to a directory on a local disk"
    )]
    Network { path: AbsPath, kind: &'static str },
}

/// The platform whose conventions apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Platform {
    Unix,
    MacOs,
    Windows,
}

impl Platform {
    const THIS: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::MacOs
    } else {
        Self::Unix
    };
}

/// The user's home, from the variables or the account.
#[must_use]
pub fn home(environment: &Environment) -> Option<AbsPath> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    environment.get(name).and_then(AbsPath::new).or_else(paths::home)
}

impl Places {
    /// The directories for the given variables. Creates nothing; processes with the same variables get the same directories.
    ///
    /// # Errors
    /// If a `POLYTREE_…` variable is a relative path, or there is no home.
    pub fn discover(environment: &Environment) -> Result<Self, Error> {
        Self::discover_as(Platform::THIS, environment, home(environment).as_ref())
    }

    fn discover_as(platform: Platform, environment: &Environment, home: Option<&AbsPath>) -> Result<Self, Error> {
        // The XDG specification requires that relative values are ignored; in our own variables they are errors.
        let theirs = |name: &str| environment.get(name).and_then(AbsPath::new);
        let ours = |name: &'static str| match environment.get(name).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(value) => {
                let path = match (value.strip_prefix("~/"), home) {
                    (Some(rest), Some(home)) => Some(home.join(rest)),
                    _ => AbsPath::new(value),
                };
                path.map(Some).ok_or_else(|| Error::Relative { name, value: value.to_owned() })
            }
        };
        let below_home = |path: &str| home.map(|home| home.join(path)).ok_or(Error::NoHome);
        let base = |xdg: &str, unix: &str, windows: (&str, &str)| match (platform, theirs(xdg)) {
            (Platform::Unix | Platform::MacOs, Some(base)) => Ok(base.join("polytree")),
            (Platform::Unix, None) => Ok(below_home(unix)?.join("polytree")),
            (Platform::MacOs, None) => Ok(below_home("Library/Application Support")?.join("polytree")),
            (Platform::Windows, _) => Ok(theirs(windows.0).map_or_else(|| below_home(windows.1), Ok)?.join("polytree")),
        };
        let config = if let Some(path) = ours("POLYTREE_CONFIG_DIR")? {
            path
        } else {
            base("XDG_CONFIG_HOME", ".config", ("APPDATA", "AppData/Roaming"))?
        };
        let data = if let Some(path) = ours("POLYTREE_DATA_DIR")? {
            path
        } else {
            let data = base("XDG_DATA_HOME", ".local/share", ("LOCALAPPDATA", "AppData/Local"))?;
            // One directory for both; the store has a subdirectory.
            if data == config { data.join("data") } else { data }
        };
        let runtime = match ours("POLYTREE_RUNTIME_DIR")? {
            Some(path) => path,
            // Another data directory has its own daemon, and so its own sockets.
            None if ours("POLYTREE_DATA_DIR")?.is_some() => data.clone(),
            None => theirs("XDG_RUNTIME_DIR").filter(is_own).map_or_else(|| data.clone(), |base| base.join("polytree")),
        };
        Ok(Self { config, data, runtime })
    }

    /// Creates missing directories, and restricts the modes of own ones. Settings are only read, so a settings directory that is
    /// read-only, or belongs to another user, only causes a warning.
    ///
    /// # Errors
    /// If another one cannot be created or belongs to another user, or the data directory is on a network file system.
    pub fn create(&self) -> Result<(), Error> {
        if let Err(error) = make_private(&self.config, "POLYTREE_CONFIG_DIR") {
            tracing::warn!(error = &error as &dyn std::error::Error, "the settings directory has a problem; it is used read-only");
        }
        for (path, name) in [(&self.data, "POLYTREE_DATA_DIR"), (&self.runtime, "POLYTREE_RUNTIME_DIR")] {
            make_private(path, name)?;
        }
        match network_file_system(&self.data) {
            Some(kind) => Err(Error::Network { path: self.data.clone(), kind }),
            None => Ok(()),
        }
    }
}

#[cfg(unix)]
fn is_own(directory: &AbsPath) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(directory.as_path()).is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn is_own(directory: &AbsPath) -> bool {
    directory.as_path().is_dir()
}

#[cfg(unix)]
fn make_private(path: &AbsPath, name: &'static str) -> Result<(), Error> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
    let failed = |source| Error::Directory { path: path.clone(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path.as_path()).map_err(failed)?;
    let found = std::fs::metadata(path.as_path()).map_err(failed)?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    match found.mode() {
        mode if is_ours && mode & 0o077 != 0 => {
            std::fs::set_permissions(path.as_path(), std::fs::Permissions::from_mode(0o700)).map_err(failed)
        }
        mode if !is_ours && mode & 0o022 != 0 => Err(Error::Foreign { path: path.clone(), name }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn make_private(path: &AbsPath, _: &'static str) -> Result<(), Error> {
    std::fs::create_dir_all(path.as_path()).map_err(|source| Error::Directory { path: path.clone(), source })
}

/// Network file systems by their magic number on Linux.
const NETWORK_MAGIC: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x7870_6f44, "OrangeFS"),
];

/// Network file systems in FUSE, which all have the same magic number.
const NETWORK_FUSE: &[&str] = &[
    "fuse.sshfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.goofys",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.davfs",
    "fuse.davfs2",
    "fuse.curlftpfs",
    "fuse.smbnetfs",
    "fuse.nfs",
    "fuse.juicefs",
    "fuse.mount.s3",
];

fn network_magic(magic: u32) -> Option<&'static str> {
    NETWORK_MAGIC.iter().find(|(known, _)| *known == magic).map(|(_, kind)| *kind)
}

/// The kind of the network file system `device` (`major:minor`), from the kernel's mount table.
fn network_fuse(mounts: &str, device: &str) -> Option<&'static str> {
    let kind = mounts.lines().find_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        (fields.split(' ').nth(2)? == device).then(|| rest.split(' ').next().unwrap_or_default())
    })?;
    NETWORK_FUSE.iter().copied().find(|known| *known == kind)
}

/// The kind of network file system of a path; `None` for local file systems, and if it is unknown.
#[cfg(target_os = "linux")]
#[must_use]
pub fn network_file_system(path: &AbsPath) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt as _;
    const FUSE: u32 = 0x6573_5546;
    let statfs = rustix::fs::statfs(path.as_path()).ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of 32 bits in a field whose width and sign vary")]
    let magic = statfs.f_type as u32;
    if magic != FUSE {
        return network_magic(magic);
    }
    let device = std::fs::metadata(path.as_path()).ok()?.dev();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    network_fuse(&mounts, &format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
}

#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn network_file_system(_: &AbsPath) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(platform: Platform, variables: &[(&str, &str)]) -> String {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match Places::discover_as(platform, &environment, AbsPath::new("/home/u").as_ref()) {
            Ok(places) => format!("{} {} {}", places.config, places.data, places.runtime),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_platform_has_its_customs() {
        let data = "/home/u/.local/share/polytree";
        assert_eq!(discover(Platform::Unix, &[]), format!("/home/u/.config/polytree {data} {data}"));
        let support = "/home/u/Library/Application Support/polytree";
        assert_eq!(discover(Platform::MacOs, &[]), format!("{support} {support}/data {support}/data"));
        let local = "/home/u/AppData/Local/polytree";
        assert_eq!(discover(Platform::Windows, &[("XDG_DATA_HOME", "/x")]), format!("/home/u/AppData/Roaming/polytree {local} {local}"));
        assert_eq!(discover(Platform::Windows, &[("APPDATA", "/r"), ("LOCALAPPDATA", "/l")]), "/r/polytree /l/polytree /l/polytree");
    }

    #[test]
    fn variables_move_the_places() {
        let xdg = [("XDG_CONFIG_HOME", "/c"), ("XDG_DATA_HOME", "/d"), ("XDG_RUNTIME_DIR", "/not/there")];
        assert_eq!(discover(Platform::Unix, &xdg), "/c/polytree /d/polytree /d/polytree");
        let relative = [("XDG_CONFIG_HOME", "c"), ("XDG_DATA_HOME", "")];
        assert_eq!(discover(Platform::Unix, &relative), discover(Platform::Unix, &[]));
        let ours = [("POLYTREE_CONFIG_DIR", "/c/"), ("POLYTREE_DATA_DIR", "~/d"), ("POLYTREE_RUNTIME_DIR", "/r")];
        assert_eq!(discover(Platform::Unix, &ours), "/c /home/u/d /r");
        assert_eq!(discover(Platform::Unix, &[("POLYTREE_DATA_DIR", "d")]), r#"POLYTREE_DATA_DIR must be an absolute path, not "d""#);
        assert!(matches!(Places::discover_as(Platform::Unix, &Environment::new(), None), Err(Error::NoHome)));
    }

    #[cfg(unix)]
    #[test]
    fn the_runtime_directory_of_the_system_is_used_when_it_is_ours() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().to_str().unwrap();
        let places = discover(Platform::Unix, &[("XDG_RUNTIME_DIR", base)]);
        assert!(places.ends_with(&format!(" {base}/polytree")), "{places}");
        let moved = discover(Platform::Unix, &[("XDG_RUNTIME_DIR", base), ("POLYTREE_DATA_DIR", "/d")]);
        assert!(moved.ends_with(" /d /d"), "{moved}");
    }

    #[cfg(unix)]
    #[test]
    fn directories_are_for_the_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        let places = Places { config: root.join("a/config"), data: root.join("data"), runtime: root.join("data") };
        std::fs::create_dir(places.data.as_path()).unwrap();
        std::fs::set_permissions(places.data.as_path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        places.create().unwrap();
        places.create().unwrap();
        for path in [root.join("a"), places.config, places.data] {
            let mode = std::fs::metadata(path.as_path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{path}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        std::fs::write(root.join("data").as_path(), "").unwrap();
        let places = Places { config: root.join("config"), data: root.join("data"), runtime: root.join("runtime") };
        assert!(matches!(places.create(), Err(Error::Directory { path, .. }) if path == places.data));
    }

    #[test]
    fn settings_that_cannot_be_made_or_closed_are_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        std::fs::write(root.join("file").as_path(), "").unwrap();
        let places = Places { config: root.join("file/config"), data: root.join("data"), runtime: root.join("data") };
        places.create().unwrap();
        // Of another user and writable by all, like some mounts from other machines.
        #[cfg(unix)]
        if rustix::process::geteuid().is_root() {
            use std::os::unix::fs::{PermissionsExt as _, chown};
            let foreign = |name: &str| {
                let path = root.join(name);
                std::fs::create_dir(path.as_path()).unwrap();
                std::fs::set_permissions(path.as_path(), std::fs::Permissions::from_mode(0o777)).unwrap();
                chown(path.as_path(), Some(65534), None).unwrap();
                path
            };
            Places { config: foreign("config"), ..places.clone() }.create().unwrap();
            let data = foreign("foreign");
            assert!(matches!(Places { data, ..places }.create(), Err(Error::Foreign { .. })), "the data directory must be the user's own");
        }
    }

    #[test]
    fn network_file_systems_are_known() {
        assert_eq!(network_magic(0x6969), Some("NFS"));
        assert_eq!(network_magic(0xff53_4d42), Some("CIFS"));
        assert_eq!(network_magic(0xef53), None);
        let mounts = "36 35 98:0 / / rw,noatime - ext4 /dev/root rw\n\
                      40 36 0:45 / /home/u/remote rw shared:1 - fuse.sshfs u@host:/ rw\n\
                      41 36 0:46 / /home/u/crypt rw - fuse.gocryptfs /c rw\n";
        assert_eq!(network_fuse(mounts, "0:45"), Some("fuse.sshfs"));
        assert_eq!(network_fuse(mounts, "0:46"), None);
        assert_eq!(network_fuse(mounts, "0:47"), None);
    }
}
