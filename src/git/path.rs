//! Paths between git, whose paths are bytes with `/` between the names, and the system.

use std::ffi::{OsStr, OsString};

/// A path as git prints it, for the system.
#[cfg(unix)]
#[must_use]
pub fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(bytes).to_owned()
}

/// A path as git prints it, for the system.
#[cfg(not(unix))]
#[must_use]
pub fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// A path of the system, as git takes it.
#[cfg(unix)]
#[must_use]
pub fn git_bytes(path: &OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_bytes().to_owned()
}

/// A path of the system, as git takes it.
#[cfg(not(unix))]
#[must_use]
pub fn git_bytes(path: &OsStr) -> Vec<u8> {
    path.to_string_lossy().replace('\\', "/").into_bytes()
}
