//! What the standard library lacks. Knows no word of ours: anything here could stand in another program.

pub mod detach;
pub mod ids;
pub mod paths;
pub mod process;
pub mod tasks;
pub mod text;
pub mod time;
pub mod version;
