//! A call, whichever door it came by: who calls, what a handler gets, how it is guarded, counted and limited, how its
//! result and its notifications go back. The doors (`serve`) and the handlers (`api`) know each other only through this.
//!
//! A door has to do this much. It makes a [`connection::Connection`] for each client and enters it in [`Rpc::clients`];
//! gives it a [`sink::Notifier`] if it can send messages by itself; calls methods through a [`call::Caller`], which takes
//! a method's name and its params as JSON and gives the result as JSON or an [`error::Error`]; and closes the connection
//! when the client has gone. Dropping a call cancels it.

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
