//! All keys in a client's environment, the settings and the key store, to withhold them from tools and to redact them
//! in results.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    catalog::{CatalogSettings, Pool, built_in},
    secret::Secret,
};

#[derive(Debug, Default)]
pub struct KnownKeys {
    /// The environment variables that may contain keys of providers.
    pub variables: BTreeSet<String>,
    /// The keys and header values.
    pub secrets: Vec<Secret>,
}

/// The keys of all providers, including disabled ones.
pub fn known_keys(pool: &Pool, settings: &CatalogSettings, environment: &BTreeMap<String, String>) -> KnownKeys {
    let known = built_in().providers.iter().flat_map(|row| &row.env);
    // Only the built-in catalogue: a fetched one names variables, such as tokens of git hosts, that other programs
    // need.
    let variables: BTreeSet<String> = known.chain(settings.providers.values().flat_map(|own| own.env.iter().flatten())).cloned().collect();
    let in_variables = variables.iter().filter_map(|name| Secret::new(environment.get(name)?));
    let in_settings = settings.providers.values().flat_map(|own| own.api_key.iter().chain(own.headers.values())).cloned();
    let stored = pool.keys.keys().unwrap_or_default();
    let secrets = in_variables.chain(in_settings).chain(stored.values().cloned()).collect();
    KnownKeys { variables, secrets }
}
