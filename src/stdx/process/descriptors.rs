//! How many descriptors the process may have open. A daemon serves many clients, so it takes as many as it may have; the
//! programs that it starts get the limit that it was started with, since some cannot handle more.

use std::{error::Error as StdError, io};

/// The most that is asked for: some systems allow a billion.
#[cfg(unix)]
const MAX_DESCRIPTORS: u64 = 65_536;

/// The limit with which the process was started, if it was raised.
#[cfg(unix)]
static ORIGINAL: std::sync::OnceLock<rustix::process::Rlimit> = std::sync::OnceLock::new();

/// Raises the limit to what the system allows.
///
/// # Errors
/// When the system refuses.
#[cfg(unix)]
pub fn raise() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
        // The first is the one that counts, where it is called again.
        let _ = ORIGINAL.set(limit);
    }
    Ok(())
}

/// There is no such limit.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn raise() -> io::Result<()> {
    Ok(())
}

/// So many are kept for the clients that are here, their programs and the store; of a low limit only a quarter.
#[cfg(unix)]
const RESERVE: u64 = 64;

/// Whether so few descriptors are left that newcomers must not take them.
#[cfg(unix)]
pub fn are_short() -> bool {
    use std::os::fd::AsRawFd as _;
    let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else { return false };
    // The system gives the lowest number that is free.
    std::fs::File::open("/dev/null").map_or(true, |file| {
        let lowest = u64::try_from(file.as_raw_fd()).unwrap_or(0);
        lowest + RESERVE.min(limit / 4) >= limit
    })
}

/// There is no such limit.
#[cfg(not(unix))]
pub fn are_short() -> bool {
    false
}

/// Has the program start with the limit that this process was started with.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the limit is set between fork and exec")]
pub fn restore(command: &mut tokio::process::Command) {
    let Some(original) = ORIGINAL.get().copied() else { return };
    // SAFETY: between fork and exec only a system call is made, which takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(move || Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, original)?));
    }
}

/// There is no such limit.
#[cfg(not(unix))]
pub fn restore(_: &mut tokio::process::Command) {}

/// Whether an error, or what caused it, is that no more descriptors can be opened.
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

/// Whether the error is that no more descriptors can be opened, by the process or the whole system.
pub fn is_exhaustion(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(rustix::io::Errno::from_io_error(error), Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE));
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
