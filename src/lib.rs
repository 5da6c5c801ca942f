//! polytree: one daemon, every worktree.

pub mod config;
pub mod event;
pub mod permission;
pub mod project;
pub mod provider;
pub mod stdx;
pub mod storage;
pub mod tool;
