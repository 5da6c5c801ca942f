//! polytree: one daemon for all worktrees. This is a map of the modules, in reading order.
//!
//! The contract with clients is the crate `polytree_protocol`: the tables of methods, events and errors, and the wire
//! types. This crate implements it. A module imports only from modules of a lower rank; a test checks this.
//!
//! | rank | module | contents |
//! | --- | --- | --- |
//! | 0 | [`stdx`] | additions to the standard library: absolute paths, task trees, process groups |
//! | 1 | [`jsonrpc`] | framing, envelopes, and a client |
//! | 1 | [`store`] | the store: its data and the transactions that change it, on SQLite |
//! | 1 | [`sandbox`] | confines commands: policies, the helper process, what this machine can enforce |
//! | 1 | [`config`] | settings: where they are, which are trusted, how they are merged |
//! | 2 | [`event`] | the event log with cursors, and subscriptions |
//! | 2 | [`git`] | repositories: the checkout of a directory, `HEAD`, the index, ignore rules; running git |
//! | 2 | [`overlay`] | unsaved text of editors, which takes precedence over files |
//! | 3 | [`file`] | the project's files: list, read, compare with the last commit; open without following links |
//! | 3 | [`permission`] | rules, open questions, stored grants |
//! | 3 | [`agent`] | agents: prompts, models and permissions |
//! | 3 | [`provider`] | models: a neutral request, a stream of deltas, and the services behind them |
//! | 4 | [`find`] | search: file names, text and symbols, kept up to date |
//! | 5 | [`snapshot`] | undo of a session's changes to files: images from before, and how they are restored |
//! | 5 | [`tool`] | the tools of the model, one file per tool |
//! | 6 | [`session`] | one conversation: prompts, queue, turns, recovery |
//! | 7 | [`project`] | the project of a directory, and the workspace of its turns |
//! | 8 | [`daemon`] | creates and owns everything; connected clients, and the daemon's lifetime |
//! | 9 | [`rpc`] | a call, independent of its door: limits, panic guard, counters, result and notifications |
//! | 10 | [`api`] | one handler per method |
//! | 11 | [`serve`] | the doors: stdio, the local socket, WebSocket and HTTP |
//! | 12 | [`cli`], [`logging`] | the command line, which is a client; the log file |
//! | 13 | [`launch`] | runs the process as a daemon, or as a client of one |
//!
//! A request arrives at a door and is dispatched to its handler, which asks the owner of the data and awaits the answer.
//! Requests do not own work: a turn belongs to its session's task. Every change is committed together with its event
//! before clients see either.

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
