//! Calls, independent of doors: connections, contexts of handlers, panic guard, counters, limits, results and
//! notifications. The doors (`serve`) and the handlers (`api`) depend only on this module, not on each other.
//!
//! A door creates a [`connection::Connection`] for each client and registers it in [`Rpc::clients`]; gives it a
//! [`sink::Notifier`] if it can send notifications; calls methods through a [`call::Caller`], which takes a method's name
//! and params as JSON and returns the result as JSON or an [`error::Error`]; and closes the connection when the client has
//! disconnected. Dropping a call cancels it.

pub mod call;
pub mod connection;
pub mod error;
pub mod handler;
pub mod sink;
pub mod traffic;

mod methods;
mod params;
mod run;

pub use methods::{Method, Registry, Rpc};

#[cfg(test)]
pub(crate) mod testing;
