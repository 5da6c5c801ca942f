//! Detects changes of a file without reading it.

use std::{
    fs::Metadata,
    time::{Duration, SystemTime},
};

/// The metadata that identifies a state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    identity: (u64, u64, i64, i64),
}

/// Two changes within this time may have the same stamp: file system clocks tick slowly.
const TICK: Duration = Duration::from_millis(50);
/// The same for file systems with times in whole seconds.
const SLOW_TICK: Duration = Duration::from_secs(2);

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), length: metadata.len(), identity: identity(metadata) }
    }

    /// Whether a change right after `now` might not change the stamp, so that equal stamps prove nothing.
    pub fn is_uncertain(&self, now: SystemTime) -> bool {
        let Some(modified) = self.modified else { return true };
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(u64::try_from(self.identity.2).unwrap_or(0), u32::try_from(self.identity.3).unwrap_or(0));
        let latest = modified.max(changed);
        let is_whole = latest.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|time| time.subsec_nanos() == 0);
        // A time in the future proves nothing either.
        now.duration_since(latest).map_or(true, |age| age < if is_whole { SLOW_TICK } else { TICK })
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}
