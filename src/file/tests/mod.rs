//! Status, reading and listing beside the real git, over made and over random repositories, and over hostile ones.

pub(crate) mod support;

mod hostile;
mod lists;
mod random;
mod reads;
mod repositories;
mod statuses;
