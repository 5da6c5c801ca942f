//! Projects with real repositories, made by the git program.

mod checkouts;
mod hostile;
mod moves;
mod random;
mod unwritable;

pub(crate) mod support;
