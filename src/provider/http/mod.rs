//! HTTP: addresses, proxies, certificates, clients, and the causes of failed connections.

pub(crate) mod address;
pub(crate) mod client;
pub(crate) mod network;
pub(crate) mod unreachable;
