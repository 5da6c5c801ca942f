//! polytree: one daemon, every worktree. This is the map of the house, in reading order.
//!
//! The contract with clients is a crate of its own, `polytree_protocol`: tables of methods, events and errors, and the
//! wire types. Here is what answers. A module imports only from those with a lower rank; a test keeps it so.
//!
//! | rank | module | what it is |
//! | --- | --- | --- |
//! | 0 | [`stdx`] | what the standard library lacks: absolute paths, tasks in a tree, process groups |
//! | 1 | [`jsonrpc`] | framing, envelopes, and a client |
//! | 1 | [`store`] | the store: what is kept, and the transactions that change it; SQLite behind it |
//! | 1 | [`sandbox`] | what a command may touch: policies, the helper that confines itself, what this machine can enforce |
//! | 1 | [`config`] | settings: where they are, whom to trust, how they combine |
//! | 2 | [`event`] | the log of what happened, with cursors, and its live end |
//! | 2 | [`git`] | repositories: where a directory stands, `HEAD`, the index, what is ignored; the one way to run git |
//! | 2 | [`overlay`] | text that an editor has not saved: what everything here reads before the disk |
//! | 3 | [`file`] | the project's files: listed, read, compared with the last commit; and opened without following links |
//! | 3 | [`permission`] | rules, questions that wait, answers that are remembered |
//! | 3 | [`agent`] | personas |
//! | 3 | [`provider`] | the models: a neutral request, a stream of deltas, and who serves them |
//! | 4 | [`find`] | search: files by their names, followed as they change; text in them; symbols |
//! | 5 | [`snapshot`] | undo of what a session did to files: images from before, and the way back |
//! | 5 | [`tool`] | what the model may do, one file a tool |
//! | 6 | [`session`] | one conversation: prompts, queue, turns, recovery |
//! | 7 | [`project`] | which project a directory belongs to, and what a turn works with in it |
//! | 8 | [`daemon`] | builds everything once and owns it; who is connected, and how long it lives |
//! | 9 | [`rpc`] | a call, whichever door it came by: limits, guard, counters, result and notifications |
//! | 10 | [`api`] | one handler for each row of the method table |
//! | 11 | [`serve`] | the doors: stdio, the local socket, WebSocket and HTTP |
//! | 12 | [`cli`], [`logging`] | the command line, a client like any other; the log file |
//! | 13 | [`launch`] | what the process becomes: a daemon, or a client of the one that runs |
//!
//! A request comes in at a door, finds its handler by the table, which asks the owner of the matter and waits for an
//! answer. Work is never owned by a request: a turn belongs to its session's task. Every fact is committed, together
//! with the event that tells of it, before anybody hears of it.

pub mod stdx;

pub mod config;
mod jsonrpc;
pub mod sandbox;
pub mod store;

mod event;
mod git;
mod overlay;

pub mod agent;
mod file;
pub(crate) mod permission;
pub mod provider;

mod find;

pub mod snapshot;
pub mod tool;

pub mod session;

pub mod project;

pub mod daemon;

pub mod rpc;

pub mod api;

pub mod serve;

pub mod cli;
pub mod logging;

pub mod launch;
