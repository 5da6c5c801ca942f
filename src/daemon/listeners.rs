//! The network listeners of the daemon: the network door registers its listeners here, and others request new ones without
//! a dependency on the door.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use polytree_protocol::{
    diagnose::DiagnosisListener,
    listen::{ServerListenParams, ServerListenResult},
};
use tokio::sync::{mpsc, oneshot, watch};

const REQUEST_QUEUE_CAPACITY: usize = 8;

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is contradictory or not safe.
    #[error("`{field}`: {reason}")]
    Invalid {
        /// The invalid param.
        field: &'static str,
        reason: String,
        hint: Option<String>,
    },
    /// There is a listener with other options at the address.
    #[error("{url} is already open with other options")]
    Conflict { url: String },
    /// The operating system refuses the address, a file cannot be used, or the daemon shuts down.
    #[error("{reason}")]
    Unavailable { reason: String, hint: Option<String> },
}

impl Error {
    /// What to do about it, if known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Invalid { hint, .. } | Self::Unavailable { hint, .. } => hint.as_deref(),
            Self::Conflict { .. } => Some("stop the daemon first, or use another port"),
        }
    }
}

/// A request to open a listener.
#[derive(Debug)]
pub struct ListenRequest {
    pub params: ServerListenParams,
    /// The variables for the turns of its clients.
    pub environment: Arc<BTreeMap<String, String>>,
    pub answer: oneshot::Sender<Result<ServerListenResult, Error>>,
}

/// The network listeners of the daemon.
pub struct Listeners {
    // Locked for single operations.
    entries: Mutex<(u64, BTreeMap<u64, DiagnosisListener>)>,
    count: watch::Sender<usize>,
    requests: mpsc::Sender<ListenRequest>,
    door: Mutex<Option<mpsc::Receiver<ListenRequest>>>,
}

impl Default for Listeners {
    fn default() -> Self {
        let (requests, door) = mpsc::channel(REQUEST_QUEUE_CAPACITY);
        Self { entries: Mutex::default(), count: watch::Sender::new(0), requests, door: Mutex::new(Some(door)) }
    }
}

impl Listeners {
    /// Registers a listener until the presence is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, listener: DiagnosisListener) -> Presence {
        let mut entries = lock(&self.entries);
        entries.0 += 1;
        let number = entries.0;
        entries.1.insert(number, listener);
        self.count.send_replace(entries.1.len());
        Presence { listeners: Arc::clone(self), number }
    }

    /// The open listeners, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<DiagnosisListener> {
        lock(&self.entries).1.values().cloned().collect()
    }

    /// The number of listeners, and its changes.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// The requests, for the network door; can be taken once.
    #[must_use]
    pub fn requests(&self) -> Option<mpsc::Receiver<ListenRequest>> {
        lock(&self.door).take()
    }

    /// Requests a listener; returns an open one with the same address and options.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(&self, params: ServerListenParams, environment: Arc<BTreeMap<String, String>>) -> Result<ServerListenResult, Error> {
        let nobody = || Error::Unavailable { reason: "this daemon cannot listen on the network now".to_owned(), hint: None };
        if lock(&self.door).is_some() {
            return Err(nobody());
        }
        let (answer, listener) = oneshot::channel();
        self.requests.send(ListenRequest { params, environment, answer }).await.map_err(|_| nobody())?;
        listener.await.map_err(|_| nobody())?
    }
}

/// Each operation leaves the value valid, so a panic while the lock is held does, too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("open", &self.list()).finish_non_exhaustive()
    }
}

/// Registers a listener until it is dropped.
#[derive(Debug)]
pub struct Presence {
    listeners: Arc<Listeners>,
    number: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut entries = lock(&self.listeners.entries);
        entries.1.remove(&self.number);
        self.listeners.count.send_replace(entries.1.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_listed_while_they_are_open() {
        let listeners = Arc::new(Listeners::default());
        let count = listeners.count();
        let enter = |url: &str| listeners.enter(DiagnosisListener { address: url.to_owned(), since: 0 });
        let urls = || listeners.list().into_iter().map(|listener| listener.address).collect::<Vec<_>>();
        let first = enter("ws://b/");
        let second = enter("ws://a/");
        assert_eq!((*count.borrow(), urls()), (2, vec!["ws://b/".to_owned(), "ws://a/".to_owned()]));
        drop(first);
        assert_eq!((*count.borrow(), urls()), (1, vec!["ws://a/".to_owned()]));
        drop(second);
        assert_eq!(*count.borrow(), 0);
    }

    #[tokio::test]
    async fn a_request_needs_a_door() {
        let listeners = Arc::new(Listeners::default());
        assert!(matches!(listeners.open(ServerListenParams::default(), Arc::default()).await, Err(Error::Unavailable { .. })));
        let mut requests = listeners.requests().unwrap();
        assert!(listeners.requests().is_none());
        let result = ServerListenResult { url: "u".into(), token_file: "t".into() };
        let (opened, ()) = tokio::join!(listeners.open(ServerListenParams::default(), Arc::default()), async {
            requests.recv().await.unwrap().answer.send(Ok(result.clone())).unwrap();
        });
        assert_eq!(opened.unwrap(), result);
        drop(requests);
        assert!(matches!(listeners.open(ServerListenParams::default(), Arc::default()).await, Err(Error::Unavailable { .. })));
    }
}
