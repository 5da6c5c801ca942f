//! Texts of prompts that were not typed as they are stored, and how the others are told from them.

pub mod called;
pub mod context;
