//! The daemon: owns everything that outlives a connection.

/// The one daemon of a data directory.
#[derive(Debug, Default)]
pub struct Daemon {}
