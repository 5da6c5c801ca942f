//! Finds and redacts keys and passwords in text.

pub mod known;
pub(crate) mod redact;
