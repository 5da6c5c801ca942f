//! Keys and passwords: how they are recognised in text, and how they are taken out of it.

pub mod known;
pub(crate) mod redact;
