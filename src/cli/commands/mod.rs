//! The commands that ask the daemon once and print what it answers.

pub mod auth;
pub mod doctor;
pub mod export;
pub mod gc;
pub mod models;
pub mod queue;
pub mod revert;
pub mod sessions;
pub mod trust;

pub(crate) mod doctor_page;

mod created;
