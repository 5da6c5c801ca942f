//! The connected clients, through all doors: each door registers its clients, and an entry ends with its connection. The
//! daemon's lifetime depends on the count.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{FutureExt as _, future::BoxFuture};
use polytree_protocol::diagnose::DiagnosisClient;
use serde_json::value::RawValue;
use tokio::sync::watch;

/// A client that can be registered.
pub trait Client: Send + Sync {
    /// Its current state. Contains no secrets.
    fn describe(&self) -> DiagnosisClient;

    /// How many messages wait to be written to it.
    fn waiting_messages(&self) -> u64;

    /// Whether it shows files when it is told to.
    fn can_open(&self) -> bool {
        false
    }

    /// Sends it a message without a subscription; false if it is gone.
    fn tell(&self, message: Box<RawValue>) -> BoxFuture<'_, bool> {
        drop(message);
        futures::future::ready(false).boxed()
    }
}

/// The clients of the daemon.
#[derive(Default)]
pub struct Clients {
    // Locked for single operations of the map.
    entries: Mutex<BTreeMap<u64, Arc<dyn Client>>>,
    count: watch::Sender<usize>,
}

impl Clients {
    /// Registers a client until the presence is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, client: Arc<dyn Client>) -> Presence {
        let id = client.describe().id;
        let mut entries = self.entries();
        entries.insert(id, client);
        self.count.send_replace(entries.len());
        Presence { clients: Arc::clone(self), id }
    }

    /// The states of all clients, by connection id, and how many messages wait for them.
    #[must_use]
    pub fn list(&self) -> (Vec<DiagnosisClient>, u64) {
        // Outside the lock: a client may take locks of its own.
        let clients: Vec<_> = self.entries().values().cloned().collect();
        (clients.iter().map(|client| client.describe()).collect(), clients.iter().map(|client| client.waiting_messages()).sum())
    }

    /// The clients that show files, the last one to connect first.
    #[must_use]
    pub fn editors(&self) -> Vec<Arc<dyn Client>> {
        let clients: Vec<_> = self.entries().values().rev().cloned().collect();
        clients.into_iter().filter(|client| client.can_open()).collect()
    }

    /// The number of clients, and its changes.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<dyn Client>>> {
        // Each operation is a single insert or removal, so a panic elsewhere leaves the map valid.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("count", &*self.count.borrow()).finish()
    }
}

/// Registers a client until it is dropped.
#[derive(Debug)]
pub struct Presence {
    clients: Arc<Clients>,
    id: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut entries = self.clients.entries();
        entries.remove(&self.id);
        self.clients.count.send_replace(entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(u64);

    impl Client for Number {
        fn describe(&self) -> DiagnosisClient {
            DiagnosisClient { id: self.0, ..DiagnosisClient::default() }
        }

        fn waiting_messages(&self) -> u64 {
            1
        }
    }

    #[test]
    fn clients_are_counted_while_registered() {
        let clients = Arc::new(Clients::default());
        let count = clients.count();
        let first = clients.enter(Arc::new(Number(1)));
        let second = clients.enter(Arc::new(Number(2)));
        assert_eq!(*count.borrow(), 2);
        drop(first);
        let (listed, waiting) = clients.list();
        assert_eq!((listed.iter().map(|client| client.id).collect::<Vec<_>>(), waiting), (vec![2], 1));
        drop(second);
        assert_eq!(*count.borrow(), 0);
    }
}
