//! Projects with real repositories of the git program.

mod checkouts;
mod hostile;
mod moves;
mod random;
mod unwritable;

pub(crate) mod support;
