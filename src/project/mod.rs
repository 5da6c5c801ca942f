//! Open directories: the project and checkout of each. The identity of a project is read from the repository's own files;
//! the store has the rest.

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
mod sources;
mod trusted_urls;

pub use cache::Projects;
pub use error::Error;
pub use instance::Instance;
pub use sources::Effects;

#[cfg(test)]
pub(crate) mod tests;
