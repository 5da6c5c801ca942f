//! Which models there are: the known services, changed and extended by the settings, and how a model's name becomes
//! something that can be called. A catalogue is a cheap view for one directory's settings and one client's
//! environment; what is costly (HTTP clients, scripts being played) lives in the pool behind it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use polytree_protocol::provider::{Model, ModelCost, ModelLimit, ModelRef, Provider as ProviderInfo, ProviderListResult};
use serde_json::{Map, Value};

pub use super::catalog_models::unknown_model;
use super::{
    catalog_models::KNOWN,
    credentials::{self, Secret},
    definition::Provider,
    network::{Network, NetworkSettings},
    offline::{self, Offline},
    remote::{DEFAULT_TIMEOUT_MS, Remote, RemoteSettings},
    remote_client::Clients,
    remote_wire::Wire,
    scripted::{Script, Scripted},
    variants::{Variants, variants},
};
use crate::stdx::paths::AbsPath;

/// Why a model cannot be had.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No provider or model of that name; the text names the nearest ones.
    #[error("{0}")]
    NotFound(String),
    /// Its key is missing.
    #[error("{0}")]
    Credentials(String),
    /// Its settings are wrong.
    #[error("{0}")]
    Settings(String),
}

/// What the settings say about a provider; everything that is absent is as the catalogue has it.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// The wire protocol: `openai`, `anthropic` or `scripted`.
    pub api: Option<String>,
    /// The name for people.
    pub name: Option<String>,
    /// The variables that may hold its key.
    pub env: Option<Vec<String>>,
    /// The address below which the protocol's paths lie.
    pub base_url: Option<String>,
    /// The key.
    pub api_key: Option<Secret>,
    /// Further headers.
    pub headers: BTreeMap<String, Secret>,
    /// The longest silence, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The way to it.
    pub network: NetworkSettings,
    /// Its models by id.
    pub models: BTreeMap<String, ModelSettings>,
    /// Further fields of every request's body; for `scripted`: `script`, the absolute path of the file to play.
    pub options: Map<String, Value>,
}

/// What the settings say about a model.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    /// The name for people.
    pub name: Option<String>,
    /// Takes images.
    pub attachment: Option<bool>,
    /// Thinks before it answers.
    pub reasoning: Option<bool>,
    /// Takes a temperature.
    pub temperature: Option<bool>,
    /// Can call tools.
    pub tool_call: Option<bool>,
    /// Prices.
    pub cost: Option<ModelCost>,
    /// Limits.
    pub limit: Option<ModelLimit>,
    /// Further fields of the request's body; they win over those of the provider.
    pub options: Map<String, Value>,
    /// Variants by name: fields of the request's body, or false.
    pub variants: BTreeMap<String, Value>,
}

/// All that the settings say about models.
#[derive(Debug, Clone, Default)]
pub struct CatalogSettings {
    /// Providers by id.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Ids of providers that are never used.
    pub disabled: Vec<String>,
    /// Ids of the only providers that may be used; absent: all.
    pub enabled: Option<Vec<String>>,
}

/// A model that can be called.
#[derive(Clone)]
pub struct Resolved {
    /// The service.
    pub provider: Arc<dyn Provider>,
    /// The model.
    pub model: Model,
    /// For `ModelRequest::options`: fields of the settings for the request's body.
    pub options: Map<String, Value>,
    /// Fields that may be put over those.
    pub variants: Variants,
    /// The wire protocol.
    pub api: String,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Remote(Box<RemoteSettings>),
    Scripted { provider: String, text: String },
}

/// The instances behind all catalogues of a daemon. They are found by all that they were made of, keys included, so
/// that changed settings count at the next call while connections of unchanged ones are kept.
#[derive(Default)]
pub struct Pool {
    clients: Arc<Clients>,
    // Never held across an await.
    instances: Mutex<HashMap<Key, Arc<dyn Provider>>>,
}

/// More instances than this are only left over from settings that have changed; calls in progress keep theirs.
const MOST_INSTANCES: usize = 64;

impl Pool {
    fn instance(&self, key: Key, make: impl FnOnce() -> Arc<dyn Provider>) -> Arc<dyn Provider> {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.get(&key) {
            return Arc::clone(instance);
        }
        let instance = make();
        if instances.len() >= MOST_INSTANCES {
            instances.clear();
        }
        instances.insert(key, Arc::clone(&instance));
        instance
    }
}

struct Entry {
    info: ProviderInfo,
    /// Known without settings.
    built_in: bool,
    settings: ProviderSettings,
    default_model: Option<String>,
}

/// The models for one set of settings.
pub struct Catalog {
    pool: Arc<Pool>,
    /// In the order in which they are chosen: anthropic, openai, then those of the settings by id, offline last.
    entries: Vec<Entry>,
}

impl Catalog {
    /// Merges the settings into what is known.
    #[must_use]
    pub fn new(pool: Arc<Pool>, settings: &CatalogSettings) -> Self {
        let mut own = settings.providers.clone();
        let mut entries: Vec<_> = KNOWN.iter().map(|known| known_entry(known, own.remove(known.id).unwrap_or_default())).collect();
        own.remove(offline::PROVIDER);
        entries.extend(own.into_iter().map(|(id, settings)| own_entry(id, settings)));
        entries.retain(|entry| {
            let id = &entry.info.id;
            !settings.disabled.contains(id) && settings.enabled.as_ref().is_none_or(|enabled| enabled.contains(id))
        });
        entries.push(offline_entry());
        Self { pool, entries }
    }

    /// All providers, the model that each uses when only it is named, and which of them can be used. No secrets.
    #[must_use]
    pub fn list(&self, environment: &BTreeMap<String, String>) -> ProviderListResult {
        let default = |entry: &Entry| Some((entry.info.id.clone(), entry.default_model.clone()?));
        ProviderListResult {
            providers: self.entries.iter().map(|entry| entry.info.clone()).collect(),
            default: self.entries.iter().filter_map(default).collect(),
            connected: self.connected(environment),
        }
    }

    /// The ids of the providers that can be used, in the order in which they are chosen.
    #[must_use]
    pub fn connected(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        self.entries.iter().filter(|entry| entry.is_connected(environment)).map(|entry| entry.info.id.clone()).collect()
    }

    /// The default models of the providers that can be used, in the order in which they are chosen.
    #[must_use]
    pub fn connected_defaults(&self, environment: &BTreeMap<String, String>) -> Vec<ModelRef> {
        let connected = self.entries.iter().filter(|entry| entry.is_connected(environment));
        connected.filter_map(|entry| Some(reference(&entry.info.id, entry.default_model.as_deref()?))).collect()
    }

    /// The model that a provider uses when only it is named.
    #[must_use]
    pub fn default_model(&self, provider: &str) -> Option<ModelRef> {
        let entry = self.entries.iter().find(|entry| entry.info.id == provider)?;
        Some(reference(provider, entry.default_model.as_deref()?))
    }

    /// The model for small jobs beside `main`: what the settings name, else the cheapest model of the same provider
    /// that is small by its name, else `main` itself.
    #[must_use]
    pub fn small_model(&self, configured: Option<&ModelRef>, main: &ModelRef) -> ModelRef {
        if let Some(configured) = configured {
            return configured.clone();
        }
        let models = self.entries.iter().find(|entry| entry.info.id == main.provider_id).map(|entry| &entry.info.models);
        let small = models.into_iter().flat_map(BTreeMap::values).filter(|model| is_small(&model.id));
        let cheapest = small.min_by(|a, b| (a.cost.input + a.cost.output).total_cmp(&(b.cost.input + b.cost.output)));
        cheapest.map_or_else(|| main.clone(), |model| reference(&main.provider_id, &model.id))
    }

    /// What is known about a model.
    ///
    /// # Errors
    /// When there is no such provider or model.
    pub fn model(&self, model: &ModelRef) -> Result<&Model, Error> {
        self.find(model).map(|(_, model)| model)
    }

    /// Makes a model callable with the keys of the client's environment.
    ///
    /// # Errors
    /// When there is no such provider or model, its key is missing, or its settings are wrong.
    pub fn resolve(&self, model: &ModelRef, environment: &BTreeMap<String, String>) -> Result<Resolved, Error> {
        let (entry, info) = self.find(model)?;
        let mut options = entry.settings.options.clone();
        let provider = self.provider(entry, &mut options, environment)?;
        options.extend(entry.settings.models.get(&model.model_id).map(|model| model.options.clone()).unwrap_or_default());
        Ok(Resolved { provider, model: info.clone(), options, variants: entry.variants(info), api: entry.info.api.clone() })
    }

    /// The same without the service, for a recording that answers in its place; needs no key.
    ///
    /// # Errors
    /// When there is no such provider or model.
    pub fn resolve_for(&self, model: &ModelRef, provider: Arc<dyn Provider>) -> Result<Resolved, Error> {
        let (entry, info) = self.find(model)?;
        let mut options = entry.settings.options.clone();
        if entry.info.api == "scripted" {
            options.remove("script");
        }
        options.extend(entry.settings.models.get(&model.model_id).map(|model| model.options.clone()).unwrap_or_default());
        let variants = entry.variants(info);
        Ok(Resolved { provider, model: info.clone(), options, variants, api: entry.info.api.clone() })
    }

    /// What must not be written down of a provider: its key and its headers.
    #[must_use]
    pub fn secrets(&self, provider: &str, environment: &BTreeMap<String, String>) -> Vec<Secret> {
        let entry = self.entries.iter().find(|entry| entry.info.id == provider);
        let secrets = |entry: &Entry| entry.key(environment).into_iter().chain(entry.settings.headers.values().cloned()).collect();
        entry.map(secrets).unwrap_or_default()
    }

    fn find(&self, model: &ModelRef) -> Result<(&Entry, &Model), Error> {
        let Some(entry) = self.entries.iter().find(|entry| entry.info.id == model.provider_id) else {
            let nearest = nearest(&model.provider_id, self.entries.iter().map(|entry| entry.info.id.as_str()));
            return Err(Error::NotFound(format!("there is no model provider `{}`; {nearest}", model.provider_id)));
        };
        let info = entry.info.models.get(&model.model_id).ok_or_else(|| {
            let nearest = nearest(&model.model_id, entry.info.models.keys().map(String::as_str));
            Error::NotFound(format!(
                "the provider `{}` has no model `{}`; {nearest}. A model that is missing here can be added in the settings under provider.{}.models",
                entry.info.id, model.model_id, entry.info.id
            ))
        })?;
        Ok((entry, info))
    }

    fn provider(
        &self,
        entry: &Entry,
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
        let api = Wire::parse(&entry.info.api).ok_or_else(|| {
            let known = Wire::ALL.map(Wire::name).join(", ");
            Error::Settings(format!("the provider `{id}` has the unknown wire protocol `{}`; known are {known}", entry.info.api))
        })?;
        if !entry.is_connected(environment) {
            return Err(Error::Credentials(entry.missing_key()));
        }
        let settings = &entry.settings;
        let remote = RemoteSettings {
            api,
            base_url: settings.base_url.clone(),
            api_key: entry.key(environment),
            headers: settings.headers.clone(),
            timeout_ms: settings.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
            network: Network::new(&settings.network, environment),
        };
        let clients = Arc::clone(&self.pool.clients);
        Ok(self.pool.instance(Key::Remote(Box::new(remote.clone())), || Arc::new(Remote::new(remote, clients))))
    }

    /// The file is read at each call, so that a changed script starts anew.
    fn scripted(&self, id: &str, path: Option<&Value>) -> Result<Arc<dyn Provider>, Error> {
        let wrong = |why: String| Error::Settings(format!("provider.{id}.options.script: {why}"));
        let path = path.and_then(Value::as_str).and_then(AbsPath::expand);
        let path = path.ok_or_else(|| wrong("expected the absolute path of a script file".to_owned()))?;
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(format!("{path}: {error}")))?;
        let script = Script::parse(&text).map_err(|error| wrong(format!("{path}: {error}")))?;
        Ok(self.pool.instance(Key::Scripted { provider: id.to_owned(), text }, || Arc::new(Scripted::new(script))))
    }
}

impl Entry {
    fn variants(&self, model: &Model) -> Variants {
        let none = BTreeMap::new();
        variants(&self.info.api, model, self.settings.models.get(&model.id).map_or(&none, |model| &model.variants))
    }

    fn key(&self, environment: &BTreeMap<String, String>) -> Option<Secret> {
        credentials::find(self.settings.api_key.as_ref(), &self.info.env, environment)
    }

    /// A provider can be used once it has a key. One that only the settings know, or that they send to another
    /// address, may need none, unless they name variables for it.
    fn is_connected(&self, environment: &BTreeMap<String, String>) -> bool {
        let needs_no_key = match &self.settings.env {
            Some(names) => names.is_empty(),
            None => !self.built_in || self.settings.base_url.is_some(),
        };
        needs_no_key || !self.settings.headers.is_empty() || self.key(environment).is_some()
    }

    fn missing_key(&self) -> String {
        let id = &self.info.id;
        let setting = format!("provider.{id}.options.apiKey in the settings");
        match self.info.env.as_slice() {
            [] => format!("there is no key for {}: set {setting}", self.info.name),
            names => format!("there is no key for {}: set {} in the environment, or {setting}", self.info.name, names.join(" or ")),
        }
    }
}

fn known_entry(known: &super::catalog_models::KnownProvider, settings: ProviderSettings) -> Entry {
    let info = ProviderInfo {
        id: known.id.to_owned(),
        name: known.name.to_owned(),
        env: known.env.iter().map(|name| (*name).to_owned()).collect(),
        api: known.api.name().to_owned(),
        models: known.models.iter().map(|model| (model.id().to_owned(), model.model())).collect(),
    };
    let default_model = known.models.first().map(|model| model.id().to_owned());
    merged(info, true, default_model, settings)
}

fn own_entry(id: String, settings: ProviderSettings) -> Entry {
    let info = ProviderInfo { name: id.clone(), id, env: Vec::new(), api: Wire::OpenAi.name().to_owned(), models: BTreeMap::new() };
    let default_model = settings.models.keys().next().cloned();
    merged(info, false, default_model, settings)
}

fn merged(mut info: ProviderInfo, built_in: bool, default_model: Option<String>, settings: ProviderSettings) -> Entry {
    info.name = settings.name.clone().unwrap_or(info.name);
    info.api = settings.api.clone().unwrap_or(info.api);
    info.env = settings.env.clone().unwrap_or(info.env);
    for (id, changes) in &settings.models {
        let model = info.models.entry(id.clone()).or_insert_with(|| unknown_model(id));
        model.name = changes.name.clone().unwrap_or_else(|| model.name.clone());
        model.attachment = changes.attachment.unwrap_or(model.attachment);
        model.reasoning = changes.reasoning.unwrap_or(model.reasoning);
        model.temperature = changes.temperature.unwrap_or(model.temperature);
        model.tool_call = changes.tool_call.unwrap_or(model.tool_call);
        model.cost = changes.cost.unwrap_or(model.cost);
        model.limit = changes.limit.unwrap_or(model.limit);
    }
    let mut entry = Entry { info, built_in, settings, default_model };
    let names = |model: &Model| entry.variants(model).into_iter().map(|(name, _)| name).collect();
    let variants: Vec<Vec<String>> = entry.info.models.values().map(names).collect();
    for (model, variants) in entry.info.models.values_mut().zip(variants) {
        model.variants = variants;
    }
    entry
}

fn offline_entry() -> Entry {
    let model = offline::model();
    let info = ProviderInfo {
        id: offline::PROVIDER.to_owned(),
        name: "Offline".to_owned(),
        env: Vec::new(),
        api: "built-in".to_owned(),
        models: BTreeMap::from([(model.id.clone(), model)]),
    };
    let settings = ProviderSettings { env: Some(Vec::new()), ..ProviderSettings::default() };
    Entry { info, built_in: true, settings, default_model: Some(offline::MODEL.to_owned()) }
}

fn reference(provider: &str, model: &str) -> ModelRef {
    ModelRef { provider_id: provider.to_owned(), model_id: model.to_owned() }
}

fn is_small(id: &str) -> bool {
    let id = id.to_lowercase();
    ["haiku", "mini", "nano", "flash", "small", "luna", "lite"].iter().any(|word| id.contains(word))
}

/// The ids most like the given one, as a clause.
fn nearest<'a>(given: &str, ids: impl Iterator<Item = &'a str>) -> String {
    let mut ids: Vec<_> = ids.map(|id| (strsim::jaro_winkler(given, id), id)).collect();
    ids.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let names: Vec<_> = ids.iter().take(3).map(|(_, id)| format!("`{id}`")).collect();
    if names.is_empty() { "it has none yet".to_owned() } else { format!("the nearest are {}", names.join(", ")) }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
