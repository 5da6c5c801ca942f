//! SQLite: one writer thread that commits in groups, a few readers that never wait for it, numbered migrations,
//! and one owner for each data directory. What a call has written is committed before the call returns. A damaged store is
//! set aside and a new one started; one that is another program's is left alone.

pub mod aside;
pub mod check;
mod checkpoint;
mod damage;
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
