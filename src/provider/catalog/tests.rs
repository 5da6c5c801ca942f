//! The catalogue with various settings.

use polytree_protocol::provider::ModelLimit;
use serde_json::json;

use super::*;
use crate::provider::{
    definition::{Delta, unknown_model},
    model_server::{Answer, ModelServer},
    testing::{deltas_of, request, text_of},
};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn catalog(providers: impl IntoIterator<Item = (&'static str, ProviderSettings)>) -> Catalog {
    catalog_in(&Arc::default(), providers)
}

fn catalog_in(pool: &Arc<Pool>, providers: impl IntoIterator<Item = (&'static str, ProviderSettings)>) -> Catalog {
    let providers = providers.into_iter().map(|(id, settings)| (id.to_owned(), settings)).collect();
    Catalog::new(Arc::clone(pool), &CatalogSettings { providers, ..CatalogSettings::default() })
}

fn with_models(ids: &[&str]) -> ProviderSettings {
    ProviderSettings { models: ids.iter().map(|id| ((*id).to_owned(), ModelSettings::default())).collect(), ..ProviderSettings::default() }
}

fn model(text: &str) -> ModelRef {
    ModelRef::parse(text).unwrap()
}

#[test]
fn the_order_of_preference_is_fixed() {
    let catalog = catalog([("zeta", with_models(&["z"])), ("alpha", with_models(&["a"])), ("empty", ProviderSettings::default())]);
    let keys = environment(&[("OPENAI_API_KEY", "1"), ("ANTHROPIC_API_KEY", "2")]);
    assert_eq!(catalog.connected(&keys), ["anthropic", "openai", "alpha", "empty", "zeta", "offline"]);
    assert_eq!(catalog.connected(&environment(&[("OPENAI_API_KEY", " ")])), ["alpha", "empty", "zeta", "offline"]);
    let defaults: Vec<_> = catalog.connected_defaults(&keys).iter().map(ToString::to_string).collect();
    assert_eq!(defaults, ["anthropic/claude-opus-5-5", "openai/gpt-6-sol", "alpha/a", "zeta/z", "offline/guide"]);
    assert_eq!(Catalog::new(Arc::default(), &CatalogSettings::default()).connected_defaults(&environment(&[])), [offline::reference()]);
}

#[test]
fn openai_uses_responses_at_its_own_address_and_chat_elsewhere() {
    let wire = |settings: ProviderSettings, id: &str| {
        let catalog = catalog([("openai", settings)]);
        let resolved = catalog
            .resolve(&model(&format!("openai/{id}")), &environment(&[("OPENAI_API_KEY", "1")]))
            .unwrap_or_else(|error| panic!("{error}"));
        let high = resolved.variants.iter().find(|(name, _)| name == "high").map(|(_, fields)| Value::Object(fields.clone()).to_string());
        (resolved.api, high.unwrap_or_default())
    };
    let at = |url: &str| ProviderSettings { base_url: Some(url.to_owned()), ..ProviderSettings::default() };
    for own in [ProviderSettings::default(), at("https://api.openai.com/v1"), at("https://eu.api.openai.com/v1/")] {
        let (api, high) = wire(own, "gpt-6-sol");
        assert_eq!(api, "openai-responses");
        assert!(high.contains("\"reasoning\"") && !high.contains("reasoning_effort"), "{high}");
    }
    for other in
        [at("http://127.0.0.1:8080/v1"), at("https://me.openai.azure.com/openai/v1"), at("https://api.openai.com.evil.test/v1"), at("odd")]
    {
        let (api, high) = wire(other, "gpt-6-sol");
        assert_eq!((api.as_str(), high.as_str()), ("openai", "{\"reasoning_effort\":\"high\"}"));
    }
    // A protocol in the settings is used, and some models have only one.
    assert_eq!(wire(ProviderSettings { api: Some("openai".to_owned()), ..ProviderSettings::default() }, "gpt-6-sol").0, "openai");
    assert_eq!(wire(at("http://127.0.0.1:8080/v1"), "gpt-5-pro").0, "openai-responses");
}

#[test]
fn providers_can_be_disabled_except_the_offline_one() {
    let key = environment(&[("OPENAI_API_KEY", "1"), ("ANTHROPIC_API_KEY", "2")]);
    let only = |settings: CatalogSettings| Catalog::new(Arc::default(), &settings).connected(&key);
    let all = built_in().providers.iter().map(|provider| provider.id.clone()).chain(["offline".to_owned()]).collect();
    assert_eq!(only(CatalogSettings { disabled: all, ..CatalogSettings::default() }), ["offline"]);
    assert_eq!(only(CatalogSettings { enabled: Some(vec!["openai".to_owned()]), ..CatalogSettings::default() }), ["openai", "offline"]);
}

#[test]
fn settings_change_known_models_and_add_new_ones() {
    let changed =
        ModelSettings { name: Some("Mine".to_owned()), limit: Some(ModelLimit { context: 10, output: 5 }), ..ModelSettings::default() };
    let models = BTreeMap::from([("claude-haiku-4-5".to_owned(), changed), ("claude-next".to_owned(), ModelSettings::default())]);
    let catalog = catalog([("anthropic", ProviderSettings { models, name: Some("Ours".to_owned()), ..ProviderSettings::default() })]);
    let list = catalog.list(&environment(&[]));
    let anthropic = &list.providers[0];
    assert_eq!((anthropic.name.as_str(), anthropic.api.as_str()), ("Ours", "anthropic"));
    let haiku = &anthropic.models["claude-haiku-4-5"];
    assert_eq!((haiku.name.as_str(), haiku.limit.context, haiku.attachment, haiku.cost.output), ("Mine", 10, true, 5.0));
    assert_eq!(anthropic.models["claude-next"], unknown_model("claude-next"));
    assert_eq!(list.default["anthropic"], "claude-opus-5-5");
    assert_eq!(list.connected, ["offline"]);
}

#[test]
fn listing_shows_no_secret() {
    let secret = || Secret::new("sk-hidden");
    let settings =
        ProviderSettings { api_key: secret(), headers: BTreeMap::from([("x-key".to_owned(), secret().unwrap())]), ..with_models(&["m"]) };
    let catalog = catalog([("local", settings.clone())]);
    let list = serde_json::to_string(&catalog.list(&environment(&[("ANTHROPIC_API_KEY", "sk-hidden")]))).unwrap();
    assert!(!list.contains("sk-hidden") && list.contains("\"local\""), "{list}");
    assert!(!format!("{settings:?}").contains("sk-hidden"));
}

#[test]
fn unknown_names_get_suggestions() {
    let catalog = catalog([("local", with_models(&["qwen", "a/b"])), ("bare", ProviderSettings::default())]);
    let error = |text: &str| match catalog.resolve(&model(text), &environment(&[])) {
        Err(Error::NotFound(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{text} was found"),
    };
    assert_eq!(error("antropic/x"), "there is no model provider `antropic`; the nearest is `anthropic`");
    assert_eq!(error("nosuch/x"), "there is no model provider `nosuch`");
    assert!(error("local/qwem").contains("has no model `qwem`; the nearest is `qwen`. A model"));
    assert!(error("local/zzz").contains("has no model `zzz`; known are `a/b`, `qwen`. A model"));
    assert!(error("bare/x").contains("it has none yet"));
    assert!(catalog.resolve(&model("local/a/b"), &environment(&[])).is_ok());
}

#[test]
fn a_missing_key_is_reported() {
    let catalog = catalog([]);
    let Err(Error::Credentials(text)) = catalog.resolve(&model("anthropic/claude-opus-5-5"), &environment(&[])) else { panic!() };
    assert_eq!(
        text,
        "there is no key for Anthropic: set ANTHROPIC_API_KEY in the environment, or run `polytree auth login anthropic`, or set \
         provider.anthropic.options.apiKey in the settings"
    );
    let named = ProviderSettings { env: Some(vec!["MY_KEY".to_owned()]), ..with_models(&["m"]) };
    let catalog = catalog_in(&Arc::default(), [("mine", named)]);
    assert!(matches!(catalog.resolve(&model("mine/m"), &environment(&[])), Err(Error::Credentials(text)) if text.contains("MY_KEY")));
    assert!(catalog.resolve(&model("mine/m"), &environment(&[("MY_KEY", "k")])).is_ok());
}

#[test]
fn unknown_protocols_are_rejected() {
    let odd = ProviderSettings { api: Some("gopher".to_owned()), ..with_models(&["m"]) };
    let Err(Error::Settings(text)) = catalog([("odd", odd)]).resolve(&model("odd/m"), &environment(&[])) else { panic!() };
    assert!(
        text.starts_with("the provider `odd` has the unknown wire protocol `gopher`; known are openai, openai-responses, anthropic"),
        "{text}"
    );
}

#[test]
fn the_small_model() {
    let catalog = catalog([("local", with_models(&["big"])), ("two", with_models(&["x-mini", "x"]))]);
    let small = |main: &str| catalog.small_model(None, &model(main)).to_string();
    assert_eq!(small("anthropic/claude-opus-5-5"), "anthropic/claude-haiku-5-5");
    assert_eq!(small("openai/gpt-6-sol"), "openai/gpt-6-luna");
    assert_eq!(small("local/big"), "local/big");
    assert_eq!(small("two/x"), "two/x-mini");
    assert_eq!(small("google/gemini-2.5-pro"), "google/gemini-3.1-flash-lite");
    assert_eq!(small("moonshotai/kimi-k3"), "moonshotai/kimi-k3");
    assert_eq!(small("gone/x"), "gone/x");
    assert_eq!(catalog.small_model(Some(&model("a/b")), &model("two/x")).to_string(), "a/b");
}

#[tokio::test]
async fn instances_are_cached_until_their_settings_change() {
    let server = ModelServer::start().await;
    let settings = |timeout_ms| ProviderSettings {
        base_url: Some(server.url()),
        env: Some(vec!["LOCAL_KEY".to_owned()]),
        timeout_ms,
        options: json!({"seed": 1, "top_k": 2}).as_object().unwrap().clone(),
        models: BTreeMap::from([(
            "m".to_owned(),
            ModelSettings { options: json!({"seed": 3}).as_object().unwrap().clone(), ..ModelSettings::default() },
        )]),
        ..ProviderSettings::default()
    };
    let pool = Arc::new(Pool::default());
    let resolve = |timeout, key: &str| {
        let catalog = catalog_in(&pool, [("local", settings(timeout))]);
        catalog.resolve(&model("local/m"), &environment(&[("LOCAL_KEY", key)])).unwrap()
    };
    let first = resolve(None, "one");
    assert!(Arc::ptr_eq(&first.provider, &resolve(None, "one").provider));
    assert!(!Arc::ptr_eq(&first.provider, &resolve(None, "two").provider));
    assert!(!Arc::ptr_eq(&first.provider, &resolve(Some(5000), "one").provider));
    assert_eq!(Value::Object(first.options.clone()), json!({"seed": 3, "top_k": 2}));

    for key in ["one", "two"] {
        server.push(Answer::openai_text("hi"));
        let resolved = resolve(None, key);
        let deltas = deltas_of(&*resolved.provider, request("m")).await;
        assert_eq!(text_of(&deltas), "hi");
    }
    let keys: Vec<_> = server.requests().iter().map(|sent| sent.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(keys, ["Bearer one", "Bearer two"]);
}

#[tokio::test]
async fn a_script_continues_and_restarts_when_its_file_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script.json");
    let settings = |path: &str| ProviderSettings {
        api: Some("scripted".to_owned()),
        options: json!({"script": path}).as_object().unwrap().clone(),
        ..with_models(&["demo"])
    };
    let catalog = catalog([("play", settings(path.to_str().unwrap())), ("relative", settings("script.json"))]);
    let answer = async || {
        let resolved = catalog.resolve(&model("play/demo"), &environment(&[])).unwrap();
        assert!(resolved.options.is_empty());
        text_of(&deltas_of(&*resolved.provider, request("demo")).await)
    };
    let script = |texts: [&str; 2]| json!({"calls": texts.map(|text| json!([{"type": "text", "text": text}]))}).to_string();
    std::fs::write(&path, script(["one", "two"])).unwrap();
    assert_eq!(answer().await, "one");
    assert_eq!(answer().await, "two");
    std::fs::write(&path, script(["three", "four"])).unwrap();
    assert_eq!(answer().await, "three");

    std::fs::write(&path, "{").unwrap();
    assert!(matches!(catalog.resolve(&model("play/demo"), &environment(&[])), Err(Error::Settings(text)) if text.contains("script.json")));
    assert!(
        matches!(catalog.resolve(&model("relative/demo"), &environment(&[])), Err(Error::Settings(text)) if text.contains("absolute path"))
    );
}

#[test]
fn a_model_of_another_protocol_appears_with_it() {
    let listed = catalog([]).list(&environment(&[]));
    let openai = listed.providers.iter().find(|provider| provider.id == "openai").unwrap();
    let responses = openai.models.values().filter(|model| model.api.as_deref() == Some("openai-responses")).count();
    assert!(responses > 0);
    let google = listed.providers.iter().find(|provider| provider.id == "google").unwrap();
    assert_eq!(google.api, "gemini");
}

#[test]
fn keys_come_from_settings_environment_and_store_in_this_order() {
    let directory = tempfile::tempdir().unwrap();
    let pool = Arc::new(Pool::new(&AbsPath::new(directory.path()).unwrap()));
    pool.keys.set("groq", "sk-stored").unwrap();
    pool.keys.set("nobody", "sk-stored").unwrap();
    let variable = environment(&[("GROQ_API_KEY", "sk-variable")]);
    let settings = || [("groq", ProviderSettings { api_key: Secret::new("sk-setting"), ..ProviderSettings::default() })];
    let places = |catalog: &Catalog, environment: &BTreeMap<String, String>| {
        let entries = catalog.keys(environment).unwrap();
        let ids: Vec<_> = entries.iter().map(|entry| entry.provider_id.as_str()).collect();
        assert_eq!(ids, ["groq", "nobody"]);
        let shown = catalog.list(environment).providers.into_iter().find(|provider| provider.id == "groq").unwrap();
        assert_eq!(shown.key, Some(entries[0].keys[0].source));
        entries[0].keys.iter().map(|place| format!("{:?}", place.source)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(places(&catalog_in(&pool, settings()), &variable), "Settings Environment Stored");
    assert_eq!(places(&catalog_in(&pool, []), &variable), "Environment Stored");
    assert_eq!(places(&catalog_in(&pool, []), &environment(&[])), "Stored");
    assert_eq!(catalog_in(&pool, []).connected(&environment(&[])), ["groq", "offline"]);
    std::fs::write(directory.path().join("auth.json"), "{").unwrap();
    let broken = catalog_in(&pool, []);
    let Err(Error::Credentials(text)) = broken.resolve(&model("groq/openai/gpt-oss-20b"), &environment(&[])) else { panic!() };
    assert!(text.contains("GROQ_API_KEY") && text.contains("is damaged"), "{text}");
    assert!(broken.list(&variable).problems[0].contains("is damaged"));
    assert!(broken.keys(&variable).is_err());
}

#[test]
fn fetched_services_are_used_when_the_user_names_them() {
    let directory = tempfile::tempdir().unwrap();
    let pool = Arc::new(Pool::new(&AbsPath::new(directory.path()).unwrap()));
    let service = |url: &str| {
        let model = json!({ "tool_call": true, "modalities": { "input": ["text"], "output": ["text"] } });
        json!({ "env": ["FAR_KEY"], "npm": "@ai-sdk/openai-compatible", "api": url, "models": { "m": model } })
    };
    let services = json!({ "openai": service("https://evil.example/v1"), "far": service("https://far.example/v1") });
    let file = json!({ "asOf": "2099-01-01", "services": services });
    std::fs::write(directory.path().join("models.json"), file.to_string()).unwrap();
    let key = environment(&[("FAR_KEY", "k"), ("OPENAI_API_KEY", "k")]);
    let nobody = catalog_in(&pool, []);
    assert_eq!(nobody.connected(&key), ["openai", "offline"]);
    assert_eq!(nobody.list(&key).catalog.as_of, "2099-01-01");
    let openai = nobody.entries.iter().find(|entry| entry.info.id == "openai").unwrap();
    assert_eq!(
        (openai.info.models.len(), &openai.wire_url, openai.info.env.as_slice()),
        (1, &None, ["OPENAI_API_KEY".to_owned()].as_slice())
    );
    let named = catalog_in(&pool, [("far", ProviderSettings::default())]);
    assert_eq!(named.connected(&key), ["openai", "far", "offline"]);
    assert_eq!(named.entries.iter().find(|entry| entry.info.id == "far").unwrap().wire_url.as_deref(), Some("https://far.example/v1"));
    assert_eq!(named.connected(&environment(&[])), ["offline"], "it needs a key");
    pool.keys.set("far", "sk-far").unwrap();
    assert_eq!(catalog_in(&pool, []).connected(&environment(&[])), ["far", "offline"]);
    let everything = Catalog::new(pool, &CatalogSettings { everything: true, ..CatalogSettings::default() });
    assert!(everything.knows("far"));
}

#[test]
fn local_servers_are_never_chosen_by_default() {
    let mut found = catalog([]);
    found.add_local(Kind::Vllm, "http://127.0.0.1:9", vec![unknown_model("a/b")]);
    let none = environment(&[]);
    assert_eq!(found.connected(&none), ["offline", "vllm"]);
    assert_eq!(found.connected_defaults(&none), [offline::reference()]);
    let list = found.list(&none);
    assert_eq!(list.providers.iter().filter(|provider| provider.local).count(), 1);
    assert!(found.resolve(&model("vllm/a/b"), &none).is_ok());
    // The settings have a URL.
    let elsewhere = ProviderSettings { base_url: Some("http://127.0.0.1:10/v1".to_owned()), ..with_models(&["m"]) };
    let mut found = catalog([("vllm", elsewhere)]);
    found.add_local(Kind::Vllm, "http://127.0.0.1:9", vec![unknown_model("a/b")]);
    assert!(!found.list(&none).providers.iter().any(|provider| provider.local || provider.models.contains_key("a/b")));
    // The settings only add models.
    let mut found = catalog([("vllm", with_models(&["m"]))]);
    found.add_local(Kind::Vllm, "http://127.0.0.1:9", vec![unknown_model("a/b")]);
    let list = found.list(&none);
    let vllm = list.providers.iter().find(|provider| provider.id == "vllm").unwrap();
    assert_eq!((vllm.local, vllm.models.keys().cloned().collect::<Vec<_>>()), (true, vec!["a/b".to_owned(), "m".to_owned()]));
}

#[tokio::test]
async fn the_offline_model_is_always_available() {
    let resolved = catalog([]).resolve(&offline::reference(), &environment(&[])).unwrap();
    assert_eq!(resolved.model, offline::model());
    let deltas = deltas_of(&*resolved.provider, request("guide")).await;
    assert!(matches!(deltas.last(), Some(Delta::Finish { .. })));
}
