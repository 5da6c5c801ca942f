//! polytree: one daemon, every worktree.

pub mod permission;
pub mod provider;
pub mod stdx;
pub mod tool;
