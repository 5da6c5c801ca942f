//! The permissions of new files and directories by the mask of a client, which is not that of this process.

use std::os::fd::AsFd;

use rustix::{
    fs::{Mode, fchmod, fstat},
    io,
};

/// What something new in the directory gets of the bits `most`. `None` where this process's own mask or the directory's
/// access list decides.
pub fn wanted(directory: impl AsFd, most: u32, mask: Option<u32>) -> Option<Mode> {
    mask.filter(|_| !has_list_for_new(directory)).map(|mask| mode(most & !mask))
}

/// The mode of nine bits or less.
pub fn mode(bits: u32) -> Mode {
    Mode::from_bits_truncate((bits & 0o777) as _)
}

/// Gives it to what was just made: the mask of this process may have taken more.
///
/// # Errors
/// When the system refuses.
pub fn give(new: impl AsFd, wanted: Mode) -> io::Result<()> {
    let had = Mode::from_raw_mode(fstat(&new)?.st_mode);
    let all = Mode::RWXU | Mode::RWXG | Mode::RWXO;
    if had & all == wanted {
        return Ok(());
    }
    // A directory may have got its group's bit from the one that it is in.
    fchmod(&new, (had - all) | wanted)
}

#[cfg(target_os = "linux")]
fn has_list_for_new(directory: impl AsFd) -> bool {
    // Without a place for it, only its length is told.
    rustix::fs::fgetxattr(directory, "system.posix_acl_default", &mut [0_u8; 0]).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_list_for_new(_: impl AsFd) -> bool {
    false
}
