//! What the settings say about providers and models, as the catalogue takes it.

use std::collections::BTreeMap;

use polytree_protocol::provider::{ModelCost, ModelLimit};
use serde_json::{Map, Value};

use crate::provider::{catalog::local_servers::Addresses, http::network::NetworkSettings, secret::Secret};

/// What the settings say about a provider; everything that is absent is as the catalogue has it.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// The wire protocol: the name of a [`Wire`](crate::provider::wire::protocol::Wire), or `scripted`.
    pub api: Option<String>,
    /// The name for people.
    pub name: Option<String>,
    /// The variables that may hold its key.
    pub env: Option<Vec<String>>,
    /// The address below which the protocol's paths lie.
    pub base_url: Option<String>,
    pub api_key: Option<Secret>,
    /// An address among these settings that the user has not named: no key is sent there.
    pub untrusted: Option<String>,
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
    /// Takes documents.
    pub documents: Option<bool>,
    /// Thinks before it answers.
    pub reasoning: Option<bool>,
    pub temperature: Option<bool>,
    pub tool_call: Option<bool>,
    pub cost: Option<ModelCost>,
    pub limit: Option<ModelLimit>,
    /// Further fields of the request's body; they win over those of the provider.
    pub options: Map<String, Value>,
    /// Variants by name: fields of the request's body, or false.
    pub variants: BTreeMap<String, Value>,
}

/// All that the settings say about models.
#[derive(Debug, Clone, Default)]
pub struct CatalogSettings {
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Ids of providers that are never used.
    pub disabled: Vec<String>,
    /// Ids of the only providers that may be used; absent: all.
    pub enabled: Option<Vec<String>>,
    /// Where servers on this machine are looked for.
    pub local: Addresses,
    /// Also the services that only a fetched catalogue knows, and that nobody has named.
    pub everything: bool,
}

impl CatalogSettings {
    /// Whether the provider may be used.
    #[must_use]
    pub fn allows(&self, id: &str) -> bool {
        !self.disabled.iter().any(|disabled| disabled == id)
            && self.enabled.as_ref().is_none_or(|enabled| enabled.iter().any(|enabled| enabled == id))
    }
}
