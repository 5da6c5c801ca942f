//! SQLite: one writer thread that commits in groups, a few readers that never wait for it, numbered migrations,
//! and one owner for each data directory. What a call has written is committed before the call returns.

pub mod check;
mod checkpoint;
pub(crate) mod database;
pub(crate) mod error;
pub(crate) mod migrations;
pub(crate) mod owner;
mod readers;
pub mod size;
mod writer;

pub use database::{Database, Durability};
pub use error::Error;
pub use owner::{Kind, Look, Owner, Ownership, Room};
pub use readers::ReadersState;
pub use writer::{Write, WriterState};
