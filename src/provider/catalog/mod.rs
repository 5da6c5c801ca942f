//! The catalogue of models: known services, changed and extended by the settings, and resolving a model's name to a
//! callable model. A catalogue is cheap to build for one directory's settings; expensive state (HTTP clients, scripts)
//! is in the pool behind it.

mod built_in;
pub(crate) mod choice;
mod entry;
pub(crate) mod fetched;
pub(crate) mod file;
pub(crate) mod key_store;
pub(crate) mod local_servers;
mod pool;
mod settings;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

pub use built_in::built_in;
use entry::Entry;
use local_servers::Kind;
use polytree_protocol::{
    auth::AuthEntry,
    provider::{CatalogInfo, Model, ModelRef, ProviderListResult},
};
use pool::Key;
pub use pool::Pool;
use serde_json::{Map, Value};
pub use settings::{CatalogSettings, ModelSettings, ProviderSettings};

use crate::{
    provider::{
        definition::Provider,
        http::network::Network,
        offline::{self, Offline},
        scripted::{Script, Scripted},
        secret::Secret,
        wire::{
            self,
            remote::{DEFAULT_TIMEOUT_MS, Remote, RemoteSettings},
            variants::Variants,
        },
    },
    stdx::{nearest as near, paths::AbsPath, secrets::redact::redact},
};

/// Why a model cannot be resolved.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No such provider or model; the message has similar names.
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Credentials(String),
    #[error("{0}")]
    Settings(String),
    /// The provider has a key, which must not be sent to the URL in the project's settings.
    #[error("the project's settings send the key of the provider `{provider}` to {url}, which your own settings do not name")]
    Untrusted { provider: String, url: String },
}

/// A callable model.
#[derive(Clone)]
pub struct Resolved {
    pub provider: Arc<dyn Provider>,
    pub model: Model,
    /// For `ModelRequest::options`: fields for the request's body from the settings.
    pub options: Map<String, Value>,
    /// Fields that a variant adds to those.
    pub variants: Variants,
    pub api: String,
}

/// The models for one set of settings.
pub struct Catalog {
    pool: Arc<Pool>,
    /// In order of preference: the built-in ones, the others by id, the offline model, and then the servers found on
    /// this machine, which are never chosen by default.
    entries: Vec<Entry>,
    info: CatalogInfo,
    problems: Vec<String>,
}

impl Catalog {
    /// Combines the known services with the settings.
    pub fn new(pool: Arc<Pool>, settings: &CatalogSettings) -> Self {
        let current = pool.cache.current();
        let mut problems: Vec<String> = current.problem.iter().cloned().collect();
        let keys = pool.keys.keys().unwrap_or_else(|error| {
            problems.push(error.to_string());
            Arc::default()
        });
        let mut own = settings.providers.clone();
        own.remove(offline::PROVIDER);
        let known = built_in().providers.iter().filter_map(|row| {
            // Addresses and variables are from the built-in catalogue, because keys are sent there.
            let models = current.file().provider(&row.id).unwrap_or(row).models.as_slice();
            entry::known(row, models, own.remove(&row.id).unwrap_or_default())
        });
        let mut entries: Vec<_> = known.collect();
        // Services that are only in a fetched catalogue count if the user has named them.
        let named = current.file().providers.iter().filter(|row| settings.everything || keys.contains_key(&row.id));
        for row in named.filter(|row| built_in().provider(&row.id).is_none()) {
            own.entry(row.id.clone()).or_default();
        }
        entries.extend(own.into_iter().filter_map(|(id, own)| match current.file().provider(&id) {
            Some(row) if own.api.is_none() && own.base_url.is_none() => entry::known(row, &row.models, own),
            _ => Some(entry::own(id, own, &settings.local)),
        }));
        entries.retain(|entry| settings.allows(&entry.info.id));
        entries.push(entry::offline());
        for entry in &mut entries {
            entry.stored_key = keys.get(&entry.info.id).cloned();
        }
        Self { pool, entries, info: current.info(), problems }
    }

    /// Adds a server found on this machine. If the provider is in the settings, only its models are added.
    pub fn add_local(&mut self, kind: Kind, address: &str, models: Vec<Model>) {
        match self.entries.iter_mut().find(|entry| entry.info.id == kind.id()) {
            Some(entry) if entry.wire_url.is_some() => {
                entry.info.local = true;
                for model in models {
                    entry.info.models.entry(model.id.clone()).or_insert(model);
                }
            }
            // The settings have another URL.
            Some(_) => {}
            None => self.entries.push(entry::local(kind, address, models)),
        }
    }

    /// Whether the provider is in the settings or built in.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| entry.info.id == id)
    }

    /// All providers, their default models, and which of them can be used. Contains no secrets.
    pub fn list(&self, environment: &BTreeMap<String, String>) -> ProviderListResult {
        let default = |entry: &Entry| Some((entry.info.id.clone(), entry.default_model.clone()?));
        ProviderListResult {
            providers: self.entries.iter().map(|entry| entry.shown(environment)).collect(),
            default: self.entries.iter().filter_map(default).collect(),
            connected: self.connected(environment),
            catalog: self.info.clone(),
            problems: self.problems.clone(),
            used: None,
        }
    }

    /// The sources of keys, of all providers with a key and of those that are only in the store.
    pub fn keys(&self, environment: &BTreeMap<String, String>) -> Result<Vec<AuthEntry>, key_store::Error> {
        let stored = self.pool.keys.keys()?;
        let known = self.entries.iter().map(|entry| AuthEntry {
            provider_id: entry.info.id.clone(),
            name: entry.info.name.clone(),
            keys: entry.key_places(environment),
        });
        let unknown = stored.keys().filter(|id| !self.knows(id)).map(|id| AuthEntry {
            provider_id: id.clone(),
            name: id.clone(),
            keys: vec![entry::stored_place()],
        });
        Ok(known.filter(|entry| !entry.keys.is_empty()).chain(unknown).collect())
    }

    /// The ids of the usable providers, in order of preference.
    pub fn connected(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        self.entries.iter().filter(|entry| entry.is_connected(environment)).map(|entry| entry.info.id.clone()).collect()
    }

    /// The default models of the usable providers, in order of preference.
    pub fn connected_defaults(&self, environment: &BTreeMap<String, String>) -> Vec<ModelRef> {
        let connected = self.entries.iter().filter(|entry| !entry.is_found && entry.is_connected(environment));
        connected.filter_map(|entry| Some(reference(&entry.info.id, entry.default_model.as_deref()?))).collect()
    }

    /// The model for small jobs beside `main`: from the settings, otherwise of the same provider by the catalogue,
    /// otherwise its cheapest model with a name for a small one, otherwise `main` itself.
    pub fn small_model(&self, configured: Option<&ModelRef>, main: &ModelRef) -> ModelRef {
        if let Some(configured) = configured {
            return configured.clone();
        }
        let Some(entry) = self.entries.iter().find(|entry| entry.info.id == main.provider_id) else { return main.clone() };
        if let Some(small) = entry.small.as_ref().filter(|small| entry.info.models.contains_key(*small)) {
            return reference(&main.provider_id, small);
        }
        // Models without a known price come last.
        let price = |model: &Model| if model.cost.output > 0.0 { model.cost.input + model.cost.output } else { f64::INFINITY };
        let small = entry.info.models.values().filter(|model| is_small(&model.id));
        let cheapest = small.min_by(|a, b| price(a).total_cmp(&price(b)));
        cheapest.map_or_else(|| main.clone(), |model| reference(&main.provider_id, &model.id))
    }

    /// Resolves a model with the keys of the client's environment.
    ///
    /// # Errors
    /// When there is no such provider or model, its key is missing, or its settings are invalid.
    pub fn resolve(&self, model: &ModelRef, environment: &BTreeMap<String, String>) -> Result<Resolved, Error> {
        let (entry, info) = self.find(model)?;
        let mut options = entry.settings.options.clone();
        let provider = self.provider(entry, info, &mut options, environment)?;
        options.extend(entry.settings.models.get(&model.model_id).map(|model| model.options.clone()).unwrap_or_default());
        Ok(Resolved { provider, model: info.clone(), options, variants: entry.variants(info), api: entry.api(info).to_owned() })
    }

    /// Resolves a model with another provider in its place, such as a recording; needs no key.
    pub fn resolve_for(&self, model: &ModelRef, provider: Arc<dyn Provider>) -> Result<Resolved, Error> {
        let (entry, info) = self.find(model)?;
        let mut options = entry.settings.options.clone();
        if entry.info.api == "scripted" {
            options.remove("script");
        }
        options.extend(entry.settings.models.get(&model.model_id).map(|model| model.options.clone()).unwrap_or_default());
        let variants = entry.variants(info);
        Ok(Resolved { provider, model: info.clone(), options, variants, api: entry.api(info).to_owned() })
    }

    /// The secrets of a provider, which recordings must not contain: its key and header values.
    pub fn secrets(&self, provider: &str, environment: &BTreeMap<String, String>) -> Vec<Secret> {
        let entry = self.entries.iter().find(|entry| entry.info.id == provider);
        let secrets = |entry: &Entry| entry.key(environment).into_iter().chain(entry.settings.headers.values().cloned()).collect();
        entry.map(secrets).unwrap_or_default()
    }

    fn find(&self, model: &ModelRef) -> Result<(&Entry, &Model), Error> {
        let Some(entry) = self.entries.iter().find(|entry| entry.info.id == model.provider_id) else {
            let similar = similar(&model.provider_id, self.entries.iter().map(|entry| entry.info.id.as_str()));
            return Err(Error::NotFound(format!("there is no model provider `{}`{similar}", model.provider_id)));
        };
        let info = entry.info.models.get(&model.model_id).ok_or_else(|| {
            let similar = similar(&model.model_id, entry.info.models.keys().map(String::as_str));
            Error::NotFound(format!(
                "the provider `{}` has no model `{}`{similar}. A model that is missing here can be added in the settings under provider.{}.models",
                entry.info.id, model.model_id, entry.info.id
            ))
        })?;
        Ok((entry, info))
    }

    fn provider(
        &self,
        entry: &Entry,
        model: &Model,
        options: &mut Map<String, Value>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Arc<dyn Provider>, Error> {
        let id = &entry.info.id;
        if id == offline::PROVIDER {
            return Ok(Arc::new(Offline));
        }
        if entry.info.api == "scripted" {
            return self.scripted(id, options.remove("script").as_ref());
        }
        let name = entry.api(model);
        let api = wire::by_name(name).ok_or_else(|| {
            let known = wire::ALL.iter().map(|wire| wire.name()).collect::<Vec<_>>().join(", ");
            Error::Settings(format!("the provider `{id}` has the unknown wire protocol `{name}`; known are {known}"))
        })?;
        if !entry.is_connected(environment) {
            // An unreadable store may contain the key.
            let store = self.pool.keys.keys().err().map(|error| format!("; {error}")).unwrap_or_default();
            return Err(Error::Credentials(entry.missing_key() + &store));
        }
        let settings = &entry.settings;
        if let Some(url) = &settings.untrusted
            && (entry.key(environment).is_some() || !settings.headers.is_empty())
        {
            return Err(Error::Untrusted { provider: id.clone(), url: redact(url, []) });
        }
        let remote = RemoteSettings {
            api,
            base_url: settings.base_url.clone().or_else(|| entry.wire_url.clone()),
            api_key: entry.key(environment),
            headers: settings.headers.clone(),
            timeout_ms: settings.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
            network: Network::new(&settings.network, environment),
        };
        let clients = Arc::clone(&self.pool.clients);
        Ok(self.pool.instance(Key::Remote(Box::new(remote.clone())), || Arc::new(Remote::new(remote, clients))))
    }

    /// The file is read at each call, so that a changed script starts from its beginning.
    fn scripted(&self, id: &str, path: Option<&Value>) -> Result<Arc<dyn Provider>, Error> {
        let wrong = |why: String| Error::Settings(format!("provider.{id}.options.script: {why}"));
        let path = path.and_then(Value::as_str).and_then(AbsPath::expand);
        let path = path.ok_or_else(|| wrong("expected the absolute path of a script file".to_owned()))?;
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(format!("{path}: {error}")))?;
        let script = Script::parse(&text).map_err(|error| wrong(format!("{path}: {error}")))?;
        Ok(self.pool.instance(Key::Scripted { provider: id.to_owned(), text }, || Arc::new(Scripted::new(script))))
    }
}

fn reference(provider: &str, model: &str) -> ModelRef {
    ModelRef { provider_id: provider.to_owned(), model_id: model.to_owned() }
}

fn is_small(id: &str) -> bool {
    let id = id.to_lowercase();
    // Whole words, because of gemini and minimax.
    id.split(|c: char| !c.is_alphanumeric()).any(|word| ["haiku", "mini", "nano", "flash", "small", "luna", "lite"].contains(&word))
}

/// A clause with similar ids; if there are none, with all ids if they are few.
fn similar<'a>(given: &str, ids: impl Iterator<Item = &'a str>) -> String {
    let ids: Vec<&str> = ids.collect();
    let quoted = |ids: &[&str]| ids.iter().take(3).map(|id| format!("`{id}`")).collect::<Vec<_>>();
    let names = quoted(&near::all(given, ids.iter().copied()));
    match (names.as_slice(), ids.len()) {
        ([], 0) => "; it has none yet".to_owned(),
        ([], 1..=3) => format!("; known are {}", quoted(&ids).join(", ")),
        ([], _) => String::new(),
        ([one], _) => format!("; the nearest is {one}"),
        _ => format!("; the nearest are {}", names.join(", ")),
    }
}
