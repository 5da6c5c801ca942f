//! The tools that find files and text: by name, by content, by directory.

pub mod glob;
pub mod grep;
pub mod list;
mod walk;
