//! JSON-RPC 2.0 as bytes: messages from a stream, requests from a message, and a client.

pub mod envelope;
pub mod framing;
pub mod id_finder;
pub mod peer;
