//! A client's connection, whatever door it came by: what its requests may take for granted.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use polytree_protocol::daemon::ClientInfo;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{
    sink::{Closed, Notifier, Subscription},
    traffic::Traffic,
};
pub use crate::daemon::clients::Door;
use crate::{
    daemon::clients::{Client, Description},
    overlay::{Editor, Overlay},
    stdx::{paths::AbsPath, time::now_ms},
};

/// Where the texts of a client are.
#[derive(Default)]
enum Buffers {
    /// It has announced none.
    #[default]
    None,
    /// There.
    In(Arc<Overlay>),
    /// It has gone, and they with it.
    Closed,
}

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
    notifier: OnceLock<Arc<dyn Notifier>>,
    buffers: Mutex<Buffers>,
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
            notifier: OnceLock::new(),
            buffers: Mutex::default(),
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

    /// Sets how messages that are no answers reach the client. A door that cannot send such messages sets nothing.
    pub fn set_notifier(&self, notifier: Arc<dyn Notifier>) {
        // A connection has one door.
        let _ = self.notifier.set(notifier);
    }

    /// How messages that are no answers reach the client, if they can.
    #[must_use]
    pub fn notifier(&self) -> Option<&Arc<dyn Notifier>> {
        self.notifier.get()
    }

    /// Sends the client a message that belongs to no subscription. Waits while it reads too slowly.
    ///
    /// # Errors
    /// When it has gone, or its door carries no such messages.
    pub async fn tell(&self, message: Box<RawValue>) -> Result<(), Closed> {
        self.notifier().ok_or(Closed)?.send(message).await
    }

    /// Notes that the client is about to announce texts: they are forgotten when it goes. False when it has gone.
    pub fn announces(&self, overlay: &Arc<Overlay>, editor: Arc<dyn Editor>) -> bool {
        let mut buffers = lock(&self.buffers);
        if matches!(*buffers, Buffers::Closed) {
            return false;
        }
        if matches!(*buffers, Buffers::None) {
            *buffers = Buffers::In(Arc::clone(overlay));
            overlay.set_editor(self.id, editor);
        }
        true
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

    /// Ends every subscription and forgets the texts that were announced; for when the client has gone.
    pub fn close(&self) {
        if let Buffers::In(overlay) = std::mem::replace(&mut *lock(&self.buffers), Buffers::Closed) {
            overlay.forget(self.id);
        }
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
