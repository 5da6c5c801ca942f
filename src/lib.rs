//! polytree: one daemon, every worktree.

pub mod agent;
pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod event;
pub mod file;
pub mod jsonrpc;
pub mod launch;
pub mod logging;
pub mod permission;
pub mod project;
pub mod provider;
pub mod serve;
pub mod session;
pub mod stdx;
pub mod storage;
pub mod tool;
