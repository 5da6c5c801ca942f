//! Where the daemon listens on the network: the doors enter a listener and the entry ends with it. A daemon that others
//! reach over the network does not leave by itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// A listener, as it can be told of to others: nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Where clients reach it, such as `ws://127.0.0.1:4096/`.
    pub url: String,
    /// When it was opened, in milliseconds since 1970.
    pub since: i64,
}

#[derive(Debug, Default)]
struct Entries {
    last: u64,
    entries: BTreeMap<u64, Description>,
}

/// The network listeners of the daemon.
#[derive(Debug, Default)]
pub struct Listeners {
    // Plain mutex: held for single operations of the map.
    entries: Mutex<Entries>,
    count: watch::Sender<usize>,
}

impl Listeners {
    /// Enters a listener, until the presence is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, description: Description) -> Presence {
        let mut entries = self.entries();
        entries.last += 1;
        let id = entries.last;
        entries.entries.insert(id, description);
        self.count.send_replace(entries.entries.len());
        Presence { listeners: Arc::clone(self), id }
    }

    /// The listeners that are open, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Description> {
        self.entries().entries.values().cloned().collect()
    }

    /// How many listeners are open, now and whenever it changes.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every operation leaves the map sound, so a panic elsewhere does too.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open listener; it is closed when this is dropped.
#[derive(Debug)]
pub struct Presence {
    listeners: Arc<Listeners>,
    id: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut entries = self.listeners.entries();
        entries.entries.remove(&self.id);
        self.listeners.count.send_replace(entries.entries.len());
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
}
