//! The handlers of what the settings decide: `config.*`, `provider.*`, `model.*`, `agent.*`, `tool.*`.

use std::collections::BTreeMap;

use polytree_protocol::{
    agent::Agent,
    config::{Config, ConfigSources},
    methods::{AgentList, ConfigGet, ConfigSourcesGet, ModelList, ModelRefresh, ProviderList, ToolList},
    provider::{ModelRefreshResult, Provider, ProviderListResult, UsableModel},
    tool::ToolInfo,
};

use super::select;
use crate::rpc::{
    error::Error,
    handler::{Context, Handler},
};

impl Handler for ConfigGet {
    async fn handle(context: Context, params: Self::Params) -> Result<Config, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.settings(&instance, &context.connection.environment()).await?.shown())
    }
}

impl Handler for ConfigSourcesGet {
    async fn handle(context: Context, params: Self::Params) -> Result<ConfigSources, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.sources(&instance, &context.connection.environment()).await)
    }
}

impl Handler for ProviderList {
    async fn handle(context: Context, params: Self::Params) -> Result<ProviderListResult, Error> {
        let instance = select::instance(&context, &params).await?;
        let everything = params.all == Some(true);
        Ok(context.daemon.projects.providers(&instance, &context.connection.environment(), everything).await?)
    }
}

impl Handler for ModelList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<UsableModel>, Error> {
        let instance = select::instance(&context, &params).await?;
        let list = context.daemon.projects.providers(&instance, &context.connection.environment(), false).await?;
        let mut providers: BTreeMap<String, Provider> =
            list.providers.into_iter().map(|provider| (provider.id.clone(), provider)).collect();
        let mut models = Vec::new();
        for id in list.connected {
            let Some(provider) = providers.remove(&id) else { continue };
            models.extend(provider.models.into_iter().map(|(model_id, info)| UsableModel {
                provider_id: id.clone(),
                default: list.default.get(&id) == Some(&model_id),
                model_id,
                local: provider.local,
                info,
            }));
        }
        Ok(models)
    }
}

impl Handler for ModelRefresh {
    async fn handle(context: Context, _: Self::Params) -> Result<ModelRefreshResult, Error> {
        let refreshed = context.daemon.projects.refresh_models(&context.connection.environment()).await?;
        context.daemon.followers.poke();
        Ok(refreshed)
    }
}

impl Handler for AgentList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Agent>, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.workspace(&instance, &context.connection.environment()).await?.agents.clone())
    }
}

impl Handler for ToolList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<ToolInfo>, Error> {
        let instance = select::instance(&context, &params).await?;
        let workspace = context.daemon.projects.workspace(&instance, &context.connection.environment()).await?;
        Ok(workspace
            .tools
            .iter()
            .map(|tool| ToolInfo { id: tool.name().to_owned(), description: tool.description().to_owned(), parameters: tool.parameters() })
            .collect())
    }
}
