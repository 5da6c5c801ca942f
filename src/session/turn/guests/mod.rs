//! What takes part in a turn beside its loop.

mod schema;
pub mod structured;
