//! The catalogue: services and models in the shape of models.dev's `api.json`, in an envelope with its date. The
//! built-in and the fetched catalogue use the same parser.
//!
//! Only models that an agent can use are taken: they read and write text, call tools, and their service has a supported
//! wire protocol. Malformed entries are skipped and counted; prices and limits are validated.

use std::cmp::Reverse;

use indexmap::IndexMap;
use polytree_protocol::provider::{LongContextCost, Model, ModelCost, ModelLimit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    provider::{definition::unknown_model, wire},
    stdx::{secrets::redact::is_secret_name, text::ellipsis},
};

/// The size limit of the file, in bytes.
pub(crate) const MAX_BYTES: u64 = 32 << 20;
/// The limit of services.
const MAX_PROVIDERS: usize = 1000;
/// The limit of models of all services together.
const MAX_MODELS: usize = 50_000;
/// The length limit of an id, in bytes.
const MAX_ID_BYTES: usize = 200;
/// The length limit of a name, in bytes.
const MAX_NAME_BYTES: usize = 100;
/// The limit of a price per million tokens, in US dollars.
const MAX_PRICE: f64 = 1_000_000.0;
/// The largest accepted limit of a model, in tokens.
const MAX_TOKENS: u64 = 1_000_000_000;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CatalogFile {
    /// Its date, as `YYYY-MM-DD`.
    pub as_of: String,
    /// The URL from which it was fetched.
    pub url: Option<String>,
    /// In order of preference.
    pub providers: Vec<ProviderRow>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProviderRow {
    pub id: String,
    pub name: String,
    /// The environment variables that may contain its key.
    pub env: Vec<String>,
    /// Its wire protocols: the first supported one is used unless the settings name another.
    pub wires: Vec<WireRow>,
    /// Its model for small jobs such as titles.
    pub small: Option<String>,
    /// The first one is the default.
    pub models: Vec<Model>,
}

/// A wire protocol that a service offers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct WireRow {
    /// The name of the protocol.
    pub api: String,
    /// The base URL; `None`: that of the protocol's original service.
    #[serde(default)]
    pub url: Option<String>,
}

/// Why a file is not a valid catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it is not of the expected shape: {0}")]
    Shape(String),
    #[error("it names no model that could be used")]
    Empty,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    as_of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(borrow)]
    services: &'a RawValue,
}

#[derive(Deserialize)]
struct Service<'a> {
    #[serde(default)]
    name: String,
    #[serde(default)]
    env: Vec<String>,
    /// The npm package for the service, which determines the wire protocol.
    #[serde(default)]
    npm: String,
    #[serde(default)]
    api: Option<String>,
    /// Only in the built-in catalogue, in place of `npm` and `api`.
    #[serde(default)]
    wires: Vec<WireRow>,
    /// Only in the built-in catalogue.
    #[serde(default)]
    small: Option<String>,
    #[serde(borrow)]
    models: IndexMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    attachment: bool,
    #[serde(default)]
    reasoning: bool,
    #[serde(default)]
    temperature: bool,
    #[serde(default)]
    tool_call: bool,
    #[serde(default)]
    status: String,
    #[serde(default)]
    release_date: String,
    #[serde(default)]
    modalities: Modalities,
    #[serde(default)]
    limit: Limit,
    #[serde(default)]
    cost: Cost,
    #[serde(default)]
    provider: Offer,
}

#[derive(Default, Deserialize)]
struct Modalities {
    #[serde(default)]
    input: Vec<String>,
    #[serde(default)]
    output: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Limit {
    #[serde(default)]
    context: Value,
    #[serde(default)]
    output: Value,
}

/// Prices per million tokens, in US dollars; 0 if unknown.
#[derive(Default, Deserialize)]
struct Cost {
    #[serde(flatten)]
    prices: Prices,
    /// The prices of requests with more than 200,000 input tokens.
    #[serde(default)]
    context_over_200k: Option<Prices>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Prices {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
}

/// What differs from the service for one model.
#[derive(Default, Deserialize)]
struct Offer {
    #[serde(default)]
    npm: Option<String>,
    #[serde(default)]
    shape: Option<String>,
}

impl CatalogFile {
    /// Wraps published JSON in an envelope with its date and URL.
    pub fn envelope(published: &[u8], day: &str, url: &str) -> Result<String, Error> {
        let services = serde_json::from_slice(published).map_err(shape)?;
        serde_json::to_string(&Envelope { as_of: day.to_owned(), url: Some(url.to_owned()), services }).map_err(shape)
    }

    /// Parses a file; returns the number of skipped entries too. For a fetched file `own` is the built-in catalogue:
    /// addresses, variables and order of its services are never taken from a fetched file, because keys are sent there.
    pub fn parse(bytes: &[u8], own: Option<&Self>) -> Result<(Self, u64), Error> {
        let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(shape)?;
        if !is_day(&envelope.as_of) {
            return Err(Error::Shape("it does not say which day it describes".to_owned()));
        }
        let texts: IndexMap<String, &RawValue> = serde_json::from_str(envelope.services.get()).map_err(shape)?;
        let mut skipped = 0;
        let mut services = IndexMap::new();
        for (id, text) in texts {
            match serde_json::from_str::<Service<'_>>(text.get()).ok().filter(|_| is_id(&id) && services.len() < MAX_PROVIDERS) {
                Some(service) => drop(services.insert(id, service)),
                None => skipped += 1,
            }
        }
        let mut remaining = MAX_MODELS;
        let mut providers = Vec::new();
        for known in own.iter().flat_map(|own| &own.providers) {
            let Some(service) = services.shift_remove(&known.id) else { continue };
            let mut provider = ProviderRow { models: models(&service, Some(known), &mut remaining, &mut skipped), ..known.clone() };
            // New models come after those with a curated order, the latest first.
            provider.models.sort_by_key(|model| {
                let place = known.models.iter().position(|known| known.id == model.id).unwrap_or(usize::MAX);
                (place, Reverse(model.release_date.clone()))
            });
            providers.push(provider);
        }
        if own.is_some() {
            if providers.is_empty() {
                return Err(Error::Empty);
            }
            services.sort_unstable_keys();
        }
        for (id, service) in services {
            let wires = if own.is_some() { wire_of(&service).into_iter().collect() } else { service.wires.clone() };
            if wires.is_empty() {
                continue;
            }
            let models = models(&service, None, &mut remaining, &mut skipped);
            // The variable of one service's key must not be used for another service.
            let is_taken = |name: &String| own.is_some_and(|own| own.providers.iter().any(|known| known.env.contains(name)));
            let env = service.env.into_iter().filter(|name| is_variable(name) && !is_taken(name));
            let name = name(&service.name, &id);
            providers.push(ProviderRow { id, name, env: env.collect(), wires, small: service.small.filter(|_| own.is_none()), models });
        }
        providers.retain(|provider| !provider.models.is_empty());
        if providers.is_empty() {
            return Err(Error::Empty);
        }
        Ok((Self { as_of: envelope.as_of, url: envelope.url, providers }, skipped))
    }

    pub fn provider(&self, id: &str) -> Option<&ProviderRow> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// The number of models.
    pub fn models(&self) -> u64 {
        self.providers.iter().map(|provider| provider.models.len() as u64).sum()
    }
}

/// The wire protocol of a service that is only in a fetched file. Only https: a key is never sent unencrypted.
fn wire_of(service: &Service<'_>) -> Option<WireRow> {
    let url = service.api.as_ref().filter(|url| url.starts_with("https://") && url.len() < 500 && !url.contains("${"))?;
    let wire = wire::by_package(&service.npm)?;
    Some(WireRow { api: wire.name().to_owned(), url: Some(url.trim_end_matches('/').to_owned()) })
}

/// The usable models of a service. `known` is the service in the built-in catalogue.
fn models(service: &Service<'_>, known: Option<&ProviderRow>, remaining: &mut usize, skipped: &mut u64) -> Vec<Model> {
    let mut models = Vec::new();
    for (id, text) in &service.models {
        let Some(entry) = serde_json::from_str::<Entry>(text.get()).ok().filter(|_| is_id(id) && *remaining > 0) else {
            *skipped += 1;
            continue;
        };
        let has = |list: &[String], word: &str| list.iter().any(|known| known == word);
        let (input, output) = (&entry.modalities.input, &entry.modalities.output);
        // A model with another wire protocol than its service must be configured in the settings.
        let is_foreign = known.is_none() && entry.provider.npm.as_ref().is_some_and(|npm| *npm != service.npm);
        if !entry.tool_call || !has(input, "text") || !has(output, "text") || entry.status == "deprecated" || is_foreign {
            continue;
        }
        let same = known.and_then(|known| known.models.iter().find(|model| model.id == *id));
        let responses = (entry.provider.shape.as_deref() == Some("responses")).then(|| "openai-responses".to_owned());
        let Prices { input: input_price, output: output_price, cache_read, cache_write } = entry.cost.prices.validated();
        let long = entry.cost.context_over_200k.map(|prices| {
            let Prices { input, output, cache_read, cache_write } = prices.validated();
            LongContextCost { input, output, cache_read, cache_write }
        });
        *remaining -= 1;
        models.push(Model {
            name: name(&entry.name, id),
            api: same.and_then(|model| model.api.clone()).or(responses),
            attachment: has(input, "image") || entry.attachment && input.len() < 2,
            documents: has(input, "pdf"),
            reasoning: entry.reasoning,
            temperature: entry.temperature,
            release_date: Some(entry.release_date).filter(|day| is_day(day)),
            cost: ModelCost { input: input_price, output: output_price, cache_read, cache_write, context_over_200k: long },
            limit: ModelLimit { context: tokens(&entry.limit.context), output: tokens(&entry.limit.output) },
            ..unknown_model(id)
        });
    }
    models
}

impl Prices {
    fn validated(&self) -> Self {
        // NaN is not in the range either; `abs` removes a negative zero.
        let validated = |price: f64| if (0.0..=MAX_PRICE).contains(&price) { price.abs() } else { 0.0 };
        Self {
            input: validated(self.input),
            output: validated(self.output),
            cache_read: validated(self.cache_read),
            cache_write: validated(self.cache_write),
        }
    }
}

fn tokens(count: &Value) -> u64 {
    count.as_u64().filter(|count| *count <= MAX_TOKENS).unwrap_or(0)
}

fn shape(error: serde_json::Error) -> Error {
    Error::Shape(ellipsis(&error.to_string(), 200))
}

/// Whether this is a date as `YYYY-MM-DD`.
fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(place, byte)| if matches!(place, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
        && ("01".."13").contains(&&text[5..7])
        && ("01".."32").contains(&&text[8..])
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether this may be a variable for a key.
fn is_variable(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && is_secret_name(name)
}

/// The display name; the id if there is none.
fn name(text: &str, id: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.is_empty() { id.to_owned() } else { ellipsis(clean, MAX_NAME_BYTES) }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
