//! Status, reading and listing compared with git itself, in prepared, random and malicious repositories.

pub(crate) mod support;

mod hostile;
mod lists;
mod random;
mod reads;
mod repositories;
mod statuses;
