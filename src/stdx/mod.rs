//! Additions to the standard library, independent of the rest of the program.

pub(crate) mod disk;
pub(crate) mod encoding;
pub(crate) mod human;
pub(crate) mod idle;
pub(crate) mod ids;
pub(crate) mod lookalike;
pub(crate) mod memory;
pub(crate) mod nearest;
pub mod paths;
pub(crate) mod private_file;
pub mod process;
pub(crate) mod recent;
pub mod retention;
pub mod secrets;
pub(crate) mod tasks;
pub(crate) mod text;
pub mod time;
pub(crate) mod uri;
pub(crate) mod version;
pub(crate) mod visible;
