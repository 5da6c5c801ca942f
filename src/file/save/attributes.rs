//! What a file has beside its content and mode, taken over by the file that replaces it: extended attributes, access
//! lists, capabilities.

use std::{
    fs::File,
    io::{self, ErrorKind},
};

use rustix::{
    fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr},
    io::Errno,
};

/// The longest list of names, and the longest value, that Linux has.
const MAX_BYTES: usize = 64 * 1024;
/// The access list; a new file may have got one from its directory.
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";

/// Gives the new file the attributes of the old one.
///
/// # Errors
/// When one that its owner can set cannot be set: the new file would be open to others, or lack something.
pub fn copy(old: &File, new: &File) -> io::Result<()> {
    let names = names(old)?;
    let mut value = vec![0; MAX_BYTES];
    for name in &names {
        let length = match fgetxattr(old, name.as_slice(), value.as_mut_slice()) {
            // It went in the meantime, or is none that we may see.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => continue,
            length => length?,
        };
        match fsetxattr(new, name.as_slice(), &value[..length], XattrFlags::empty()) {
            Ok(()) => {}
            // Labels and capabilities are for the system to give; without them a file can do less, not more.
            Err(_) if !(name.starts_with(b"user.") || name.starts_with(b"system.")) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !names.iter().any(|name| name == ACCESS_LIST) && self::names(new)?.iter().any(|name| name == ACCESS_LIST) {
        fremovexattr(new, ACCESS_LIST)?;
    }
    Ok(())
}

/// The names of a file's attributes; none where the file system has no attributes.
fn names(file: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut names = vec![0; MAX_BYTES];
    match flistxattr(file, names.as_mut_slice()) {
        Ok(length) => {
            let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
            Ok(names.map(<[u8]>::to_vec).collect())
        }
        Err(error) if matches!(error, Errno::NOTSUP | Errno::NOSYS) || io::Error::from(error).kind() == ErrorKind::Unsupported => {
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}
