//! Tests with repositories created by the git program.

mod hostile;
mod layouts;
mod refs;

pub(crate) mod support;
