//! Opens files at real paths that were checked before. Opening fails if a component was replaced by a symbolic link
//! since the check, so the opened file is always the checked one. Pipes, sockets and devices are refused without
//! blocking.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io,
    path::Path,
};

use crate::stdx::paths::AbsPath;

/// How much of a directory was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// Only the entries up to the limit.
    Part,
}

/// Why a checked path could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is a directory")]
    Directory,
    #[error("it is not a directory")]
    NotDirectory,
    /// Neither a regular file nor a directory.
    #[error("it is a {0} and not a regular file")]
    Special(&'static str),
    /// A component has become a symbolic link since the path was resolved.
    #[error("a part of the path was replaced by a symbolic link while the tool ran")]
    Moved,
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        #[cfg(unix)]
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::LOOP) => return Self::Moved,
            Some(rustix::io::Errno::NXIO) => return Self::Special("socket or device"),
            _ => {}
        }
        Self::Io(error)
    }
}

/// The type of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Directory,
    File,
    /// A symbolic link, not followed.
    Symlink,
    /// A pipe, socket or device.
    Special,
}

/// Opens a regular file for reading; returns its metadata too.
///
/// # Errors
/// When it is not a regular file, not readable, or the path contains a symbolic link.
pub fn regular(real: &AbsPath) -> Result<(File, Metadata), Error> {
    check_regular(system::open_file(real)?)
}

fn check_regular(file: File) -> Result<(File, Metadata), Error> {
    let metadata = file.metadata()?;
    match special(metadata.file_type()) {
        _ if metadata.is_dir() => Err(Error::Directory),
        Some(word) => Err(Error::Special(word)),
        None => Ok((file, metadata)),
    }
}

/// A directory below which many files are opened: as safe as by the whole path, and faster.
#[derive(Debug)]
pub struct Root(system::Root);

impl Root {
    /// Opens the directory, a real path.
    ///
    /// # Errors
    /// When it cannot be opened, or the path contains a symbolic link.
    pub fn new(real: &AbsPath) -> Result<Self, Error> {
        Ok(Self(system::Root::new(real)?))
    }

    /// Opens a regular file by its relative path, without `.` and `..`, and returns its size.
    ///
    /// # Errors
    /// When it is not a regular file, not readable, or the path contains a symbolic link.
    pub fn regular(&self, relative: &Path) -> Result<(File, u64), Error> {
        check_regular(self.0.open_file(relative)?).map(|(file, metadata)| (file, metadata.len()))
    }
}

/// At most `limit` names in a directory with their types, unordered.
///
/// # Errors
/// When it is not a directory, not readable, or the path contains a symbolic link.
pub fn directory(real: &AbsPath, limit: usize) -> Result<(Vec<(OsString, Kind)>, Extent), Error> {
    system::entries(real, limit).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => Error::NotDirectory,
        _ => error.into(),
    })
}

#[cfg(unix)]
fn special(kind: std::fs::FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_fifo() {
        Some("pipe")
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("device")
    } else {
        None
    }
}

#[cfg(not(unix))]
fn special(_: std::fs::FileType) -> Option<&'static str> {
    None
}

#[cfg(unix)]
pub(crate) mod system {
    //! Unix: no component of a path may be a symbolic link.

    use std::{
        ffi::{OsStr, OsString},
        fs::File,
        io,
        os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
        path::{Component, Path},
    };

    use rustix::{
        fs::{CWD, Dir, FileType, Mode, OFlags, mkdirat, openat},
        io::Errno,
    };

    use super::{Extent, Kind};
    use crate::{file::new_mode, stdx::paths::AbsPath};

    const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);
    const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY).union(OFlags::NOFOLLOW);

    pub fn open_file(path: &AbsPath) -> io::Result<File> {
        open(path, READ).map(File::from)
    }

    #[derive(Debug)]
    pub struct Root(OwnedFd);

    impl Root {
        pub fn new(path: &AbsPath) -> io::Result<Self> {
            open(path, SEARCH).map(Self)
        }

        pub fn open_file(&self, relative: &Path) -> io::Result<File> {
            #[cfg(target_os = "linux")]
            {
                use rustix::fs::{ResolveFlags, openat2};
                let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
                match openat2(&self.0, relative, READ | ALWAYS, Mode::empty(), resolve) {
                    Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
                    other => return Ok(other?.into()),
                }
            }
            Ok(descend(self.0.try_clone()?, relative, READ)?.into())
        }
    }

    /// Opens an existing file for writing without truncating it, and for reading if permitted.
    pub fn open_for_overwriting(path: &AbsPath) -> io::Result<File> {
        let open = |access: OFlags| open(path, access | OFlags::NONBLOCK).map(File::from);
        match open(OFlags::RDWR) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(OFlags::WRONLY),
            other => other,
        }
    }

    pub fn entries(path: &AbsPath, limit: usize) -> io::Result<(Vec<(OsString, Kind)>, Extent)> {
        let mut entries = Vec::new();
        for entry in Dir::new(open(path, OFlags::RDONLY | OFlags::DIRECTORY)?)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == limit {
                return Ok((entries, Extent::Part));
            }
            let kind = match entry.file_type() {
                FileType::Directory => Kind::Directory,
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Symlink,
                // Some file systems do not return the type.
                FileType::Unknown => path.join(name).as_path().symlink_metadata().map_or(Kind::Special, |metadata| kind_of(&metadata)),
                _ => Kind::Special,
            };
            entries.push((name.to_owned(), kind));
        }
        Ok((entries, Extent::Whole))
    }

    fn kind_of(metadata: &std::fs::Metadata) -> Kind {
        if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_symlink() {
            Kind::Symlink
        } else if metadata.is_file() {
            Kind::File
        } else {
            Kind::Special
        }
    }

    /// Opens a directory to read its names.
    pub fn open_directory(path: &AbsPath) -> io::Result<OwnedFd> {
        open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens the directory, and creates it with its parents by the client's umask if it is missing; neither `root` nor
    /// its parents are created.
    pub fn open_or_make_directory(path: &AbsPath, root: Option<&AbsPath>, mask: Option<u32>) -> io::Result<OwnedFd> {
        let missing = match open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && root != Some(path) => error,
            // A directory may be writable but not readable.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return open(path, SEARCH),
            other => return other,
        };
        let (Some(parent), Some(name)) = (path.parent(), path.as_path().file_name()) else { return Err(missing) };
        let above = open_or_make_directory(&parent, root, mask)?;
        let wanted = new_mode::wanted(&above, 0o777, mask);
        match mkdirat(&above, name, wanted.unwrap_or(new_mode::mode(0o777))) {
            Ok(()) => {
                let created = open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
                wanted.map_or(Ok(()), |wanted| new_mode::give(&created, wanted))?;
                Ok(created)
            }
            Err(Errno::EXIST) => open(path, OFlags::RDONLY | OFlags::DIRECTORY),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(target_os = "linux")]
    const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
    #[cfg(not(target_os = "linux"))]
    const SEARCH: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

    fn open(path: &AbsPath, flags: OFlags) -> io::Result<OwnedFd> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{ResolveFlags, openat2};
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(CWD, path.as_path(), flags | ALWAYS, Mode::empty(), resolve) {
                // Old kernels lack the system call, and some sandboxes forbid it.
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
                other => return Ok(other?),
            }
        }
        open_by_components(path, flags)
    }

    /// The same without `openat2`, component by component.
    pub(super) fn open_by_components(path: &AbsPath, flags: OFlags) -> io::Result<OwnedFd> {
        let root = openat(CWD, "/", SEARCH | ALWAYS, Mode::empty())?;
        if path.parent().is_none() { Ok(openat(CWD, "/", flags | ALWAYS, Mode::empty())?) } else { descend(root, path.as_path(), flags) }
    }

    /// Opens a relative path, component by component.
    pub(super) fn descend(mut directory: OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let mut names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let Some(mut name) = names.next() else { return Err(Errno::ISDIR.into()) };
        for next in names {
            directory = openat(&directory, name, SEARCH | ALWAYS, Mode::empty())?;
            name = next;
        }
        Ok(openat(&directory, name, flags | ALWAYS, Mode::empty())?)
    }
}

#[cfg(not(unix))]
pub(crate) mod system {
    //! Other systems: after opening by name, the path must still be a real path.

    use std::{
        ffi::OsString,
        fs::{File, OpenOptions},
        io,
        path::Path,
    };

    use super::{Extent, Kind};
    use crate::stdx::paths::AbsPath;

    fn verify(path: &AbsPath) -> io::Result<()> {
        if path.real()? == *path { Ok(()) } else { Err(io::Error::other("a part of the path was replaced by a symbolic link")) }
    }

    pub fn open_file(path: &AbsPath) -> io::Result<File> {
        let file = File::open(path)?;
        verify(path).map(|()| file)
    }

    #[derive(Debug)]
    pub struct Root(AbsPath);

    impl Root {
        pub fn new(path: &AbsPath) -> io::Result<Self> {
            verify(path).map(|()| Self(path.clone()))
        }

        pub fn open_file(&self, relative: &Path) -> io::Result<File> {
            open_file(&self.0.join(relative))
        }
    }

    pub fn open_for_overwriting(path: &AbsPath) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        verify(path).map(|()| file)
    }

    pub fn entries(path: &AbsPath, limit: usize) -> io::Result<(Vec<(OsString, Kind)>, Extent)> {
        let mut entries = Vec::new();
        let mut extent = Extent::Whole;
        for entry in std::fs::read_dir(path)? {
            if entries.len() == limit {
                extent = Extent::Part;
                break;
            }
            let entry = entry?;
            let kind = entry.file_type()?;
            let kind = match () {
                () if kind.is_dir() => Kind::Directory,
                () if kind.is_symlink() => Kind::Symlink,
                () => Kind::File,
            };
            entries.push((entry.file_name(), kind));
        }
        verify(path).map(|()| (entries, extent))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn fixture() -> (tempfile::TempDir, AbsPath) {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap().real().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "inside").unwrap();
        (directory, root)
    }

    #[test]
    fn no_component_may_be_a_symbolic_link() {
        let (_keep, root) = fixture();
        symlink(root.join("a"), root.join("link")).unwrap();
        symlink(root.join("a/b/file"), root.join("a/last")).unwrap();
        assert!(regular(&root.join("a/b/file")).is_ok());
        assert!(matches!(regular(&root.join("link/b/file")), Err(Error::Moved)));
        assert!(matches!(regular(&root.join("a/last")), Err(Error::Moved)));
        assert!(directory(&root.join("link"), 10).is_err());
        assert!(system::open_or_make_directory(&root.join("link/new"), None, None).is_err());
        assert!(!root.join("a/new").as_path().exists());
    }

    #[test]
    fn the_fallback_for_openat2_is_equivalent() {
        use rustix::fs::OFlags;
        let (_keep, root) = fixture();
        symlink(root.join("a"), root.join("link")).unwrap();
        symlink(root.join("a/b/file"), root.join("a/last")).unwrap();
        for (path, works) in [("a/b/file", true), ("link/b/file", false), ("a/last", false), ("a", true), ("link", false)] {
            assert_eq!(system::open_by_components(&root.join(path), OFlags::RDONLY).is_ok(), works, "{path}");
        }
        assert!(system::open_by_components(&AbsPath::new("/").unwrap(), OFlags::RDONLY).is_ok());
        for (path, works) in [("a/b/file", true), ("link/b/file", false), ("a/last", false)] {
            let relative = Path::new(path);
            let top = || system::open_by_components(&root, OFlags::RDONLY).unwrap();
            assert_eq!(system::descend(top(), relative, OFlags::RDONLY).is_ok(), works, "{path}");
            assert_eq!(Root::new(&root).unwrap().regular(relative).is_ok(), works, "{path}");
        }
        assert!(matches!(Root::new(&root).unwrap().regular(Path::new("a")), Err(Error::Directory)));
        assert!(Root::new(&root.join("a")).unwrap().regular(Path::new("../a/b/file")).is_err());
    }

    #[test]
    fn special_files_are_refused_without_blocking() {
        let (_keep, root) = fixture();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe").as_path(), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        assert!(matches!(regular(&root.join("pipe")), Err(Error::Special("pipe"))));
        assert!(matches!(regular(&root.join("socket")), Err(Error::Special(_))));
        assert!(matches!(regular(&AbsPath::new("/dev/null").unwrap()), Err(Error::Special("device"))));
        assert!(matches!(regular(&root.join("a")), Err(Error::Directory)));
    }

    #[test]
    fn lists_and_creates_directories() {
        let (_keep, root) = fixture();
        system::open_or_make_directory(&root.join("a/c/d/e"), None, None).unwrap();
        system::open_or_make_directory(&root.join("a/c/x"), Some(&root.join("a/c")), None).unwrap();
        assert!(system::open_or_make_directory(&root.join("gone/d/e"), Some(&root.join("gone")), None).is_err());
        assert!(!root.join("gone").as_path().exists());
        let (mut names, extent) = directory(&root.join("a"), 2).unwrap();
        names.sort();
        assert_eq!(extent, Extent::Whole);
        assert_eq!(directory(&root.join("a"), 1).unwrap().1, Extent::Part);
        assert_eq!(names, [("b".into(), Kind::Directory), ("c".into(), Kind::Directory)]);
        assert!(matches!(directory(&root.join("a/b/file"), 10), Err(Error::NotDirectory)));
    }
}
