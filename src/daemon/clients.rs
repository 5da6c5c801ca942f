//! Who is connected, by whatever door: the doors enter a client and the entry ends with the connection. What lives as
//! long as somebody is there watches the count.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Which way a client came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Door {
    /// Standard input and output.
    Stdio,
    /// The user's own socket or pipe.
    #[default]
    Local,
    /// A WebSocket.
    WebSocket,
    /// A single HTTP request: no subscriptions.
    Http,
}

/// A connected client, as it can be told of to others: nothing secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The connection's number.
    pub id: u64,
    /// The way it came.
    pub door: Door,
    /// The program, where it said so.
    pub name: Option<String>,
    /// The program's version, where it said so.
    pub version: Option<String>,
    /// The directory that its requests mean when they name none.
    pub directory: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub since: i64,
    /// How many subscriptions it has open.
    pub subscriptions: usize,
    /// How many requests are under way.
    pub requests: usize,
    /// How many messages wait to be written to it.
    pub waiting_messages: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// For how many milliseconds it has taken nothing of these; 0 when none waits.
    pub stalled_ms: u64,
}

/// Whoever can say what it is.
pub trait Client: Send + Sync {
    /// What it is now.
    fn describe(&self) -> Description;
}

/// The clients of the daemon.
#[derive(Default)]
pub struct Clients {
    // Plain mutex: held for single operations of the map.
    entries: Mutex<BTreeMap<u64, Arc<dyn Client>>>,
    count: watch::Sender<usize>,
}

impl Clients {
    /// Enters a client, until the presence is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, client: Arc<dyn Client>) -> Presence {
        let id = client.describe().id;
        let mut entries = self.entries();
        entries.insert(id, client);
        self.count.send_replace(entries.len());
        Presence { clients: Arc::clone(self), id }
    }

    /// The clients that are here, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Description> {
        // Described outside the lock: a client may take locks of its own.
        let clients: Vec<_> = self.entries().values().cloned().collect();
        clients.iter().map(|client| client.describe()).collect()
    }

    /// How many clients are here, now and whenever it changes.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<dyn Client>>> {
        // Every operation leaves the map sound, so a panic elsewhere does too.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("count", &*self.count.borrow()).finish()
    }
}

/// A client's stay; its end is when this is dropped.
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
        fn describe(&self) -> Description {
            Description { id: self.0, ..Description::default() }
        }
    }

    #[test]
    fn clients_are_counted_while_they_are_here() {
        let clients = Arc::new(Clients::default());
        let count = clients.count();
        let first = clients.enter(Arc::new(Number(1)));
        let second = clients.enter(Arc::new(Number(2)));
        assert_eq!(*count.borrow(), 2);
        drop(first);
        assert_eq!(clients.list().iter().map(|client| client.id).collect::<Vec<_>>(), [2]);
        drop(second);
        assert_eq!(*count.borrow(), 0);
    }
}
