//! Additions to the standard library, independent of the rest of the program.

pub mod disk;
pub mod encoding;
pub mod human;
pub mod idle;
pub mod ids;
pub mod lookalike;
pub mod memory;
pub mod nearest;
pub mod paths;
pub mod private_file;
pub mod process;
pub mod recent;
pub mod secrets;
pub mod tasks;
pub mod text;
pub mod time;
pub mod uri;
pub mod version;
pub mod visible;
