//! Code that stands in arguments: programs of sed and awk, which are read, and those of interpreters, whose words are.

pub(super) mod awk;
pub(super) mod sed;
pub(super) mod snippet;
