//! Converts between git's paths, which are bytes with `/` between names, and those of the operating system.

use std::ffi::{OsStr, OsString};

/// Converts a path in git's output.
#[cfg(unix)]
pub fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(bytes).to_owned()
}

/// Converts a path in git's output.
#[cfg(not(unix))]
pub fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Converts a path for git's input.
#[cfg(unix)]
pub fn git_bytes(path: &OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_bytes().to_owned()
}

/// Converts a path for git's input.
#[cfg(not(unix))]
pub fn git_bytes(path: &OsStr) -> Vec<u8> {
    path.to_string_lossy().replace('\\', "/").into_bytes()
}
