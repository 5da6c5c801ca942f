//! The real executable over stdio, with real repositories and a model server on loopback: what clients live with.

mod support {
    pub mod client;
    pub mod fixture;
    #[path = "../../support/model_server.rs"]
    pub mod model_server;
}

mod abort;
mod command_line;
mod conversation;
mod crash;
mod events;
mod full;
mod limits;
mod moments;
mod permissions;
mod projects;
mod sessions;
mod store;
mod transport;
