//! The doors to the network: WebSocket and HTTP on one port, behind a token.

pub mod assets;
