//! The project's files: listing, reading, and comparing with the last commit.
//!
//! Paths from clients are confined to the worktree: see `client_path`.

pub mod error;

pub mod list;
pub mod read;
pub mod save;
pub mod status;

mod client_path;
mod head_patch;
mod line_count;
mod natural_order;
mod untracked;

pub(crate) mod image;
pub(crate) mod media_type;
pub(crate) mod names;
#[cfg(unix)]
pub(crate) mod new_mode;
pub(crate) mod open;
pub(crate) mod text_file;

pub use client_path::existing;
pub use error::Error;

#[cfg(all(test, unix))]
mod tests;
