//! What the standard library lacks. Knows no word of ours: anything here could stand in another program.

pub(crate) mod ids;
pub(crate) mod paths;
pub(crate) mod process;
pub(crate) mod tasks;
pub(crate) mod text;
pub(crate) mod time;
