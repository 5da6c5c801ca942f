//! Projects with real repositories, made by the git program.

mod checkouts;
mod git;
mod hostile;
mod layouts;
mod moves;
mod random;
mod unwritable;

pub(crate) mod support;
