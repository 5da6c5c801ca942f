//! The project's files.

pub(crate) mod ignore_rules;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod rules;
