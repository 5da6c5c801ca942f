//! polytree: one daemon, every worktree.

pub mod file;
pub mod provider;
pub mod stdx;
pub mod tool;
