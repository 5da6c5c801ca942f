//! git, read without running anything that a repository names: where a directory stands, what `HEAD` says, which files
//! the index holds, what is ignored. What only git itself can tell is asked of the git program, in one hardened way:
//! see [`program`].

pub mod checkout;
pub mod error;
pub mod head;
pub mod ignore;
pub mod layout;
pub mod patch;
pub mod path;
pub mod program;
pub mod refs;
pub mod settings;
pub mod small_file;

pub(crate) mod scan;
pub(crate) mod status_output;

mod config;
mod index;
pub(crate) mod tracked;

pub use checkout::Checkout;
pub use error::Error;

#[cfg(all(test, unix))]
pub(crate) mod tests;
