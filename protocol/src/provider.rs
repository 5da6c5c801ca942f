//! Providers, models, limits, prices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Params of `provider.list`.
    ProviderListParams {}
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    /// The provider's id.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The model's id at that provider; may contain slashes.
    #[serde(rename = "modelID")]
    pub model_id: String,
}

impl ModelRef {
    /// Splits `provider/model` at the first slash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.split_once('/')?;
        (!provider.is_empty() && !model.is_empty()).then(|| Self { provider_id: provider.to_owned(), model_id: model.to_owned() })
    }
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider_id, self.model_id)
    }
}

/// Result of `provider.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderListResult {
    /// All known providers.
    pub providers: Vec<Provider>,
    /// The model used of each provider when only the provider is named.
    pub default: BTreeMap<String, String>,
    /// The ids of the providers that can be used now.
    pub connected: Vec<String>,
}

/// A model service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provider {
    /// The id, such as `anthropic`.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The environment variables that may hold its key.
    pub env: Vec<String>,
    /// The wire protocol, such as `openai` or `anthropic`.
    pub api: String,
    /// Its models by id.
    pub models: BTreeMap<String, Model>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    /// The id at the provider.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// Takes images.
    pub attachment: bool,
    /// Thinks before it answers.
    pub reasoning: bool,
    /// Takes a temperature.
    pub temperature: bool,
    /// Can call tools.
    pub tool_call: bool,
    /// Prices.
    pub cost: ModelCost,
    /// Limits.
    pub limit: ModelLimit,
    /// The names of its variants, such as how much it thinks; a prompt chooses one by `variant`.
    #[serde(default)]
    pub variants: Vec<String>,
}

/// Prices in US dollars for a million tokens; 0 where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelCost {
    /// Input tokens.
    #[serde(default)]
    pub input: f64,
    /// Output tokens.
    #[serde(default)]
    pub output: f64,
    /// Input tokens read from the provider's cache.
    #[serde(default)]
    pub cache_read: f64,
    /// Input tokens written to the provider's cache.
    #[serde(default)]
    pub cache_write: f64,
    /// The prices of a call that reads more than 200,000 tokens, those from the cache included; absent: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_over_200k: Option<LongContextCost>,
}

/// Prices in US dollars for a million tokens, of calls with a long context; 0 where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongContextCost {
    /// Input tokens.
    #[serde(default)]
    pub input: f64,
    /// Output tokens.
    #[serde(default)]
    pub output: f64,
    /// Input tokens read from the provider's cache.
    #[serde(default)]
    pub cache_read: f64,
    /// Input tokens written to the provider's cache.
    #[serde(default)]
    pub cache_write: f64,
}

/// Limits in tokens; 0 where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelLimit {
    /// The context window.
    #[serde(default)]
    pub context: u64,
    /// The longest answer.
    #[serde(default)]
    pub output: u64,
}
