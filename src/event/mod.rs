//! Events: a log with cursors, written in the same transaction as the change that an event reports, and a ring buffer
//! of the newest records. A follower reads the ring while it keeps up and the log when it does not: nothing is buffered
//! for a slow follower, and nothing is lost, reordered or sent twice.

mod bus;
mod log;
mod subscription;

pub use log::{Error, Events};
pub use subscription::Subscription;

pub(crate) use crate::store::{Filter, Page, Record};
