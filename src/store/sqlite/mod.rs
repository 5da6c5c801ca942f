//! The store on SQLite: one writer thread with group commits, a few readers that never wait for it, and numbered
//! migrations. Writes are committed when a call returns. A damaged store is set aside and a new one created; a foreign
//! one is left alone. Only this folder contains SQL and uses rusqlite.

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
pub(super) use writer::Urgency;
