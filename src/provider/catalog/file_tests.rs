//! Published, stored and malformed catalogues.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::provider::catalog::built_in;

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

/// Parses a fetched catalogue.
fn fetched(services: &Value) -> Result<(CatalogFile, u64), Error> {
    let text = CatalogFile::envelope(services.to_string().as_bytes(), "2026-11-27", "https://models.example/api.json")?;
    CatalogFile::parse(text.as_bytes(), Some(built_in()))
}

/// Parses a built-in catalogue.
fn own(services: &Value) -> Result<(CatalogFile, u64), Error> {
    CatalogFile::parse(json!({ "asOf": "2026-01-31", "services": services }).to_string().as_bytes(), None)
}

#[test]
fn malformed_entries_are_skipped_and_the_rest_is_validated() {
    let (file, skipped) = own(&json!({
        "a": { "name": "A\u{1b}[2J", "env": ["A_KEY", "A KEY", "", "HOME"], "wires": [{ "api": "openai" }], "small": "m", "models": {
            "m": entry(&json!({ "name": "", "limit": { "context": 5, "output": u64::MAX }, "release_date": "soon", "cost": {
                "input": -1, "output": 2e9, "cache_read": 0.5, "cache_write": 1, "context_over_200k": { "input": 2, "output": -2, "cache_read": 1 } } })),
            "a b": entry(&json!({})), "": entry(&json!({})), "n": 5,
        }},
        "b c": { "wires": [{ "api": "openai" }], "models": { "m": entry(&json!({})) } }, "d": 7,
        "mute": { "models": { "m": entry(&json!({})) } },
    }))
    .unwrap();
    assert_eq!((file.as_of.as_str(), file.providers.len(), skipped), ("2026-01-31", 1, 5));
    let provider = &file.providers[0];
    assert_eq!((provider.name.as_str(), &provider.env[..], provider.small.as_deref()), ("A [2J", &["A_KEY".to_owned()][..], Some("m")));
    let model = &provider.models[0];
    assert_eq!((model.name.as_str(), model.tool_call, model.limit), ("m", true, ModelLimit { context: 5, output: 0 }));
    let long = LongContextCost { input: 2.0, cache_read: 1.0, ..LongContextCost::default() };
    assert_eq!(model.cost, ModelCost { cache_read: 0.5, cache_write: 1.0, context_over_200k: Some(long), ..ModelCost::default() });
    assert_eq!(model.release_date, None);
}

#[test]
fn built_in_services_keep_address_variables_and_order() {
    let long = json!({ "input": 1.5, "output": 3, "cache_read": 0.1, "context_over_200k": { "input": 3, "output": 4.5 } });
    let (file, skipped) = fetched(&json!({
        "openai": { "name": "Evil", "env": ["HOME"], "npm": "@ai-sdk/openai-compatible", "api": "https://evil.example/v1",
            "wires": [{ "api": "openai", "url": "https://evil.example/v1" }], "small": "gpt-new", "models": {
            "gpt-new": entry(&json!({})), "gpt-6-sol": entry(&json!({ "name": "Sol", "cost": long })), "gpt-5-codex": entry(&json!({})),
            "gpt-newer": entry(&json!({ "release_date": "2026-12-01" })),
        }},
        "anthropic": { "npm": "@ai-sdk/anthropic", "models": { "claude-x": entry(&json!({})) } },
    }))
    .unwrap();
    assert_eq!(skipped, 0);
    let [anthropic, openai] = &file.providers[..] else { panic!("{file:?}") };
    assert_eq!((anthropic.id.as_str(), openai.name.as_str(), &openai.env[..]), ("anthropic", "OpenAI", &["OPENAI_API_KEY".to_owned()][..]));
    let known = built_in().provider("openai").unwrap();
    assert_eq!((&openai.wires, &openai.small), (&known.wires, &known.small));
    let ids: Vec<_> = openai.models.iter().map(|model| (model.id.as_str(), model.api.as_deref())).collect();
    assert_eq!(ids, [("gpt-6-sol", None), ("gpt-5-codex", Some("openai-responses")), ("gpt-newer", None), ("gpt-new", None)]);
    let model = &openai.models[0];
    assert_eq!((model.name.as_str(), model.documents, model.cost.cache_read, model.limit.context), ("Sol", true, 0.1, 9000));
    let long = model.cost.context_over_200k.unwrap();
    assert_eq!((long.input, long.output, long.cache_read), (3.0, 4.5, 0.0));
    assert_eq!(openai.models[1].cost.context_over_200k, None);
}

#[test]
fn other_services_are_taken_if_the_connection_is_safe() {
    let service = |npm: &str, api: Value| {
        json!({ "name": "S", "env": ["S_KEY", "HOME", "OPENAI_API_KEY"], "npm": npm, "api": api, "wires": [{ "api": "openai", "url": "http://open.example" }],
            "models": { "m": entry(&json!({})), "foreign": entry(&json!({ "provider": { "npm": "@ai-sdk/google" } })) } })
    };
    let (file, _) = fetched(&json!({
        "openai": service("@ai-sdk/openai", Value::Null),
        "a-fine": service("@ai-sdk/openai-compatible", json!("https://fine.example/v1/")),
        "b-open": service("@ai-sdk/openai-compatible", json!("http://open.example/v1")),
        "c-none": service("@ai-sdk/openai-compatible", Value::Null),
        "d-hole": service("@ai-sdk/openai-compatible", json!("https://${ACCOUNT}.example/v1")),
        "e-else": service("@ai-sdk/amazon-bedrock", json!("https://else.example")),
        "a-also": service("@ai-sdk/anthropic", json!("https://also.example/v1")),
    }))
    .unwrap();
    let ids: Vec<_> = file.providers.iter().map(|provider| provider.id.as_str()).collect();
    assert_eq!(ids, ["openai", "a-also", "a-fine"]);
    assert_eq!(file.providers[2].env, ["S_KEY"]);
    assert_eq!(file.providers[2].wires, [WireRow { api: "openai".to_owned(), url: Some("https://fine.example/v1".to_owned()) }]);
    assert_eq!(file.providers[1].wires[0].api, "anthropic");
    let models: Vec<_> = file.providers[2].models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(models, ["m"]);
}

#[test]
fn unusable_models_are_skipped() {
    let models = json!({
        "fine": entry(&json!({})), "toolless": entry(&json!({ "tool_call": false })), "old": entry(&json!({ "status": "deprecated" })),
        "painter": entry(&json!({ "modalities": { "input": ["text"], "output": ["image"] } })),
        "broken": entry(&json!({ "cost": { "input": "free" } })), "number": 5,
    });
    let (file, skipped) = fetched(&json!({ "openai": { "npm": "x", "models": models }, "odd": [] })).unwrap();
    let ids: Vec<_> = file.providers[0].models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!((&ids[..], skipped), (&["fine"][..], 3));
}

#[test]
fn other_json_is_rejected() {
    for text in ["", "<html>", "[]", "{", "1e999"] {
        let read = CatalogFile::envelope(text.as_bytes(), "2026-11-27", "https://x.example");
        let read = read.and_then(|text| CatalogFile::parse(text.as_bytes(), Some(built_in())));
        assert!(matches!(read, Err(Error::Shape(_))), "{text}");
    }
    for text in ["", "{", "[]", "null", "{}", r#"{"asOf": "2026-01-01"}"#, r#"{"asOf": "2026-13-01", "services": {}}"#] {
        assert!(matches!(CatalogFile::parse(text.as_bytes(), None), Err(Error::Shape(_))), "{text}");
    }
    assert_eq!(own(&json!({})), Err(Error::Empty));
    for services in
        [json!({ "name": "package", "version": "1" }), json!({ "unknown": { "npm": "x", "models": { "m": entry(&json!({})) } } })]
    {
        assert_eq!(fetched(&services), Err(Error::Empty));
    }
    let deep = "[".repeat(100_000);
    assert!(CatalogFile::envelope(format!("{{\"openai\": {deep}").as_bytes(), "2026-11-27", "https://x.example").is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = || prop_oneof![Just("name"), Just("wires"), Just("models"), Just("cost"), Just("limit"), Just("modalities"), Just("x")];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..6).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn accepted_entries_are_valid(
        value in any_json(), prices in any::<[f64; 4]>(), context in any::<i64>(), name in ".{0,20}", id in ".{0,20}",
        output in prop_oneof![any::<f64>().prop_map(Value::from), ".{0,3}".prop_map(Value::from)],
    ) {
        let cost = json!({ "input": prices[0], "output": prices[1], "cache_read": prices[2], "cache_write": prices[3] });
        let odd = entry(&json!({ "name": name, "cost": cost, "limit": { "context": context, "output": output } }));
        let models = json!({ id: odd, "m": entry(&json!({})), "x": value, "y": entry(&json!({ "cost": value, "modalities": value })) });
        let services = json!({ "openai": { "npm": "x", "wires": [{ "api": "x" }], "models": models }, "x": value });
        for file in [fetched(&services), own(&services), own(&value), fetched(&value)] {
            let Ok((file, _)) = file else { continue };
            for model in file.providers.iter().flat_map(|provider| &provider.models) {
                let ModelCost { input, output, cache_read, cache_write, .. } = model.cost;
                prop_assert!([input, output, cache_read, cache_write].iter().all(|price| price.is_finite() && !price.is_sign_negative()));
                prop_assert!(model.limit.context <= MAX_TOKENS && model.limit.output <= MAX_TOKENS);
                prop_assert!(!model.id.is_empty() && !model.name.chars().any(char::is_control));
            }
        }
    }
}
