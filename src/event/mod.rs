//! What happened: a log with cursors, written in the same transaction as the change it tells of, and a live ring of
//! its newest records. A follower reads the ring while it keeps up and the log when it does not, so nothing is
//! buffered for a slow one and nothing can be lost, reordered or sent twice.

mod bus;
mod log;
mod subscription;

pub use log::{Error, Events};
pub use subscription::Subscription;

pub use crate::store::{Filter, Page, Record, Scope};
