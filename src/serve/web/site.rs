//! The state that the connections of a listener share, and the connection of a request.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;

use super::{guard::Guard, options::Options};
use crate::{rpc::Rpc, stdx::tasks::Tasks};

/// The limits and timeouts of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum number of connections.
    pub connections: usize,
    /// The timeout of the TLS handshake.
    pub handshake: Duration,
    /// The timeout of a request's head, also of a later one on the same connection.
    pub head: Duration,
    /// The timeout between two reads of a request's body.
    pub body: Duration,
    /// The interval of pings on a WebSocket.
    pub ping: Duration,
    /// The delay of the answer to a wrong token.
    pub wrong_token: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(15),
            body: Duration::from_secs(30),
            ping: Duration::from_secs(30),
            wrong_token: Duration::from_millis(500),
        }
    }
}

/// The state that the connections of a listener share.
pub struct Site {
    pub rpc: Rpc,
    /// The environment variables for the turns of its clients.
    pub environment: Arc<BTreeMap<String, String>>,
    pub options: Options,
    /// Checks host, origin and token.
    pub guard: Guard,
    /// Whether it uses TLS.
    pub secure: bool,
    pub limits: Limits,
    /// The tasks of its connections; cancelled during shutdown.
    pub tasks: Tasks,
}

/// The network connection of a request.
#[derive(Clone)]
pub struct RemotePeer {
    /// The peer's address.
    pub address: IpAddr,
    /// Counts against the limit of connections until the last clone is dropped.
    _slot: Arc<OwnedSemaphorePermit>,
}

impl RemotePeer {
    /// A connection from this address.
    #[must_use]
    pub fn new(address: IpAddr, slot: OwnedSemaphorePermit) -> Self {
        Self { address, _slot: Arc::new(slot) }
    }
}
