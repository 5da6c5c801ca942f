//! The store on SQLite: one writer thread that commits in groups, a few readers that never wait for it, numbered
//! migrations. What a call has written is committed before the call returns. A damaged store is set aside and a new one
//! started; one that is another program's is left alone. Only this folder contains SQL and names the library.

mod age;
pub mod aside;
pub mod check;
mod checkpoint;
mod cursors;
mod damage;
mod database;
mod error;
mod events;
mod integrity;
mod messages;
mod migrations;
mod projects;
mod questions;
mod readers;
mod rows;
mod sessions;
pub mod size;
mod writer;

pub use database::Durability;
pub use readers::ReadersState;
pub use writer::WriterState;

pub(super) use database::Database;
pub(super) use rows::SqliteRows;
