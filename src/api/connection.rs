//! A client's connection, whatever door it came by: what its requests may take for granted.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use polytree_protocol::daemon::ClientInfo;
use tokio::sync::watch;

use super::{sink::Subscription, traffic::Traffic};
pub use crate::daemon::clients::Door;
use crate::{
    daemon::clients::{Client, Description},
    stdx::{paths::AbsPath, time::now_ms},
};

/// One client. Its subscriptions end with it; the turns that it started do not.
pub struct Connection {
    id: u64,
    door: Door,
    since: i64,
    environment: Arc<BTreeMap<String, String>>,
    // Plain mutexes: nothing is awaited while one is held.
    default_directory: Mutex<Option<AbsPath>>,
    client: Mutex<Option<ClientInfo>>,
    subscriptions: Mutex<BTreeMap<u64, Arc<Subscription>>>,
    changed: watch::Sender<()>,
    traffic: Arc<Traffic>,
}

impl Connection {
    /// A new connection with an id of its own in this process.
    #[must_use]
    pub fn new(door: Door, default_directory: Option<AbsPath>, environment: Arc<BTreeMap<String, String>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            door,
            since: now_ms(),
            environment,
            default_directory: Mutex::new(default_directory),
            client: Mutex::default(),
            subscriptions: Mutex::default(),
            changed: watch::Sender::default(),
            traffic: Arc::default(),
        }
    }

    /// The connection's number, as diagnostics name it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The way the client came.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door
    }

    /// What it has under way.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The client's variables: for the turns that it starts. Never stored, logged or sent.
    #[must_use]
    pub fn environment(&self) -> Arc<BTreeMap<String, String>> {
        self.environment.clone()
    }

    /// The directory that requests without one mean.
    #[must_use]
    pub fn default_directory(&self) -> Option<AbsPath> {
        lock(&self.default_directory).clone()
    }

    /// Sets the directory that requests without one mean.
    pub fn set_default_directory(&self, directory: AbsPath) {
        *lock(&self.default_directory) = Some(directory);
    }

    /// Who the client says it is.
    #[must_use]
    pub fn client(&self) -> Option<ClientInfo> {
        lock(&self.client).clone()
    }

    /// Notes who the client says it is.
    pub fn set_client(&self, client: ClientInfo) {
        *lock(&self.client) = Some(client);
    }

    /// Notes an open subscription.
    pub fn add_subscription(&self, subscription: Arc<Subscription>) {
        lock(&self.subscriptions).insert(subscription.id(), subscription);
    }

    /// Ends a subscription: nothing can be queued on it after this returns. False when there is none of this id.
    #[must_use]
    pub fn unsubscribe(&self, id: u64) -> bool {
        let subscription = lock(&self.subscriptions).remove(&id);
        subscription.inspect(|subscription| subscription.close()).is_some()
    }

    /// Notes that a subscription has sent its last.
    pub fn forget_subscription(&self, id: u64) {
        lock(&self.subscriptions).remove(&id);
        self.changed.send_replace(());
    }

    /// Waits until every subscription has sent its last.
    pub async fn drained(&self) {
        // The sender lives as long as this value.
        let _ = self.changed.subscribe().wait_for(|()| lock(&self.subscriptions).is_empty()).await;
    }

    /// Ends every subscription; for when the client has gone.
    pub fn close(&self) {
        let subscriptions = std::mem::take(&mut *lock(&self.subscriptions));
        for subscription in subscriptions.values() {
            subscription.close();
        }
    }
}

impl Client for Connection {
    fn describe(&self) -> Description {
        let (name, version) = self.client().map_or((None, None), |client| (Some(client.name), client.version));
        let (waiting_messages, waiting_bytes) = self.traffic.waiting();
        Description {
            id: self.id,
            door: self.door,
            name,
            version,
            directory: self.default_directory().map(|directory| directory.to_string()),
            since: self.since,
            subscriptions: lock(&self.subscriptions).len(),
            requests: self.traffic.requests(),
            waiting_messages,
            waiting_bytes,
            stalled_ms: self.traffic.stalled_ms(),
        }
    }
}

/// Each lock guards a plain value that is replaced as a whole, so a panic while it is held leaves it sound.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the environment: it holds keys.
        f.debug_struct("Connection").field("id", &self.id).field("door", &self.door).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_not_shown() {
        let environment = Arc::new(BTreeMap::from([("KEY".to_owned(), "secret".to_owned())]));
        let shown = format!("{:?}", Connection::new(Door::Local, AbsPath::new("/a"), environment));
        assert!(!shown.contains("secret") && !shown.contains("KEY"), "{shown}");
    }
}
