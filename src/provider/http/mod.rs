//! How services are reached over HTTP: addresses, proxies, certificates, the clients, and what a failed connection means.

pub(crate) mod address;
pub(crate) mod client;
pub(crate) mod network;
pub(crate) mod unreachable;
