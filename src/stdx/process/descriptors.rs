//! The limit of open file descriptors. The daemon raises it to the maximum, for many clients; its subprocesses get the
//! original limit, since some cannot handle more.

use std::{error::Error as StdError, io};

/// The maximum to request: some systems allow a billion, and it is not needed.
#[cfg(unix)]
const MAX_DESCRIPTORS: u64 = 65_536;

/// The original limit, if it was raised.
#[cfg(unix)]
static ORIGINAL: std::sync::OnceLock<rustix::process::Rlimit> = std::sync::OnceLock::new();

/// Raises the limit to the maximum.
///
/// # Errors
/// If the operating system refuses.
#[cfg(unix)]
pub fn raise() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
        // Keeps the first value if it is called again.
        let _ = ORIGINAL.set(limit);
    }
    Ok(())
}

/// There is no such limit on this platform.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn raise() -> io::Result<()> {
    Ok(())
}

/// Descriptors that are reserved for connected clients, subprocesses and the store; at most a quarter of a low limit.
#[cfg(unix)]
const RESERVE: u64 = 64;

/// Whether only reserved descriptors are left, so that new clients must be refused.
#[cfg(unix)]
#[must_use]
pub fn are_short() -> bool {
    use std::os::fd::AsRawFd as _;
    let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else { return false };
    // The operating system assigns the lowest free number.
    std::fs::File::open("/dev/null").map_or(true, |file| {
        let lowest = u64::try_from(file.as_raw_fd()).unwrap_or(0);
        lowest + RESERVE.min(limit / 4) >= limit
    })
}

/// There is no such limit on this platform.
#[cfg(not(unix))]
#[must_use]
pub fn are_short() -> bool {
    false
}

/// Starts the program with the original limit.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the limit is set between fork and exec")]
pub fn restore(command: &mut tokio::process::Command) {
    let Some(original) = ORIGINAL.get().copied() else { return };
    // SAFETY: between fork and exec only a system call is made, which takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(move || Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, original)?));
    }
}

/// There is no such limit on this platform.
#[cfg(not(unix))]
pub fn restore(_: &mut tokio::process::Command) {}

/// Whether an error, or one of its causes, is the limit of open descriptors.
#[must_use]
pub fn are_exhausted(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref().is_some_and(is_exhaustion) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether the error is the limit of open descriptors, of the process or the system.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(rustix::io::Errno::from_io_error(error), Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE));
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
