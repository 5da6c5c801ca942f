//! The models of one directory for one client: what the settings say, put to the catalogue.

use std::{collections::BTreeMap, sync::Arc};

use polytree_protocol::{
    config::{Config, ModelConfig, ProviderConfig},
    provider::{ModelRef, ProviderListResult},
};
use serde_json::Map;

use crate::{
    config::Settings,
    provider::{
        catalog::{Catalog, CatalogSettings, Error, ModelSettings, Pool, ProviderSettings, Resolved},
        choice::{Candidates, choose},
        credentials::Secret,
        definition::Provider,
        exchange::Cleaner,
        network::NetworkSettings,
        record::Recorded,
        replay::Replayed,
        tapes::{Tape, Tapes},
    },
    session::{self, Models, ResolvedModel},
    stdx::paths::AbsPath,
    tool::context::Environment,
};

/// The models of one directory for one client.
pub(super) struct DirectoryModels {
    catalog: Catalog,
    configured: Option<ModelRef>,
    configured_small: Option<ModelRef>,
    environment: Environment,
    /// What becomes of calls: a recording, or why there can be none.
    tape: Result<Option<Tape>, String>,
    directory: String,
}

impl DirectoryModels {
    pub fn new(pool: &Arc<Pool>, settings: &Settings, environment: &Environment) -> Self {
        let config = &settings.config;
        Self {
            catalog: Catalog::new(Arc::clone(pool), &catalog_settings(config)),
            configured: config.model.as_deref().and_then(ModelRef::parse),
            configured_small: config.small_model.as_deref().and_then(ModelRef::parse),
            environment: Arc::clone(environment),
            tape: Ok(None),
            directory: String::new(),
        }
    }

    /// The same, with calls from `directory` recorded or replayed where somebody wants that.
    pub fn taped(mut self, tapes: &Tapes, settings: &Settings, directory: &AbsPath) -> Self {
        let Config { record, replay, .. } = &settings.config;
        self.tape = tapes.choose(&self.environment, record.as_deref(), replay.as_deref());
        self.directory = directory.to_string();
        self
    }

    fn tape(&self) -> Result<Option<&Tape>, session::Error> {
        self.tape.as_ref().map(Option::as_ref).map_err(|why| session::Error::Recording(why.clone()))
    }

    pub fn list(&self) -> ProviderListResult {
        self.catalog.list(&self.environment)
    }

    /// The model of a prompt that names none.
    pub fn default(&self) -> ModelRef {
        choose(Candidates {
            config: self.configured.as_ref(),
            connected: &self.catalog.connected_defaults(&self.environment),
            ..Candidates::default()
        })
    }

    /// Why a model could not be called; nothing is made for it.
    pub fn problem(&self, model: &ModelRef) -> Option<String> {
        if let Err(error) = self.catalog.model(model) {
            return Some(error.to_string());
        }
        let connected = self.catalog.connected(&self.environment).contains(&model.provider_id);
        (!connected).then(|| match self.list().providers.into_iter().find(|provider| provider.id == model.provider_id) {
            Some(provider) if !provider.env.is_empty() => {
                format!("the provider {} has no key: set {}", provider.id, provider.env.join(" or "))
            }
            _ => format!("the provider {} has no key", model.provider_id),
        })
    }
}

impl Models for DirectoryModels {
    fn choose(&self, request: Option<&ModelRef>, agent: Option<&ModelRef>, session: Option<&ModelRef>) -> Result<ModelRef, session::Error> {
        let mut connected = self.catalog.connected_defaults(&self.environment);
        if let Some(Tape::Replay(replay, _)) = self.tape()? {
            connected.splice(0..0, replay.first_model(true).or_else(|| replay.first_model(false)));
        }
        Ok(choose(Candidates { request, agent, session, config: self.configured.as_ref(), connected: &connected }))
    }

    fn resolve(&self, model: &ModelRef) -> Result<ResolvedModel, session::Error> {
        let tape = self.tape()?;
        let cleaner = || {
            let secrets = self.catalog.secrets(&model.provider_id, &self.environment);
            Cleaner { secrets, directory: self.directory.clone() }
        };
        let resolved = match tape {
            // Nothing is called, so no key is needed, and not even settings.
            Some(Tape::Replay(replay, timed)) => {
                let (replay, timed, cleaner) = (Arc::clone(replay), *timed, cleaner());
                let provider: Arc<dyn Provider> = Arc::new(Replayed { replay: Arc::clone(&replay), cleaner, timed });
                self.catalog.resolve_for(model, Arc::clone(&provider)).or_else(|error| {
                    let info = replay.model(model).ok_or(error)?;
                    Ok(Resolved { provider, model: info, options: Map::new(), variants: Vec::new(), api: String::new() })
                })
            }
            _ => self.catalog.resolve(model, &self.environment),
        };
        let resolved = resolved.map_err(|error| match error {
            Error::NotFound(message) => {
                session::Error::UnknownModel { message, hint: Some("provider.list and `polytree models` name what there is".into()) }
            }
            Error::Credentials(message) => session::Error::Credentials { message, hint: None },
            Error::Settings(message) => session::Error::UnknownModel { message, hint: None },
        })?;
        let Resolved { mut provider, model: info, options, variants, api } = resolved;
        if let Some(Tape::Record(recorder)) = tape {
            provider = Arc::new(Recorded { inner: provider, recorder: Arc::clone(recorder), cleaner: cleaner() });
        }
        Ok(ResolvedModel { reference: model.clone(), info, provider, options, variants, api })
    }

    fn small(&self, model: &ModelRef) -> ModelRef {
        if let Ok(Some(Tape::Replay(replay, _))) = self.tape()
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
    }
}

fn provider_settings(provider: &ProviderConfig) -> ProviderSettings {
    let options = &provider.options;
    ProviderSettings {
        api: provider.api.clone(),
        name: provider.name.clone(),
        env: provider.env.clone(),
        base_url: options.base_url.clone(),
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
        reasoning: model.reasoning,
        temperature: model.temperature,
        tool_call: model.tool_call,
        cost: model.cost,
        limit: model.limit,
        options: model.options.clone(),
        variants: model.variants.clone(),
    }
}
