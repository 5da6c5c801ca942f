//! The command line.
pub mod markdown;
mod markdown_inline;
pub mod sanitize;
pub mod style;
