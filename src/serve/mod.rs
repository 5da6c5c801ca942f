//! The doors. One table of methods, one set of limits and one set of errors, whichever way a client comes in.

mod answer;
mod at_once;
mod dispatch;
mod outbox;

pub mod engine;

pub mod local;
pub mod relay;
pub mod stdio;
pub mod web;

#[cfg(test)]
mod testing;
