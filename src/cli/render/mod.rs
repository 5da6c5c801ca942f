//! Renders text for the terminal. Text of models, tools and files is sanitized first.

pub mod excerpt;
pub mod follow;
pub mod markdown;
pub mod page;
pub mod sanitize;
pub mod style;
pub mod table;
pub mod tool_line;
pub mod transcript;
pub mod view;

mod markdown_inline;
mod markdown_table;
