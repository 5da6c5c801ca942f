//! The permissions of new files and directories by the umask of a client, which may differ from that of this process.

use std::os::fd::AsFd;

use rustix::{
    fs::{Mode, fchmod, fstat},
    io,
};

/// The mode of a new entry in the directory, with at most the bits `max_mode`. `None` if the umask of this process or the
/// default access list of the directory decides.
pub fn wanted(directory: impl AsFd, max_mode: u32, mask: Option<u32>) -> Option<Mode> {
    mask.filter(|_| !has_default_acl(directory)).map(|mask| mode(max_mode & !mask))
}

/// The mode with the nine permission bits.
pub fn mode(bits: u32) -> Mode {
    Mode::from_bits_truncate((bits & 0o777) as _)
}

/// Sets the mode of a new entry: the umask of this process may have removed more bits.
pub fn give(new: impl AsFd, wanted: Mode) -> io::Result<()> {
    let had = Mode::from_raw_mode(fstat(&new)?.st_mode);
    let all = Mode::RWXU | Mode::RWXG | Mode::RWXO;
    if had & all == wanted {
        return Ok(());
    }
    // A directory may have inherited the set-group-ID bit.
    fchmod(&new, (had - all) | wanted)
}

#[cfg(target_os = "linux")]
fn has_default_acl(directory: impl AsFd) -> bool {
    // An empty buffer asks only for the length.
    rustix::fs::fgetxattr(directory, "system.posix_acl_default", &mut [0_u8; 0]).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_default_acl(_: impl AsFd) -> bool {
    false
}
