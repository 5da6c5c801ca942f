//! What is shared by all catalogues of a daemon: keys, the fetched catalogue, HTTP clients, scripts being played.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    provider::{
        catalog::{fetched::CatalogCache, key_store::KeyStore, local_servers::LocalServers},
        definition::Provider,
        http::client::Clients,
        wire::remote::RemoteSettings,
    },
    stdx::paths::AbsPath,
};

#[derive(PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Remote(Box<RemoteSettings>),
    Scripted { provider: String, text: String },
}

/// The instances behind all catalogues of a daemon. They are found by all that they were made of, keys included, so
/// that changed settings count at the next call while connections of unchanged ones are kept.
#[derive(Default)]
pub struct Pool {
    /// The stored keys.
    pub keys: KeyStore,
    /// The catalogue that was fetched.
    pub cache: CatalogCache,
    /// The servers on this machine.
    pub local: LocalServers,
    pub(crate) clients: Arc<Clients>,
    // Never held across an await.
    instances: Mutex<HashMap<Key, Arc<dyn Provider>>>,
}

/// Capacity of the cache of instances. More are left over from settings that have changed; calls in progress keep theirs.
const MAX_INSTANCES: usize = 64;

impl Pool {
    /// With the keys and the fetched catalogue of a data directory; the default pool has neither.
    #[must_use]
    pub fn new(data: &AbsPath) -> Self {
        Self { keys: KeyStore::new(data), cache: CatalogCache::new(data), ..Self::default() }
    }

    /// The instance for `key`; `make` makes it where there is none yet.
    pub(crate) fn instance(&self, key: Key, make: impl FnOnce() -> Arc<dyn Provider>) -> Arc<dyn Provider> {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.get(&key) {
            return Arc::clone(instance);
        }
        let instance = make();
        if instances.len() >= MAX_INSTANCES {
            instances.clear();
        }
        instances.insert(key, Arc::clone(&instance));
        instance
    }
}
