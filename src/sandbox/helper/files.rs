//! Which files can be read and written, by Landlock.

use std::{io, os::fd::OwnedFd, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};

use crate::sandbox::spec::{Access, Network, Spec};

/// What can be done with a file that is no directory.
const OF_FILE: [AccessFs; 6] =
    [AccessFs::Execute, AccessFs::WriteFile, AccessFs::ReadFile, AccessFs::Truncate, AccessFs::IoctlDev, AccessFs::ResolveUnix];

/// The newest that is known; of it the kernel takes what it knows.
const NEWEST: ABI = ABI::V10;

/// Confines this process; gives the ABI that it was done with.
pub fn confine(spec: &Spec) -> io::Result<u32> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST)).map_err(io::Error::other)?;
    if spec.network == Network::Off {
        // No port is granted.
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(io::Error::other)?;
    }
    let mut ruleset = ruleset.scope(Scope::from_all(NEWEST)).and_then(Ruleset::create).map_err(io::Error::other)?;
    for (access, path) in &spec.grants {
        if let Some((file, is_directory)) = open(path)? {
            let wanted = rights(*access);
            let wanted = if is_directory { wanted } else { wanted & BitFlags::from_iter(OF_FILE) };
            if !wanted.is_empty() {
                ruleset = ruleset.add_rule(PathBeneath::new(file, wanted)).map_err(io::Error::other)?;
            }
        }
    }
    let status = ruleset.restrict_self().map_err(io::Error::other)?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi as u32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => Ok(0),
    }
}

fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::from_read(NEWEST);
    let change = AccessFs::from_write(NEWEST) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    match access {
        Access::List => AccessFs::ReadDir.into(),
        Access::Read => read,
        Access::Device => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev,
        Access::Change => change,
        Access::Write => read | change,
        Access::Connect => AccessFs::ResolveUnix.into(),
    }
}

/// `None` for what is not there, and for a path with a link in it: all that is granted are real paths, so somebody has just
/// put the link there, and what it leads to was not meant.
fn open(path: &Path) -> io::Result<Option<(OwnedFd, bool)>> {
    use rustix::io::Errno;
    let file = match open_real(path) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    Ok(Some((file, kind == FileType::Directory)))
}

/// Opens what a path names, for its place alone; fails with `ELOOP` where any part of the path is a link.
pub fn open_real(path: &Path) -> rustix::io::Result<OwnedFd> {
    openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_anywhere_in_a_path_is_not_granted() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().canonicalize().unwrap().join(name);
        std::fs::create_dir_all(at("secret/deep")).unwrap();
        std::fs::write(at("secret/key"), "").unwrap();
        symlink("secret", at("sub")).unwrap();
        assert!(open(&at("secret/deep")).unwrap().unwrap().1);
        assert!(!open(&at("secret/key")).unwrap().unwrap().1);
        for name in ["sub", "sub/key", "sub/deep", "none", "secret/key/none"] {
            assert!(open(&at(name)).unwrap().is_none(), "{name}");
        }
    }
}
