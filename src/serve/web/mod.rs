//! The network door: WebSocket and HTTP on one port, protected by a token. A client must use one of the listener's host
//! names, and a web page must come from an allowed origin. Requests are handled as at the other doors.

pub mod assets;

mod client_view;
mod frames;
mod guard;
mod host;
mod http;
mod listener;
mod listeners;
mod options;
mod post;
mod response;
mod site;
mod tls;
mod token;
mod websocket;

pub use listeners::NetworkListeners;
pub use token::{Error as TokenError, Token, TokenFile};

#[cfg(test)]
mod tests;
