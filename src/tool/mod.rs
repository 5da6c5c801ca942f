//! What the model may do. Each tool is a file of its own with the text that the model reads beside it.
//! Every path goes through `path.rs`: symlinks are resolved, and what lies outside the worktree needs leave.
//! A failing tool is a result for the model, never an error of the daemon.

pub mod bash;
pub mod bash_commands;
mod bash_directories;
mod bash_output;
pub(crate) mod context;
pub(crate) mod definition;
pub(crate) mod file_times;
