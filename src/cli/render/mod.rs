//! What a person sees on the terminal. Nothing from a model, a tool or a file gets there before it is made harmless.

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
