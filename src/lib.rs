//! polytree: one daemon, every worktree.

pub mod api;
pub mod daemon;
pub mod jsonrpc;
pub mod provider;
pub mod serve;
pub mod stdx;
pub mod tool;
