//! The doors, through which clients connect. All call methods through [`crate::rpc::call::Caller`], with the same limits
//! and errors.

mod answer;
mod dispatch;
mod nonblocking;
mod outbox;

pub mod engine;

pub mod local;
pub mod relay;
pub mod stdio;
pub mod web;

#[cfg(test)]
mod testing;
