//! The settings of providers and models.

use std::collections::BTreeMap;

use polytree_protocol::provider::{ModelCost, ModelLimit};
use serde_json::{Map, Value};

use crate::provider::{catalog::local_servers::Addresses, http::network::NetworkSettings, secret::Secret};

/// The settings of a provider; absent values are those of the catalogue.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// The wire protocol: the name of a [`Wire`](crate::provider::wire::protocol::Wire), or `scripted`.
    pub api: Option<String>,
    pub name: Option<String>,
    /// The variables that may contain its key.
    pub env: Option<Vec<String>>,
    /// The base URL.
    pub base_url: Option<String>,
    pub api_key: Option<Secret>,
    /// A URL from the project's settings that the user's settings do not have: no key is sent there.
    pub untrusted: Option<String>,
    pub headers: BTreeMap<String, Secret>,
    /// The timeout without data, in milliseconds.
    pub timeout_ms: Option<u64>,
    pub network: NetworkSettings,
    pub models: BTreeMap<String, ModelSettings>,
    /// Additional fields of every request's body; for `scripted`: `script`, the absolute path of the script.
    pub options: Map<String, Value>,
}

/// The settings of a model.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    pub name: Option<String>,
    pub attachment: Option<bool>,
    pub documents: Option<bool>,
    pub reasoning: Option<bool>,
    pub temperature: Option<bool>,
    pub tool_call: Option<bool>,
    pub cost: Option<ModelCost>,
    pub limit: Option<ModelLimit>,
    /// Additional fields of the request's body; they override those of the provider.
    pub options: Map<String, Value>,
    /// Variants by name: fields of the request's body, or `false`.
    pub variants: BTreeMap<String, Value>,
}

/// All settings of models.
#[derive(Debug, Clone, Default)]
pub struct CatalogSettings {
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The ids of disabled providers.
    pub disabled: Vec<String>,
    /// The ids of the enabled providers; `None`: all.
    pub enabled: Option<Vec<String>>,
    /// The addresses at which local servers are probed.
    pub local: Addresses,
    /// Include services that are only in a fetched catalogue and that the user has not named.
    pub everything: bool,
}

impl CatalogSettings {
    /// Whether the provider is enabled.
    pub fn allows(&self, id: &str) -> bool {
        !self.disabled.iter().any(|disabled| disabled == id)
            && self.enabled.as_ref().is_none_or(|enabled| enabled.iter().any(|enabled| enabled == id))
    }
}
