//! polytree: one daemon, every worktree.
//!
//! A coding agent as a service: clients send prompts over JSON-RPC, the daemon calls models, runs the tools that
//! they ask for, asks the user for leave, and tells every client what happens. What can be said between the two
//! stands in the crate `polytree_protocol` and nowhere else.
//!
//! # The map
//!
//! The house is built by noun: a folder owns the state, the storage and the rules of one thing. A noun has the same
//! name at three depths: what is said about it (`protocol/src/session.rs`), who answers ([`api::session`]), what
//! happens ([`session`]). Modules know only those above them in this list, never those below, and
//! `tests/architecture` sees to it.
//!
//! Foundations that know no word of ours, or only few:
//!
//! - [`stdx`]: what the standard library lacks: absolute paths, subprocesses, tasks with an owner.
//! - [`jsonrpc`]: JSON-RPC 2.0 as bytes.
//! - [`storage`]: SQLite with one writer; a change and the event that tells of it are one transaction.
//! - [`config`]: settings, and which of them a project may make.
//! - [`event`]: the log of everything that happened, and following it without a gap.
//!
//! What a turn needs:
//!
//! - [`file`]: the project's files, and which of them are ignored.
//! - [`permission`]: allow, ask or deny; questions that wait; answers that are remembered.
//! - [`agent`]: personas.
//! - [`provider`]: models behind one trait, among them one that needs neither key nor network.
//! - [`tool`]: what a model may do.
//! - [`session`]: one conversation: its queue, its turns, its messages.
//!
//! The whole:
//!
//! - [`project`]: which repository a directory belongs to; what is alive for it.
//! - [`daemon`]: builds all of the above once, and ends it.
//! - [`api`]: the handler of each method.
//! - [`serve`]: the doors, through which clients come in.
//!
//! The executable:
//!
//! - [`cli`]: the command line, a client like any other.
//! - [`logging`]: the log file.
//! - [`launch`]: what the process becomes: a daemon, or a client of the one that runs.
//!
//! # A prompt, end to end
//!
//! A line arrives at a door ([`serve`]), which finds the row of the method table and calls its handler ([`api`]).
//! The handler finds the directory's project ([`project`]) and hands the prompt to the session ([`session`]), whose
//! task stores it and answers. From there on the turn belongs to that task: it calls the model ([`provider`]), folds
//! what streams in into parts, runs tool calls ([`tool`]) after asking ([`permission`]), and writes each change
//! together with its event ([`storage`], [`event`]). Every subscription reads those events, in the order in which
//! they were committed.

pub mod stdx;

pub mod jsonrpc;

pub mod storage;

pub mod config;

pub mod event;

pub mod file;

pub mod permission;

pub mod agent;

pub mod provider;

pub mod tool;

pub mod session;

pub mod project;

pub mod daemon;

pub mod api;

pub mod serve;

pub mod cli;

pub mod logging;

pub mod launch;
