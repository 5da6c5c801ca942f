//! The models of a directory for a client: the catalogue with the settings applied.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt as _, future::BoxFuture};
use polytree_protocol::{
    auth::AuthEntry,
    config::{Config, ModelConfig, ProviderConfig},
    provider::{ModelRef, ProviderListResult},
};
use serde_json::Map;

use super::trusted_urls;
use crate::{
    config::Settings,
    provider::{
        Candidates, Catalog, CatalogError, CatalogSettings, KeyStoreError, KnownKeys, LocalKind, ModelSettings, NetworkSettings, Pool,
        Probe, ProviderSettings, Recorded, Recording, Recordings, Refused, Replayed, Resolved, Sanitizer, Secret, choose,
        definition::{Provider, unknown_model},
        known_keys, local_addresses,
    },
    session::{self, Models, ResolvedModel},
    stdx::paths::AbsPath,
    tool::context::Environment,
};

/// The models of a directory for a client.
pub(super) struct DirectoryModels {
    pool: Arc<Pool>,
    catalog: Catalog,
    settings: CatalogSettings,
    problems: Vec<String>,
    /// Messages about variables in a provider's settings that are not set, by provider.
    unset: HashMap<String, String>,
    /// The result of the last probe of the server of a prompt's model. Never locked across an await.
    probes: Mutex<HashMap<LocalKind, Arc<Probe>>>,
    configured: Option<ModelRef>,
    configured_small: Option<ModelRef>,
    environment: Environment,
    /// The recording of calls, or why it is not possible.
    recording: Result<Option<Recording>, String>,
    directory: String,
}

impl DirectoryModels {
    pub fn new(pool: &Arc<Pool>, settings: &Settings, environment: &Environment, everything: bool) -> Self {
        let config = &settings.config;
        let (addresses, mut problems) = local_addresses(&config.local_servers, environment);
        let told = |id: &String| {
            let told: Vec<String> = settings.unset_of(id).map(ToString::to_string).collect();
            (!told.is_empty()).then(|| (id.clone(), told.join("; ")))
        };
        let unset: HashMap<String, String> = config.provider.keys().filter_map(told).collect();
        problems.extend(config.provider.keys().flat_map(|id| settings.unset_of(id)).map(ToString::to_string));
        let mut own = CatalogSettings { everything, ..catalog_settings(config) };
        for (id, provider) in &mut own.providers {
            provider.untrusted = trusted_urls::untrusted(settings, id);
        }
        let mut settings = own;
        // Servers with other addresses in the settings are not searched here.
        let is_here = |kind: LocalKind| settings.providers.get(kind.id()).is_none_or(|own| own.base_url.is_none() && own.api.is_none());
        settings.local = addresses.into_iter().filter(|(kind, _)| settings.allows(kind.id()) && is_here(*kind)).collect();
        Self {
            pool: Arc::clone(pool),
            catalog: Catalog::new(Arc::clone(pool), &settings),
            settings,
            problems,
            unset,
            probes: Mutex::default(),
            configured: config.model.as_deref().and_then(ModelRef::parse),
            configured_small: config.small_model.as_deref().and_then(ModelRef::parse),
            environment: Arc::clone(environment),
            recording: Ok(None),
            directory: String::new(),
        }
    }

    /// With calls from `directory` recorded or replayed, if requested.
    pub fn with_recordings(mut self, recordings: &Recordings, settings: &Settings, directory: &AbsPath) -> Self {
        let Config { record, replay, .. } = &settings.config;
        self.recording = recordings.choose(&self.environment, record.as_deref(), replay.as_deref());
        self.directory = directory.to_string();
        self
    }

    fn recording(&self) -> Result<Option<&Recording>, session::Error> {
        self.recording.as_ref().map(Option::as_ref).map_err(|why| session::Error::Recording(why.clone()))
    }

    /// All providers, without probing servers on this machine.
    pub fn list(&self) -> ProviderListResult {
        let mut list = self.catalog.list(&self.environment);
        list.problems.extend(self.problems.iter().cloned());
        list.used = Some(self.default());
        list
    }

    /// All providers, and the running servers on this machine.
    pub async fn list_with_local(mut self) -> ProviderListResult {
        for (kind, address, probe) in self.pool.local.probe_all(&self.settings.local).await {
            if let Probe::Found(models) = &*probe {
                self.catalog.add_local(kind, &address, models.clone());
            }
        }
        self.list()
    }

    /// The origins of the providers' keys.
    pub fn keys(&self) -> Result<Vec<AuthEntry>, KeyStoreError> {
        self.catalog.keys(&self.environment)
    }

    /// All current keys, to keep them from tools.
    pub fn known_keys(&self) -> KnownKeys {
        known_keys(&self.pool, &self.settings, &self.environment)
    }

    /// The model of a prompt that names none.
    pub fn default(&self) -> ModelRef {
        choose(Candidates {
            config: self.configured.as_ref(),
            connected: &self.catalog.connected_defaults(&self.environment),
            ..Candidates::default()
        })
    }

    /// Why a model cannot be called, without connecting to it.
    pub fn problem(&self, model: &ModelRef) -> Option<String> {
        if self.local_kind(model).is_some() {
            return None;
        }
        match self.catalog.resolve(model, &self.environment) {
            Ok(_) => None,
            Err(CatalogError::Credentials(message)) => Some(self.with_unset(model, message)),
            Err(CatalogError::NotFound(message) | CatalogError::Settings(message)) => Some(message),
            Err(error @ CatalogError::Untrusted { .. }) => Some(error.to_string()),
        }
    }

    /// Adds which variable is not set, if that may be the cause.
    fn with_unset(&self, model: &ModelRef, message: String) -> String {
        match self.unset.get(&model.provider_id) {
            Some(unset) => format!("{message}; {unset}"),
            None => message,
        }
    }

    /// The kind of the model's server, if it is on this machine.
    fn local_kind(&self, model: &ModelRef) -> Option<(LocalKind, &str)> {
        let kind = LocalKind::parse(&model.provider_id)?;
        Some((kind, self.settings.local.get(&kind)?.as_str()))
    }

    /// A model of a server on this machine: one that it lists, or any while it does not answer.
    fn resolve_local(&self, kind: LocalKind, address: &str, model: &ModelRef) -> Result<Resolved, CatalogError> {
        let probe = self.probes.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        let models = match probe.as_deref() {
            Some(Probe::Nothing) => {
                return Err(CatalogError::NotFound(format!(
                    "{} does not run at {address}: start it, or say in the settings under local_servers.{} where it is",
                    kind.name(),
                    kind.id()
                )));
            }
            Some(Probe::Found(models)) => models.clone(),
            Some(Probe::Silent) | None => vec![unknown_model(&model.model_id)],
        };
        // Ollama lists `name:tag`, and uses the tag `latest` by default.
        let tagged = ModelRef { model_id: format!("{}:latest", model.model_id), ..model.clone() };
        let meant = if models.iter().any(|known| known.id == tagged.model_id) { &tagged } else { model };
        let mut catalog = Catalog::new(Arc::clone(&self.pool), &self.settings);
        catalog.add_local(kind, address, models);
        catalog.resolve(meant, &self.environment)
    }
}

impl Models for DirectoryModels {
    fn choose(&self, request: Option<&ModelRef>, agent: Option<&ModelRef>, session: Option<&ModelRef>) -> Result<ModelRef, session::Error> {
        let mut connected = self.catalog.connected_defaults(&self.environment);
        if let Some(Recording::Replay(replay, _)) = self.recording()? {
            connected.splice(0..0, replay.first_model(true).or_else(|| replay.first_model(false)));
        }
        Ok(choose(Candidates { request, agent, session, config: self.configured.as_ref(), connected: &connected }))
    }

    fn prepare<'a>(&'a self, model: &'a ModelRef) -> BoxFuture<'a, ()> {
        async move {
            if let Some((kind, address)) = self.local_kind(model) {
                let probe = self.pool.local.probe(kind, address).await;
                self.probes.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, probe);
            }
        }
        .boxed()
    }

    fn resolve(&self, model: &ModelRef) -> Result<ResolvedModel, session::Error> {
        let recording = self.recording()?;
        let sanitizer = || {
            let secrets = self.catalog.secrets(&model.provider_id, &self.environment);
            Sanitizer { secrets, directory: self.directory.clone() }
        };
        let resolved = match recording {
            // Offline, so neither a key nor settings are needed.
            Some(Recording::Replay(replay, timed)) => {
                let (replay, timed, sanitizer) = (Arc::clone(replay), *timed, sanitizer());
                let provider: Arc<dyn Provider> = Arc::new(Replayed { replay: Arc::clone(&replay), sanitizer, timed });
                self.catalog.resolve_for(model, Arc::clone(&provider)).or_else(|error| {
                    let info = replay.model(model).ok_or(error)?;
                    Ok(Resolved { provider, model: info, options: Map::new(), variants: Vec::new(), api: String::new() })
                })
            }
            _ => match (self.catalog.resolve(model, &self.environment), self.local_kind(model)) {
                (Err(CatalogError::NotFound(_)), Some((kind, address))) => self.resolve_local(kind, address, model),
                (resolved, _) => resolved,
            },
        };
        let mut unset = self.unset.get(&model.provider_id).cloned();
        let resolved = match resolved {
            // A mistake in the project's settings does not refuse the prompt: its turn fails.
            Err(error @ CatalogError::Untrusted { .. }) => {
                if let CatalogError::Untrusted { provider, url } = &error {
                    let place = format!("provider.{provider}.options.trustedURLs");
                    unset = Some(format!("if that server may have the key, add \"{url}\" to {place} in your own settings"));
                }
                self.catalog.resolve_for(model, Arc::new(Refused(error.to_string())))
            }
            resolved => resolved,
        };
        let resolved = resolved.map_err(|error| match error {
            CatalogError::NotFound(message) => {
                session::Error::UnknownModel { message, hint: Some("provider.list and `polytree models` list the models".into()) }
            }
            CatalogError::Credentials(message) => {
                session::Error::Credentials { message: self.with_unset(model, message), hint: self.unset.get(&model.provider_id).cloned() }
            }
            CatalogError::Settings(message) => session::Error::UnknownModel { message, hint: None },
            CatalogError::Untrusted { .. } => session::Error::Credentials { message: error.to_string(), hint: None },
        })?;
        let Resolved { mut provider, model: info, options, variants, api } = resolved;
        if let Some(Recording::Record(recorder)) = recording {
            provider = Arc::new(Recorded { inner: provider, recorder: Arc::clone(recorder), sanitizer: sanitizer() });
        }
        Ok(ResolvedModel { reference: model.clone(), info, provider, options, variants, api, unset })
    }

    fn configured(&self) -> Option<&ModelRef> {
        self.configured.as_ref()
    }

    fn small(&self, model: &ModelRef) -> ModelRef {
        if let Ok(Some(Recording::Replay(replay, _))) = self.recording()
            && let Some(small) = replay.first_model(false)
        {
            return small;
        }
        self.catalog.small_model(self.configured_small.as_ref(), model)
    }
}

fn catalog_settings(config: &Config) -> CatalogSettings {
    CatalogSettings {
        providers: config.provider.iter().map(|(id, provider)| (id.clone(), provider_settings(provider))).collect(),
        disabled: config.disabled_providers.clone(),
        enabled: config.enabled_providers.clone(),
        ..CatalogSettings::default()
    }
}

fn provider_settings(provider: &ProviderConfig) -> ProviderSettings {
    let options = &provider.options;
    ProviderSettings {
        api: provider.api.clone(),
        name: provider.name.clone(),
        env: provider.env.clone(),
        base_url: options.base_url.clone(),
        untrusted: None,
        api_key: options.api_key.as_deref().and_then(Secret::new),
        headers: options.headers.iter().filter_map(|(name, value)| Some((name.clone(), Secret::new(value)?))).collect::<BTreeMap<_, _>>(),
        timeout_ms: options.timeout,
        network: NetworkSettings {
            proxy: options.proxy.as_deref().and_then(Secret::new),
            ca: options.ca.as_deref().and_then(AbsPath::expand),
            connect_timeout_ms: options.connect_timeout,
        },
        models: provider.models.iter().map(|(id, model)| (id.clone(), model_settings(model))).collect(),
        options: options.options.clone(),
    }
}

fn model_settings(model: &ModelConfig) -> ModelSettings {
    ModelSettings {
        name: model.name.clone(),
        attachment: model.attachment,
        documents: model.documents,
        reasoning: model.reasoning,
        temperature: model.temperature,
        tool_call: model.tool_call,
        cost: model.cost,
        limit: model.limit,
        options: model.options.clone(),
        variants: model.variants.clone(),
    }
}
