//! What happened: a log with cursors, written in the same transaction as the change it tells of, and a live ring of
//! its newest records. A follower reads the ring while it keeps up and the log when it does not, so nothing is
//! buffered for a slow one and nothing can be lost, reordered or sent twice.

mod blob;
mod bus;
mod filter;
mod log;
mod record;
mod subscription;

pub use filter::Filter;
pub use log::{Error, Events, Page};
pub use record::{Record, Scope};
pub use subscription::Subscription;
