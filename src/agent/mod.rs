//! Agents: a prompt, a model, tools and permissions under a name. Three are shipped; settings and Markdown files
//! change them and add more. Commands, which are prompts with a name, come from the same places.

pub mod builtin;
pub mod commands;
pub mod files;
pub mod load;
pub mod template;

#[cfg(test)]
mod load_tests;

pub use commands::Commands;
pub use files::{Broken, Place};
pub use load::{Agents, load};
