//! Providers, models, limits, prices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Params of `provider.list`.
    ProviderListParams {
        /// Also the services that only a refreshed catalogue knows, and that neither the settings nor a stored key name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        all: Option<bool>,
    }
}

params! {
    /// Params of `model.list`.
    ModelListParams {}
}

params! {
    /// Params of `model.refresh`.
    ModelRefreshParams {}
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
    /// Where names, limits and prices come from.
    #[serde(default)]
    pub catalog: CatalogInfo,
    /// What is wrong with the catalogue's copy, the key store or the variables that the settings name, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// The model of a prompt that names none, in a session and with an agent that name none either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<ModelRef>,
}

/// Where a catalogue comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CatalogSource {
    /// It is part of the program.
    #[default]
    BuiltIn,
    /// It was fetched by `model.refresh`.
    Fetched,
}

/// Where names, limits and prices come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogInfo {
    /// Part of the program, or fetched.
    pub source: CatalogSource,
    /// The day that it describes, as `YYYY-MM-DD`.
    pub as_of: String,
    /// Where it was fetched from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A model of a provider that can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsableModel {
    /// The provider's id.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The model's id at that provider.
    #[serde(rename = "modelID")]
    pub model_id: String,
    /// It is the one used when only the provider is named.
    pub default: bool,
    /// It is served on this machine, by a server that was found running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// What is known about it.
    pub info: Model,
}

/// Result of `model.refresh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRefreshResult {
    /// The catalogue from now on.
    pub catalog: CatalogInfo,
    /// How many services it names.
    pub providers: u64,
    /// How many models it names.
    pub models: u64,
    /// How many entries were left out because they are malformed.
    pub skipped: u64,
}

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// `options.apiKey` in the settings.
    Settings,
    /// A variable of the client's environment.
    Environment,
    /// The key store, filled by `auth.set`.
    Stored,
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
    /// The wire protocol: `openai`, `openai-responses`, `anthropic`, `gemini`, `ollama`, or one that only this daemon knows.
    pub api: String,
    /// Where its key comes from; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeySource>,
    /// A server that was found running on this machine. It is never a default: name one of its models to use it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
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
    /// The wire protocol, where it is not the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Takes images.
    pub attachment: bool,
    /// Takes documents, such as PDF files.
    #[serde(default)]
    pub documents: bool,
    /// Thinks before it answers.
    pub reasoning: bool,
    /// Takes a temperature.
    pub temperature: bool,
    /// Can call tools.
    pub tool_call: bool,
    /// The day on which it came out, as `YYYY-MM-DD`; absent where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_date: Option<String>,
    /// Prices.
    pub cost: ModelCost,
    /// Limits.
    pub limit: ModelLimit,
    /// The names of its variants, for example its levels of reasoning; a prompt chooses one by `variant`.
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
