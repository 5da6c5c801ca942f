//! The catalogue that models.dev publishes (`api.json`), as one of ours. Only what an agent can work with is taken: models
//! that read and write text and call tools, of services whose wire protocol is known.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    provider::{
        catalog::file::{Ability, CatalogFile, Error, ModelRow, ProviderRow, WireRow, is_day},
        wire,
    },
    stdx::{redact::is_secret_name, text::ellipsis},
};

/// Where it is published.
pub const URL: &str = "https://models.dev/api.json";

#[derive(Deserialize)]
struct Service<'a> {
    #[serde(default)]
    name: String,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    npm: String,
    #[serde(default)]
    api: Option<String>,
    #[serde(borrow)]
    models: BTreeMap<String, &'a RawValue>,
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
    provider: Serving,
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

#[derive(Default, Deserialize)]
struct Cost {
    #[serde(flatten)]
    prices: Prices,
    #[serde(default)]
    context_over_200k: Option<Prices>,
}

#[derive(Default, Deserialize)]
struct Prices {
    #[serde(default)]
    input: f64,
    #[serde(default)]
    output: f64,
    #[serde(default)]
    cache_read: f64,
    #[serde(default)]
    cache_write: f64,
}

impl Prices {
    fn row(&self) -> Vec<f64> {
        vec![self.input, self.output, self.cache_read, self.cache_write]
    }
}

#[derive(Default, Deserialize)]
struct Serving {
    #[serde(default)]
    npm: Option<String>,
    #[serde(default)]
    shape: Option<String>,
}

/// Translates the published file; gives with it how many entries were left out as malformed. `built_in` tells how the
/// services are spoken to that it knows: their addresses, variables and order are never taken from elsewhere, because keys
/// go there. `day` is when it was fetched.
///
/// # Errors
/// When it is something else.
pub fn translate(bytes: &[u8], built_in: &CatalogFile, day: &str, url: &str) -> Result<(CatalogFile, u64), Error> {
    let services: BTreeMap<String, &RawValue> =
        serde_json::from_slice(bytes).map_err(|error| Error::Shape(ellipsis(&error.to_string(), 200)))?;
    let mut skipped = 0;
    let mut found = BTreeMap::new();
    for (id, text) in services {
        match serde_json::from_str::<Service<'_>>(text.get()) {
            Ok(service) => drop(found.insert(id, service)),
            Err(_) => skipped += 1,
        }
    }
    let mut providers = Vec::new();
    for known in &built_in.providers {
        let Some(service) = found.remove(&known.id) else { continue };
        let mut provider = ProviderRow { models: models(&service, Some(known), &mut skipped), ..known.clone() };
        // Those that are new come after those whose order was thought about.
        provider.models.sort_by_key(|model| {
            let place = known.models.iter().position(|known| known.id == model.id).unwrap_or(usize::MAX);
            (place, std::cmp::Reverse(model.released.clone()))
        });
        if !provider.models.is_empty() {
            providers.push(provider);
        }
    }
    if providers.is_empty() {
        return Err(Error::Empty);
    }
    for (id, service) in found {
        let Some(wire) = wire(&service) else { continue };
        let models = models(&service, None, &mut skipped);
        if !models.is_empty() {
            // The key of one service must not be taken for another's.
            let is_taken = |name: &String| built_in.providers.iter().any(|known| known.env.contains(name));
            let env = service.env.into_iter().filter(|name| is_secret_name(name) && !is_taken(name)).collect();
            providers.push(ProviderRow { id, name: service.name, env, wires: vec![wire], small: None, models });
        }
    }
    let mut file = CatalogFile { as_of: day.to_owned(), url: Some(url.to_owned()), providers };
    skipped += file.check()?;
    Ok((file, skipped))
}

/// How a service is spoken to, as far as its entry tells. A key never goes over an open line.
fn wire(service: &Service<'_>) -> Option<WireRow> {
    let url = service.api.as_ref().filter(|url| url.starts_with("https://") && url.len() < 500 && !url.contains("${"));
    let wire = wire::by_package(&service.npm)?;
    Some(WireRow { api: wire.name().to_owned(), url: Some(url?.trim_end_matches('/').to_owned()) })
}

fn models(service: &Service<'_>, known: Option<&ProviderRow>, skipped: &mut u64) -> Vec<ModelRow> {
    let mut rows = Vec::new();
    for (id, text) in &service.models {
        let Ok(entry) = serde_json::from_str::<Entry>(text.get()) else {
            *skipped += 1;
            continue;
        };
        let has = |list: &[String], word: &str| list.iter().any(|known| known == word);
        let (input, output) = (&entry.modalities.input, &entry.modalities.output);
        // A model of another wire protocol than its service's is left to the settings.
        let is_foreign = known.is_none() && entry.provider.npm.as_ref().is_some_and(|npm| *npm != service.npm);
        if !entry.tool_call || !has(input, "text") || !has(output, "text") || entry.status == "deprecated" || is_foreign {
            continue;
        }
        let abilities = [
            (Ability::Tools, true),
            (Ability::Images, has(input, "image") || entry.attachment && input.len() < 2),
            (Ability::Documents, has(input, "pdf")),
            (Ability::Reasoning, entry.reasoning),
            (Ability::Temperature, entry.temperature),
        ];
        let same = known.and_then(|known| known.models.iter().find(|model| model.id == *id));
        let responses = (entry.provider.shape.as_deref() == Some("responses")).then(|| "openai-responses".to_owned());
        rows.push(ModelRow {
            id: id.clone(),
            name: entry.name,
            api: same.and_then(|model| model.api.clone()).or(responses),
            can: abilities.into_iter().filter(|(_, can)| *can).map(|(ability, _)| ability).collect(),
            limit: (entry.limit.context.as_u64().unwrap_or(0), entry.limit.output.as_u64().unwrap_or(0)),
            cost: entry.cost.prices.row(),
            cost_over_200k: entry.cost.context_over_200k.as_ref().map_or_else(Vec::new, Prices::row),
            released: Some(entry.release_date).filter(|day| is_day(day)),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::provider::catalog::built_in::built_in;

    fn entry(over: &Value) -> Value {
        let mut entry = json!({
            "id": "m", "name": "M", "attachment": true, "reasoning": true, "temperature": false, "tool_call": true,
            "release_date": "2026-11-01", "modalities": { "input": ["text", "image", "pdf"], "output": ["text"] },
            "limit": { "context": 9000, "output": 900 }, "cost": { "input": 1.5, "output": 3, "cache_read": 0.1, "tiers": [] }, "unknown": {}
        });
        for (key, value) in over.as_object().unwrap() {
            entry[key] = value.clone();
        }
        entry
    }

    fn translated(value: &Value) -> Result<(CatalogFile, u64), Error> {
        translate(value.to_string().as_bytes(), built_in(), "2026-11-27", URL)
    }

    #[test]
    fn services_that_are_known_keep_their_address_variables_and_order() {
        let (file, skipped) = translated(&json!({
            "openai": { "name": "Evil", "env": ["HOME"], "npm": "@ai-sdk/openai-compatible", "api": "https://evil.example/v1", "models": {
                "gpt-new": entry(&json!({})), "gpt-6-sol": entry(&json!({ "name": "Sol", "cost": { "input": 1.5, "output": 3, "cache_read": 0.1, "context_over_200k": { "input": 3, "output": 4.5 } } })), "gpt-5-codex": entry(&json!({})),
            }},
            "anthropic": { "npm": "@ai-sdk/anthropic", "models": { "claude-x": entry(&json!({})) } },
        }))
        .unwrap();
        assert_eq!(skipped, 0);
        let [anthropic, openai] = &file.providers[..] else { panic!("{file:?}") };
        assert_eq!(
            (anthropic.id.as_str(), openai.name.as_str(), &openai.env[..]),
            ("anthropic", "OpenAI", &["OPENAI_API_KEY".to_owned()][..])
        );
        assert_eq!(openai.wires, built_in().provider("openai").unwrap().wires);
        let ids: Vec<_> = openai.models.iter().map(|model| (model.id.as_str(), model.api.as_deref())).collect();
        assert_eq!(ids, [("gpt-6-sol", None), ("gpt-5-codex", Some("openai-responses")), ("gpt-new", None)]);
        let model = openai.models[0].model();
        assert_eq!((model.name.as_str(), model.documents, model.cost.cache_read, model.limit.context), ("Sol", true, 0.1, 9000));
        let long = model.cost.context_over_200k.unwrap();
        assert_eq!((long.input, long.output, long.cache_read), (3.0, 4.5, 0.0));
        assert_eq!(openai.models[1].model().cost.context_over_200k, None);
    }

    #[test]
    fn others_are_taken_when_they_can_be_spoken_to_safely() {
        let service = |npm: &str, api: Value| json!({ "name": "S", "env": ["S_KEY", "HOME", "OPENAI_API_KEY"], "npm": npm, "api": api, "models": { "m": entry(&json!({})) } });
        let (file, _) = translated(&json!({
            "openai": service("@ai-sdk/openai", Value::Null),
            "a-fine": service("@ai-sdk/openai-compatible", json!("https://fine.example/v1/")),
            "b-open": service("@ai-sdk/openai-compatible", json!("http://open.example/v1")),
            "c-none": service("@ai-sdk/openai-compatible", Value::Null),
            "d-hole": service("@ai-sdk/openai-compatible", json!("https://${ACCOUNT}.example/v1")),
            "e-else": service("@ai-sdk/amazon-bedrock", json!("https://else.example")),
        }))
        .unwrap();
        let ids: Vec<_> = file.providers.iter().map(|provider| provider.id.as_str()).collect();
        assert_eq!(ids, ["openai", "a-fine"]);
        assert_eq!(file.providers[1].env, ["S_KEY"]);
        assert_eq!(file.providers[1].wires, [WireRow { api: "openai".to_owned(), url: Some("https://fine.example/v1".to_owned()) }]);
    }

    #[test]
    fn what_an_agent_cannot_work_with_is_no_model() {
        let models = json!({
            "fine": entry(&json!({})), "toolless": entry(&json!({ "tool_call": false })), "old": entry(&json!({ "status": "deprecated" })),
            "painter": entry(&json!({ "modalities": { "input": ["text"], "output": ["image"] } })),
            "broken": entry(&json!({ "cost": { "input": "free" } })), "number": 5,
        });
        let (file, skipped) = translated(&json!({ "openai": { "npm": "x", "models": models }, "odd": [] })).unwrap();
        let ids: Vec<_> = file.providers[0].models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!((&ids[..], skipped), (&["fine"][..], 3));
    }

    #[test]
    fn something_else_is_refused() {
        for text in ["", "<html>", "[]", "{", "1e999"] {
            assert!(matches!(translate(text.as_bytes(), built_in(), "2026-11-27", URL), Err(Error::Shape(_))), "{text}");
        }
        assert_eq!(translated(&json!({ "name": "package", "version": "1" })), Err(Error::Empty));
        let deep = "[".repeat(100_000);
        assert!(translate(format!("{{\"openai\": {deep}").as_bytes(), built_in(), "2026-11-27", URL).is_err());
    }

    proptest! {
        #[test]
        fn any_prices_and_limits_become_sound(
            prices in any::<[f64; 4]>(), context in any::<i64>(), output in prop_oneof![any::<f64>().prop_map(Value::from), ".{0,3}".prop_map(Value::from)],
            name in ".{0,20}", id in ".{0,20}",
        ) {
            let cost = json!({ "input": prices[0], "output": prices[1], "cache_read": prices[2], "cache_write": prices[3] });
            let odd = entry(&json!({ "name": name, "cost": cost, "limit": { "context": context, "output": output } }));
            let Ok((file, _)) = translated(&json!({ "openai": { "npm": "x", "models": { id: odd, "m": entry(&json!({})) } } })) else { return Ok(()) };
            let read = CatalogFile::parse(file.text().as_bytes()).unwrap();
            prop_assert_eq!(&read.0, &file);
            for row in &file.providers[0].models {
                prop_assert!(row.cost.iter().all(|price| price.is_finite() && !price.is_sign_negative()));
            }
        }
    }
}
