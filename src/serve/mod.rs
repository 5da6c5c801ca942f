//! The doors. One table of methods, one set of limits and one set of errors, whichever way a client comes in.

pub mod rpc;

mod answer;
mod at_once;
mod dispatch;
mod outbox;
mod params;

pub mod connection;

pub mod local;
pub mod relay;
pub mod stdio;
pub mod web;

#[cfg(test)]
mod testing;
