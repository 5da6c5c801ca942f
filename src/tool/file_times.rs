//! When a session last read each file, so that a change by someone else in between is noticed.

/// The last read of each file by one session.
#[derive(Debug, Default)]
pub struct FileTimes {}
