//! polytree: one daemon, every worktree.

pub mod agent;
pub mod config;
pub mod provider;
pub mod stdx;
pub mod tool;
