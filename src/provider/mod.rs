//! The models.

pub(crate) mod definition;
