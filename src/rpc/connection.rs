//! A client's connection, independent of its door: the context of its requests.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{FutureExt as _, future::BoxFuture};
pub use polytree_protocol::diagnose::DiagnosisDoor as Door;
use polytree_protocol::{daemon::ClientInfo, diagnose::DiagnosisClient, editor::ClientCapabilities};
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{
    sink::{Closed, Notifier, Subscription},
    traffic::Traffic,
};
use crate::{
    daemon::clients::Client,
    overlay::{Editor, Overlay},
    stdx::{paths::AbsPath, time::now_ms},
};

/// The state of a client's unsaved texts.
#[derive(Default)]
enum Buffers {
    /// None were announced.
    #[default]
    None,
    /// There.
    In(Arc<Overlay>),
    /// The client has disconnected.
    Closed,
}

/// One client. Its subscriptions end with the connection; the turns that it started do not.
pub struct Connection {
    id: u64,
    door: Door,
    since: i64,
    environment: Arc<BTreeMap<String, String>>,
    // Never locked across an await.
    default_directory: Mutex<Option<AbsPath>>,
    client: Mutex<Option<ClientInfo>>,
    capabilities: Mutex<Option<ClientCapabilities>>,
    subscriptions: Mutex<BTreeMap<u64, Arc<Subscription>>>,
    changed: watch::Sender<()>,
    traffic: Arc<Traffic>,
    notifier: OnceLock<Arc<dyn Notifier>>,
    buffers: Mutex<Buffers>,
}

impl Connection {
    /// A new connection with an id that is unique in this process.
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
            capabilities: Mutex::default(),
            subscriptions: Mutex::default(),
            changed: watch::Sender::default(),
            traffic: Arc::default(),
            notifier: OnceLock::new(),
            buffers: Mutex::default(),
        }
    }

    /// The connection's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    #[must_use]
    pub fn door(&self) -> Door {
        self.door
    }

    /// Its requests and queued messages.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The client's environment variables, for the turns that it starts. Never stored, logged or sent.
    #[must_use]
    pub fn environment(&self) -> Arc<BTreeMap<String, String>> {
        self.environment.clone()
    }

    /// The directory of requests that name none.
    #[must_use]
    pub fn default_directory(&self) -> Option<AbsPath> {
        lock(&self.default_directory).clone()
    }

    /// Sets the directory of requests that name none.
    pub fn set_default_directory(&self, directory: AbsPath) {
        *lock(&self.default_directory) = Some(directory);
    }

    /// The client's name and version, as it states them.
    #[must_use]
    pub fn client(&self) -> Option<ClientInfo> {
        lock(&self.client).clone()
    }

    /// Sets the client's name and version.
    pub fn set_client(&self, client: ClientInfo) {
        *lock(&self.client) = Some(client);
    }

    /// Sets what the client can do.
    pub fn set_capabilities(&self, capabilities: ClientCapabilities) {
        *lock(&self.capabilities) = Some(capabilities);
    }

    /// Sets the way for messages that are not answers. A door that cannot send such messages sets nothing.
    pub fn set_notifier(&self, notifier: Arc<dyn Notifier>) {
        // A connection has one door.
        let _ = self.notifier.set(notifier);
    }

    /// The way for messages that are not answers, if there is one.
    #[must_use]
    pub fn notifier(&self) -> Option<&Arc<dyn Notifier>> {
        self.notifier.get()
    }

    /// Sends the client a message without a subscription. Waits while the client reads too slowly.
    ///
    /// # Errors
    /// If it has disconnected, or its door cannot send such messages.
    pub async fn tell(&self, message: Box<RawValue>) -> Result<(), Closed> {
        self.notifier().ok_or(Closed)?.send(message).await
    }

    /// The client is about to announce texts, which are dropped when it disconnects. False if it has disconnected.
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

    /// Registers an open subscription.
    pub fn add_subscription(&self, subscription: Arc<Subscription>) {
        lock(&self.subscriptions).insert(subscription.id(), subscription);
    }

    /// Closes a subscription: nothing is queued for it after this returns. False if there is none with this id.
    #[must_use]
    pub fn unsubscribe(&self, id: u64) -> bool {
        let subscription = lock(&self.subscriptions).remove(&id);
        subscription.inspect(|subscription| subscription.close()).is_some()
    }

    /// A subscription has sent its last message.
    pub fn forget_subscription(&self, id: u64) {
        lock(&self.subscriptions).remove(&id);
        self.changed.send_replace(());
    }

    /// Waits until all subscriptions have sent their last messages.
    pub async fn drained(&self) {
        // The sender lives as long as this value.
        let _ = self.changed.subscribe().wait_for(|()| lock(&self.subscriptions).is_empty()).await;
    }

    /// Closes all subscriptions and drops the announced texts, after the client has disconnected.
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
    fn describe(&self) -> DiagnosisClient {
        let (name, version) = self.client().map_or((None, None), |client| (Some(client.name), client.version));
        DiagnosisClient {
            id: self.id,
            door: self.door,
            name,
            version,
            directory: self.default_directory().map(|directory| directory.to_string()),
            capabilities: *lock(&self.capabilities),
            since: self.since,
            subscriptions: lock(&self.subscriptions).len() as u64,
            requests: self.traffic.requests() as u64,
            waiting_bytes: self.traffic.waiting().1 as u64,
            stalled_ms: self.traffic.stalled_ms(),
            asks: false,
        }
    }

    fn waiting_messages(&self) -> u64 {
        self.traffic.waiting().0 as u64
    }

    fn can_open(&self) -> bool {
        lock(&self.capabilities).is_some_and(|capabilities| capabilities.open == Some(true))
    }

    fn tell(&self, message: Box<RawValue>) -> BoxFuture<'_, bool> {
        Self::tell(self, message).map(|told| told.is_ok()).boxed()
    }
}

/// Values are replaced as a whole, so a panic while the lock is held leaves them valid.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the environment, which contains keys.
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
