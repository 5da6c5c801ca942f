//! The handlers of what the settings decide: `config.*`, `provider.*`, `agent.*`, `tool.*`.

use polytree_protocol::{
    agent::Agent,
    config::Config,
    methods::{AgentList, ConfigGet, ProviderList, ToolList},
    provider::ProviderListResult,
    tool::ToolInfo,
};

use super::{
    error::Error,
    handler::{Context, Handler},
    select,
};

impl Handler for ConfigGet {
    async fn handle(context: Context, params: Self::Params) -> Result<Config, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.settings(&instance, &context.connection.environment())?.shown())
    }
}

impl Handler for ProviderList {
    async fn handle(context: Context, params: Self::Params) -> Result<ProviderListResult, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.providers(&instance, &context.connection.environment())?)
    }
}

impl Handler for AgentList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Agent>, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.workspace(&instance, &context.connection.environment())?.agents.clone())
    }
}

impl Handler for ToolList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<ToolInfo>, Error> {
        let instance = select::instance(&context, &params).await?;
        let workspace = context.daemon.projects.workspace(&instance, &context.connection.environment())?;
        Ok(workspace
            .tools
            .iter()
            .filter(|tool| tool.name() != "invalid")
            .map(|tool| ToolInfo { id: tool.name().to_owned(), description: tool.description().to_owned(), parameters: tool.parameters() })
            .collect())
    }
}
