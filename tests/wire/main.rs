//! The real executable over stdio, with real repositories and a model server on loopback.

mod support {
    pub mod client;
    pub mod command;
    pub mod fixture;
    #[path = "../../support/model_server.rs"]
    pub mod model_server;
    pub mod served;
    #[path = "../../support/way.rs"]
    pub mod way;
}

mod abort;
mod arguments;
mod attachments;
mod buffers;
mod calls;
mod changes;
mod command_line;
mod compact;
mod compact_ends;
mod compact_state;
mod conversation;
mod copies;
mod crash;
mod defaults;
mod defects;
mod diagnose;
mod doctor;
mod events;
mod files;
mod find;
mod full;
mod guarded;
mod hung;
mod hunks;
mod keys;
mod life;
mod limits;
mod login;
mod models;
mod moments;
mod network;
mod permissions;
mod projects;
mod prompt_state;
mod queue;
mod random_undo;
mod reach;
mod relay;
mod resources;
mod retention;
mod revert;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod sandbox_git;
#[cfg(target_os = "linux")]
mod sandbox_processes;
#[cfg(target_os = "linux")]
mod sandbox_settings;
mod sessions;
mod store;
mod structured;
mod subagent_ends;
mod subagents;
mod symbols;
mod tapes;
mod text;
mod transport;
mod turns;
mod umask;
mod undo;
mod versions;
