//! What all connections of a listener share, and the connection by which a request came.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;

use super::{guard::Guard, options::Options};
use crate::{rpc::Rpc, stdx::tasks::Tasks};

/// What keeps a listener from being held up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections it has at a time.
    pub connections: usize,
    /// How long agreeing on TLS may take.
    pub handshake: Duration,
    /// How long the head of a request may take, also of a further one.
    pub head: Duration,
    /// How long the body of a request may pause.
    pub body: Duration,
    /// How often a WebSocket is asked for a sign of life.
    pub ping: Duration,
    /// How long a wrong token waits for its answer.
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

/// What all connections of a listener share.
pub struct Site {
    /// What is served.
    pub rpc: Rpc,
    /// The variables for the turns of its clients.
    pub environment: Arc<BTreeMap<String, String>>,
    /// How they are treated.
    pub options: Options,
    /// Who may come in.
    pub guard: Guard,
    /// Whether it speaks TLS.
    pub secure: bool,
    /// What keeps it from being held up.
    pub limits: Limits,
    /// Its work; cancelled when the daemon stops.
    pub tasks: Tasks,
}

/// The network connection by which a request came.
#[derive(Clone)]
pub struct RemotePeer {
    /// The other side's address.
    pub address: IpAddr,
    /// Its share of the connections that the listener may have, held until the last clone is dropped.
    _slot: Arc<OwnedSemaphorePermit>,
}

impl RemotePeer {
    /// A connection from this address.
    #[must_use]
    pub fn new(address: IpAddr, slot: OwnedSemaphorePermit) -> Self {
        Self { address, _slot: Arc::new(slot) }
    }
}
