//! JSON-RPC 2.0 as bytes: messages out of a stream, requests out of a message, and a client.

pub mod envelope;
pub mod framing;
pub mod id_finder;
pub mod peer;
