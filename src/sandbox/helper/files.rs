//! Which files can be read and written, by Landlock.

use std::{io, os::fd::OwnedFd, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, openat};

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

/// `None` for what is not there, and for a link: what it leads to was not meant.
fn open(path: &Path) -> io::Result<Option<(OwnedFd, bool)>> {
    let file = match openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::Symlink => None,
        kind => Some((file, kind == FileType::Directory)),
    })
}
