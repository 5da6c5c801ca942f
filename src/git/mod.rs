//! Access to git repositories without running anything that a repository configures: layout, `HEAD`, index, ignore
//! rules. Everything else goes through the git program, which is always run in the same hardened way, see [`program`].

pub mod checkout;
pub mod error;
pub mod head;
pub mod ignore;
pub mod init;
pub mod layout;
pub mod merge;
pub mod objects;
pub mod patch;
pub mod path;
pub mod program;
pub mod settings;
pub mod small_file;
pub mod standing;

pub(crate) mod scan;
pub(crate) mod status_output;

mod config;
pub(crate) mod index;
pub(crate) mod tracked;

pub use checkout::Checkout;
pub use error::Error;

#[cfg(all(test, unix))]
pub(crate) mod tests;
