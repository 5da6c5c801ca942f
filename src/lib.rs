//! polytree: one daemon, every worktree.

pub mod project;
pub mod provider;
pub mod stdx;
pub mod tool;
