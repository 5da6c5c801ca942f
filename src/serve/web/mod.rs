//! The doors to the network: WebSocket and HTTP on one port, behind a token, for clients that reach the listener by a
//! name of its own and pages from origins that are allowed. What a client sends is served as at every other door.

pub mod assets;

mod doors;
mod forwarded;
mod frames;
mod guard;
mod host;
mod http;
mod listener;
mod options;
mod post;
mod response;
mod site;
mod tls;
mod token;
mod websocket;

pub use doors::Doors;
pub use token::{Error as TokenError, Token, TokenFile};

#[cfg(test)]
mod tests;
