//! Where the daemon listens on the network: the door enters each of its listeners, and whoever wants another one asks
//! here, without knowing the door.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use polytree_protocol::listen::{ServerListenParams, ServerListenResult};
use tokio::sync::{mpsc, oneshot, watch};

/// The capacity of the queue of requests.
const QUEUE: usize = 8;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for makes no sense, or is not safe.
    #[error("`{field}`: {reason}")]
    Invalid {
        /// The param.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// It listens there already, and otherwise.
    #[error("{url} is open already, with other options")]
    Conflict {
        /// The listener that is open.
        url: String,
    },
    /// The system refuses the address, a file cannot be used, or the daemon stops.
    #[error("{reason}")]
    Unavailable {
        /// What it said.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl Error {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Invalid { hint, .. } | Self::Unavailable { hint, .. } => hint.as_deref(),
            Self::Conflict { .. } => Some("stop the daemon first, or take another port"),
        }
    }
}

/// An open listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its address for clients.
    pub url: String,
    /// When it was opened, in milliseconds since 1970.
    pub since: i64,
}

/// A request to open a listener.
#[derive(Debug)]
pub struct ListenRequest {
    /// Where and how.
    pub params: ServerListenParams,
    /// The variables for the turns of its clients.
    pub environment: Arc<BTreeMap<String, String>>,
    /// Who waits for it.
    pub answer: oneshot::Sender<Result<ServerListenResult, Error>>,
}

/// The network listeners of the daemon.
pub struct Listeners {
    // Plain mutexes: held for single operations.
    entries: Mutex<(u64, BTreeMap<u64, Description>)>,
    count: watch::Sender<usize>,
    requests: mpsc::Sender<ListenRequest>,
    door: Mutex<Option<mpsc::Receiver<ListenRequest>>>,
}

impl Default for Listeners {
    fn default() -> Self {
        let (requests, door) = mpsc::channel(QUEUE);
        Self { entries: Mutex::default(), count: watch::Sender::new(0), requests, door: Mutex::new(Some(door)) }
    }
}

impl Listeners {
    /// Enters a listener, until the presence is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, description: Description) -> Presence {
        let mut entries = lock(&self.entries);
        entries.0 += 1;
        let number = entries.0;
        entries.1.insert(number, description);
        self.count.send_replace(entries.1.len());
        Presence { listeners: Arc::clone(self), number }
    }

    /// The open listeners, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Description> {
        lock(&self.entries).1.values().cloned().collect()
    }

    /// How many listeners are open, now and whenever it changes.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// The requests, for the door that handles them; can be taken once.
    #[must_use]
    pub fn requests(&self) -> Option<mpsc::Receiver<ListenRequest>> {
        lock(&self.door).take()
    }

    /// Asks for a listener; one that is open already at that address is as good.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(&self, params: ServerListenParams, environment: Arc<BTreeMap<String, String>>) -> Result<ServerListenResult, Error> {
        let nobody = || Error::Unavailable { reason: "this daemon does not listen on the network now".to_owned(), hint: None };
        if lock(&self.door).is_some() {
            return Err(nobody());
        }
        let (answer, listener) = oneshot::channel();
        self.requests.send(ListenRequest { params, environment, answer }).await.map_err(|_| nobody())?;
        listener.await.map_err(|_| nobody())?
    }
}

/// Each lock guards a plain value that every operation leaves sound, so a panic while it is held does too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("open", &self.list()).finish_non_exhaustive()
    }
}

/// A listener's time; its end is when this is dropped.
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
        let enter = |url: &str| listeners.enter(Description { url: url.to_owned(), since: 0 });
        let urls = || listeners.list().into_iter().map(|listener| listener.url).collect::<Vec<_>>();
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
