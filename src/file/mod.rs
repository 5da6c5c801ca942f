//! The project's files.

pub(crate) mod ignore_rules;
pub(crate) mod open;
