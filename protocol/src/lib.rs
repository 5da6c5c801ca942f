//! The contract between the polytree daemon and its clients.
//!
//! Three tables say everything: [`methods`] (what can be asked), [`events`] (what is told) and
//! [`errors`] (how a call fails). The other modules hold the wire types, one file per noun. Nothing here
//! does any I/O: the same crate serves the daemon, the generators and the tests.
//!
//! Wire types use a restricted set of JSON shapes so that clients in any language can be generated:
//! objects, arrays, strings, string enums, maps, nullable fields, and unions tagged by `type`, `role` or
//! `status`. No untagged unions but where people write by hand and a short form is by far the commonest; no
//! flattening but where a settings file passes keys on. Type names are unique over the whole contract.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[macro_use]
mod params;

pub mod method;
pub mod methods;

pub mod events;

pub mod errors;

pub mod id;

pub mod agent;
pub mod auth;
pub mod buffer;
pub mod command;
pub mod config;
pub mod daemon;
pub mod definition_config;
pub mod diagnose;
pub mod diagnose_machine;
pub mod diagnostics;
pub mod editor;
pub mod event;
pub mod export;
pub mod file;
pub mod find;
pub mod gc;
pub mod hunk;
pub mod input;
pub mod listen;
pub mod message;
pub mod message_error;
pub mod part;
pub mod permission;
pub mod permission_config;
pub mod permission_metadata;
pub mod process;
pub mod project;
pub mod provider;
pub mod question;
pub mod queue;
pub mod revert;
pub mod sandbox;
pub mod session;
pub mod symbol;
pub mod task;
pub mod text;
pub mod todo;
pub mod tokens;
pub mod tool;
pub mod tools;
pub mod usage;

pub mod generate;

/// The version of this contract; a client may send it in `server.initialize`.
pub const PROTOCOL_VERSION: u32 = 1;
