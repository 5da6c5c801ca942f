//! The project's files: what is in a directory, what a file holds, and how both differ from the last commit.
//!
//! What git has to tell is asked of the git program, never of settings that came with the repository: see
//! `git_program`. Paths of clients stay in the worktree: see `place`.

pub mod error;

pub mod list;
pub mod read;
pub mod status;

mod place;

mod git_index;
mod git_program;
pub(crate) mod git_settings;
mod head_patch;
mod index_scan;
mod line_count;
mod natural_order;
mod status_output;
mod tracked_directories;
mod untracked;

pub(crate) mod ignore_rules;
pub(crate) mod image;
pub(crate) mod media_type;
pub(crate) mod names;
#[cfg(unix)]
pub(crate) mod new_mode;
pub(crate) mod open;
pub(crate) mod rules;
mod tails;
pub(crate) mod text_file;

pub use error::Error;
pub use place::Place;

#[cfg(all(test, unix))]
mod tests;
