//! State shared by all catalogues of a daemon: keys, the fetched catalogue, HTTP clients, scripts being played.

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

/// A cache of provider instances by their complete configuration, including keys. Changed settings take effect at the
/// next request, and unchanged ones keep their connections.
#[derive(Default)]
pub struct Pool {
    pub keys: KeyStore,
    /// The fetched catalogue.
    pub cache: CatalogCache,
    /// The servers on this machine.
    pub local: LocalServers,
    pub(crate) clients: Arc<Clients>,
    // Never locked across an await.
    instances: Mutex<HashMap<Key, Arc<dyn Provider>>>,
}

/// The capacity of the cache; beyond it the instances are from former settings. Requests in progress keep theirs.
const CACHE_CAPACITY: usize = 64;

impl Pool {
    /// A pool with the keys and the fetched catalogue of a data directory; the default pool has neither.
    pub fn new(data: &AbsPath) -> Self {
        Self { keys: KeyStore::new(data), cache: CatalogCache::new(data), ..Self::default() }
    }

    /// The cached instance for `key`, created by `make` if needed.
    pub(crate) fn instance(&self, key: Key, make: impl FnOnce() -> Arc<dyn Provider>) -> Arc<dyn Provider> {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.get(&key) {
            return Arc::clone(instance);
        }
        let instance = make();
        if instances.len() >= CACHE_CAPACITY {
            instances.clear();
        }
        instances.insert(key, Arc::clone(&instance));
        instance
    }
}
