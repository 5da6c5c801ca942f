//! The models of one directory for one client: what the settings say, put to the catalogue.

use std::{collections::BTreeMap, sync::Arc};

use polytree_protocol::{
    config::{Config, ModelConfig, ProviderConfig},
    provider::{ModelRef, ProviderListResult},
};

use crate::{
    config::Settings,
    provider::{
        catalog::{Catalog, CatalogSettings, Error, ModelSettings, Pool, ProviderSettings},
        choice::{Candidates, choose},
        credentials::Secret,
    },
    session::{self, Models, ResolvedModel},
    tool::context::Environment,
};

/// The models of one directory for one client.
pub(super) struct DirectoryModels {
    catalog: Catalog,
    configured: Option<ModelRef>,
    configured_small: Option<ModelRef>,
    environment: Environment,
}

impl DirectoryModels {
    pub fn new(pool: &Arc<Pool>, settings: &Settings, environment: &Environment) -> Self {
        let config = &settings.config;
        Self {
            catalog: Catalog::new(Arc::clone(pool), &catalog_settings(config)),
            configured: config.model.as_deref().and_then(ModelRef::parse),
            configured_small: config.small_model.as_deref().and_then(ModelRef::parse),
            environment: Arc::clone(environment),
        }
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
        let connected = self.catalog.connected_defaults(&self.environment);
        Ok(choose(Candidates { request, agent, session, config: self.configured.as_ref(), connected: &connected }))
    }

    fn resolve(&self, model: &ModelRef) -> Result<ResolvedModel, session::Error> {
        let resolved = self.catalog.resolve(model, &self.environment).map_err(|error| match error {
            Error::NotFound(message) => {
                session::Error::UnknownModel { message, hint: Some("provider.list and `polytree models` name what there is".into()) }
            }
            Error::Credentials(message) => session::Error::Credentials { message, hint: None },
            Error::Settings(message) => session::Error::UnknownModel { message, hint: None },
        })?;
        Ok(ResolvedModel { reference: model.clone(), info: resolved.model, provider: resolved.provider, options: resolved.options })
    }

    fn small(&self, model: &ModelRef) -> ModelRef {
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
    }
}
