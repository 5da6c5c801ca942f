//! Tests with repositories created by the git program.

mod hostile;
mod init;
mod layouts;

pub(crate) mod support;
