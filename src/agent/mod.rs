//! Personas: a prompt, a model, tools and permissions under a name. Three are shipped; settings and Markdown files
//! change them and add more.

pub mod builtin;
pub mod load;

#[cfg(test)]
mod load_tests;

pub use load::{Agents, load};
