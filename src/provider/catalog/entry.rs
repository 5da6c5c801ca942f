//! One provider of a catalogue: the known service combined with the settings, the source of its key, and whether it can
//! be used.

use std::collections::BTreeMap;

use polytree_protocol::{
    auth::KeyPlace,
    provider::{KeySource, Model, Provider as ProviderInfo},
};
use serde_json::Value;

use crate::provider::{
    catalog::{
        file::{ProviderRow, WireRow},
        local_servers::{Addresses, Kind},
        settings::ProviderSettings,
    },
    definition::unknown_model,
    http::address::Address,
    offline as offline_model,
    secret::{self, Secret},
    wire::{self, protocol::Wire, variants::Variants},
};

pub(crate) struct Entry {
    /// The wire form, without the source of the key.
    pub(crate) info: ProviderInfo,
    pub(crate) settings: ProviderSettings,
    /// The model to use if only the provider is named.
    pub(crate) default_model: Option<String>,
    /// The model for small jobs.
    pub(crate) small: Option<String>,
    /// The base URL by the catalogue; `None`: that of the protocol's original service.
    pub(crate) wire_url: Option<String>,
    /// Its key in the store.
    pub(crate) stored_key: Option<Secret>,
    /// It was found on this machine and is not in the settings.
    pub(crate) is_found: bool,
    /// It cannot be used without a key.
    needs_key: bool,
}

impl Entry {
    /// The key: from the settings, the client's environment, or the store, in this order.
    pub(crate) fn key(&self, environment: &BTreeMap<String, String>) -> Option<Secret> {
        let outer = secret::find(self.settings.api_key.as_ref(), &self.info.env, environment);
        outer.or_else(|| self.stored_key.clone())
    }

    /// All places with a key; the first one is used.
    pub(crate) fn key_places(&self, environment: &BTreeMap<String, String>) -> Vec<KeyPlace> {
        let settings = self.settings.api_key.iter().map(|_| KeyPlace { source: KeySource::Settings, variable: None });
        let variables = self.info.env.iter().filter(|name| environment.get(*name).and_then(|value| Secret::new(value)).is_some());
        let variables = variables.map(|name| KeyPlace { source: KeySource::Environment, variable: Some(name.clone()) });
        settings.chain(variables).chain(self.stored_key.iter().map(|_| stored_place())).collect()
    }

    /// The wire protocol of a model.
    pub(crate) fn api<'a>(&'a self, model: &'a Model) -> &'a str {
        model.api.as_deref().unwrap_or(&self.info.api)
    }

    pub(crate) fn variants(&self, model: &Model) -> Variants {
        let none = BTreeMap::new();
        variants(self.api(model), model, self.settings.models.get(&model.id).map_or(&none, |model| &model.variants))
    }

    pub(crate) fn shown(&self, environment: &BTreeMap<String, String>) -> ProviderInfo {
        let key = self.key_places(environment).first().map(|place| place.source);
        ProviderInfo { key, ..self.info.clone() }
    }

    /// Whether the provider can be used: it has a key, or may need none. The latter are providers that are only in the
    /// settings or that the settings send to another address, unless the settings name variables for the key.
    pub(crate) fn is_connected(&self, environment: &BTreeMap<String, String>) -> bool {
        let needs_no_key = match &self.settings.env {
            Some(names) => names.is_empty(),
            None => !self.needs_key || self.settings.base_url.is_some(),
        };
        needs_no_key || !self.settings.headers.is_empty() || self.key(environment).is_some()
    }

    /// The message about a missing key.
    pub(crate) fn missing_key(&self) -> String {
        let id = &self.info.id;
        let others = format!("`polytree auth login {id}`, or set provider.{id}.options.apiKey in the settings");
        match self.info.env.as_slice() {
            [] => format!("there is no key for {}: run {others}", self.info.name),
            names => format!("there is no key for {}: set {} in the environment, or run {others}", self.info.name, names.join(" or ")),
        }
    }
}

/// A key in the store.
pub(crate) fn stored_place() -> KeyPlace {
    KeyPlace { source: KeySource::Stored, variable: None }
}

/// A service of the catalogue; `None` if none of its wire protocols is supported and the settings name no other.
pub(crate) fn known(row: &ProviderRow, models: &[Model], settings: ProviderSettings) -> Option<Entry> {
    // A protocol that only its original service offers is not used at another URL.
    let is_offered = |wire: &dyn Wire| match &settings.base_url {
        Some(url) => wire.is_widely_offered() || is_original_service(url, wire),
        None => true,
    };
    let is_first_choice = |wire: &&WireRow| match &settings.api {
        Some(api) => wire.api == *api,
        None => wire::by_name(&wire.api).is_some_and(is_offered),
    };
    let is_known = |wire: &&WireRow| settings.api.is_none() && wire::by_name(&wire.api).is_some();
    let found = row.wires.iter().find(is_first_choice).or_else(|| row.wires.iter().find(is_known));
    let wire = found.or_else(|| settings.api.as_ref().and(row.wires.first()))?;
    let is_known = |model: &&Model| model.api.as_deref().is_none_or(|api| wire::by_name(api).is_some());
    let usable = || models.iter().filter(is_known);
    let info = ProviderInfo {
        id: row.id.clone(),
        name: row.name.clone(),
        env: row.env.clone(),
        api: wire.api.clone(),
        key: None,
        local: false,
        models: usable().map(|model| (model.id.clone(), model.clone())).collect(),
    };
    let default_model = usable().next().map(|model| model.id.clone());
    let entry = Entry { default_model, small: row.small.clone(), wire_url: wire.url.clone(), needs_key: true, ..empty(info) };
    Some(merged(entry, settings))
}

/// A provider that is only in the settings. If it has the name of a local server, it is that server unless the settings
/// say otherwise.
pub(crate) fn own(id: String, settings: ProviderSettings, local: &Addresses) -> Entry {
    let default_model = settings.models.keys().next().cloned();
    let kind = Kind::parse(&id).filter(|_| settings.base_url.is_none() && settings.api.is_none());
    let (api, wire_url) = match kind.map(|kind| kind.wire(local.get(&kind).map_or(kind.default_address(), String::as_str))) {
        Some((api, url)) => (api, Some(url)),
        None => (wire::DEFAULT.name().to_owned(), None),
    };
    let name = kind.map_or_else(|| id.clone(), |kind| kind.name().to_owned());
    let info = ProviderInfo { id, name, env: Vec::new(), api, key: None, local: false, models: BTreeMap::new() };
    merged(Entry { default_model, wire_url, ..empty(info) }, settings)
}

/// A server that was found on this machine.
pub(crate) fn local(kind: Kind, address: &str, models: Vec<Model>) -> Entry {
    let (api, url) = kind.wire(address);
    let default_model = models.first().map(|model| model.id.clone());
    let info = ProviderInfo {
        id: kind.id().to_owned(),
        name: format!("{} at {address}", kind.name()),
        env: Vec::new(),
        api,
        key: None,
        local: true,
        models: models.into_iter().map(|model| (model.id.clone(), model)).collect(),
    };
    Entry { default_model, wire_url: Some(url), is_found: true, ..empty(info) }
}

/// The built-in model.
pub(crate) fn offline() -> Entry {
    let model = offline_model::model();
    let info = ProviderInfo {
        id: offline_model::PROVIDER.to_owned(),
        name: "Offline".to_owned(),
        env: Vec::new(),
        api: "built-in".to_owned(),
        key: None,
        local: false,
        models: BTreeMap::from([(model.id.clone(), model)]),
    };
    Entry { default_model: Some(offline_model::MODEL.to_owned()), ..empty(info) }
}

/// Whether the URL is at the protocol's original service.
fn is_original_service(url: &str, wire: &dyn Wire) -> bool {
    let (Ok(address), Ok(maker)) = (Address::parse(url), Address::parse(wire.base_url())) else { return false };
    address.is_at(maker.host())
}

/// The variants of a model: those of the protocol, then the model's own. An own one replaces one of the same name;
/// `false` removes it.
fn variants(api: &str, model: &Model, own: &BTreeMap<String, Value>) -> Variants {
    let mut all = wire::variants_of(api, model);
    for (name, fields) in own {
        all.retain(|(known, _)| known != name || fields.is_object());
        let Value::Object(fields) = fields else { continue };
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.clone_from(fields),
            None => all.push((name.clone(), fields.clone())),
        }
    }
    all
}

fn empty(info: ProviderInfo) -> Entry {
    let settings = ProviderSettings::default();
    Entry { info, settings, default_model: None, small: None, wire_url: None, stored_key: None, is_found: false, needs_key: false }
}

fn merged(mut entry: Entry, settings: ProviderSettings) -> Entry {
    let info = &mut entry.info;
    info.name = settings.name.clone().unwrap_or_else(|| std::mem::take(&mut info.name));
    info.api = settings.api.clone().unwrap_or_else(|| std::mem::take(&mut info.api));
    info.env = settings.env.clone().unwrap_or_else(|| std::mem::take(&mut info.env));
    for (id, changes) in &settings.models {
        let model = info.models.entry(id.clone()).or_insert_with(|| unknown_model(id));
        model.name = changes.name.clone().unwrap_or_else(|| model.name.clone());
        model.attachment = changes.attachment.unwrap_or(model.attachment);
        model.documents = changes.documents.unwrap_or(model.documents);
        model.reasoning = changes.reasoning.unwrap_or(model.reasoning);
        model.temperature = changes.temperature.unwrap_or(model.temperature);
        model.tool_call = changes.tool_call.unwrap_or(model.tool_call);
        model.cost = changes.cost.unwrap_or(model.cost);
        model.limit = changes.limit.unwrap_or(model.limit);
    }
    let mut entry = Entry { settings, ..entry };
    let names = |model: &Model| entry.variants(model).into_iter().map(|(name, _)| name).collect();
    let all: Vec<Vec<String>> = entry.info.models.values().map(names).collect();
    for (model, variants) in entry.info.models.values_mut().zip(all) {
        model.variants = variants;
    }
    entry
}

#[cfg(test)]
mod tests {
    use polytree_protocol::provider::ModelLimit;
    use serde_json::{Map, json};

    use super::*;
    use crate::provider::wire::forced_call;

    fn thinker(id: &str) -> Model {
        Model { reasoning: true, ..unknown_model(id) }
    }

    fn shown(api: &str, model: &Model, own: &Value) -> String {
        let own = own.as_object().unwrap().iter().map(|(name, fields)| (name.clone(), fields.clone())).collect();
        variants(api, model, &own).into_iter().map(|(name, fields)| format!("{name} {}\n", Value::Object(fields))).collect()
    }

    #[test]
    fn each_wire_has_variants() {
        let sampling = Model { temperature: true, limit: ModelLimit { context: 0, output: 12_000 }, ..thinker("claude-old") };
        let all = [
            shown("openai", &thinker("o3"), &json!({})),
            shown("openai", &thinker("gpt-5-mini"), &json!({ "minimal": false, "low": false, "medium": false })),
            shown("openai-responses", &thinker("x"), &json!({ "medium": false, "low": false })),
            shown("anthropic", &thinker("claude-new"), &json!({ "low": false, "medium": false, "max": false })),
            shown("anthropic", &sampling, &json!({})),
            shown("gemini", &thinker("gemini-2.5-pro"), &json!({ "low": false, "medium": false, "max": false })),
            shown("gemini", &thinker("gemini-3-pro"), &json!({ "medium": false, "high": false })),
            shown("ollama", &thinker("qwen3"), &json!({ "medium": false, "high": false })),
            shown("scripted", &thinker("x"), &json!({ "mine": { "a": 1 } })),
            shown("openai", &unknown_model("plain"), &json!({ "loud": { "volume": 11 }, "low": false })),
        ];
        expect_test::expect![[r#"
            low {"reasoning_effort":"low"}
            medium {"reasoning_effort":"medium"}
            high {"reasoning_effort":"high"}
            high {"reasoning_effort":"high"}
            high {"reasoning":{"effort":"high","summary":"auto"}}
            high {"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}
            low {"thinking":{"type":"enabled","budget_tokens":4096}}
            medium {"thinking":{"type":"enabled","budget_tokens":10240}}
            high {"generationConfig":{"thinkingConfig":{"thinkingBudget":16384,"includeThoughts":true}}}
            low {"generationConfig":{"thinkingConfig":{"thinkingLevel":"low","includeThoughts":true}}}
            none {"think":false}
            low {"think":"low"}
            mine {"a":1}
            loud {"volume":11}
        "#]]
        .assert_eq(&all.concat());
    }

    #[test]
    fn a_call_is_forced_if_possible() {
        let thinking = json!({ "thinking": {} }).as_object().unwrap().clone();
        let sampling = Model { temperature: true, ..thinker("c") };
        let (none, adaptive) = (Map::new(), thinker("c"));
        let forced = |api: &str, options: &Map<String, Value>, model: &Model| Value::Object(forced_call(api, options, model));
        assert_eq!(forced("openai", &none, &sampling), json!({ "tool_choice": "required" }));
        assert_eq!(forced("anthropic", &none, &sampling), json!({ "tool_choice": { "type": "any" } }));
        assert_eq!(forced("anthropic", &thinking, &sampling), json!({}));
        assert_eq!(forced("anthropic", &none, &adaptive), json!({}));
        assert_eq!(forced("ollama", &none, &sampling), json!({}));
    }
}
