//! What decides which files are kept from commands, and what it has said of one.

use std::{collections::HashSet, path::PathBuf};

use crate::sandbox::place::Verdict;

/// Stands for any name: whether a rule is about everything in a directory.
pub const ANY: &str = "\u{fffd}";

/// A file or directory that something is said of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// What is said.
    pub verdict: Verdict,
}

/// What decides: the rules, and the places that are private whatever they say.
pub struct Judge<'a> {
    /// What the rules say of a path relative to the worktree, with `/` between its names.
    pub rules: &'a (dyn Fn(&str) -> Verdict + Sync),
    /// Files and directories that are hidden and fixed.
    pub private: &'a HashSet<PathBuf>,
}
