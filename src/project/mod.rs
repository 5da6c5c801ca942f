//! A directory that is open: which project it belongs to, in which of its checkouts it lies, and what is known of both.
//! Identity is read from the repository's own files; the registry remembers what those do not tell.

pub mod directory;

mod cache;
mod error;
mod instance;
mod loading;
mod models;
pub mod overview;

mod guard;
mod id_file;
mod recognise;
mod trusted_urls;

pub use cache::Projects;
pub use error::Error;
pub use instance::Instance;

#[cfg(test)]
pub(crate) mod tests;
