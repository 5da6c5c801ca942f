//! The catalogue with settings as people write them.

use serde_json::json;

use super::*;
use crate::provider::{
    definition::Delta,
    model_server::{Answer, ModelServer},
    remote_testing::{deltas_of, request, text_of},
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
fn the_order_of_choice_is_fixed() {
    let catalog = catalog([("zeta", with_models(&["z"])), ("alpha", with_models(&["a"])), ("empty", ProviderSettings::default())]);
    let keys = environment(&[("OPENAI_API_KEY", "1"), ("ANTHROPIC_API_KEY", "2")]);
    assert_eq!(catalog.connected(&keys), ["anthropic", "openai", "alpha", "empty", "zeta", "offline"]);
    assert_eq!(catalog.connected(&environment(&[("OPENAI_API_KEY", " ")])), ["alpha", "empty", "zeta", "offline"]);
    let defaults: Vec<_> = catalog.connected_defaults(&keys).iter().map(ToString::to_string).collect();
    assert_eq!(defaults, ["anthropic/claude-opus-5-5", "openai/gpt-6-sol", "alpha/a", "zeta/z", "offline/guide"]);
    assert_eq!(Catalog::new(Arc::default(), &CatalogSettings::default()).connected_defaults(&environment(&[])), [offline::reference()]);
}

#[test]
fn providers_can_be_switched_off_but_not_the_offline_one() {
    let key = environment(&[("OPENAI_API_KEY", "1"), ("ANTHROPIC_API_KEY", "2")]);
    let only = |settings: CatalogSettings| Catalog::new(Arc::default(), &settings).connected(&key);
    let all = vec!["anthropic".to_owned(), "openai".to_owned(), "offline".to_owned()];
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
fn unknown_names_get_the_nearest() {
    let catalog = catalog([("local", with_models(&["qwen", "a/b"])), ("bare", ProviderSettings::default())]);
    let error = |text: &str| match catalog.resolve(&model(text), &environment(&[])) {
        Err(Error::NotFound(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{text} was found"),
    };
    assert!(error("antropic/x").starts_with("there is no model provider `antropic`; the nearest are `anthropic`, "));
    assert!(error("local/qwem").contains("has no model `qwem`; the nearest are `qwen`, `a/b`. A model"));
    assert!(error("bare/x").contains("it has none yet"));
    assert!(catalog.resolve(&model("local/a/b"), &environment(&[])).is_ok());
}

#[test]
fn a_missing_key_is_named() {
    let catalog = catalog([]);
    let Err(Error::Credentials(text)) = catalog.resolve(&model("anthropic/claude-opus-5-5"), &environment(&[])) else { panic!() };
    assert_eq!(
        text,
        "there is no key for Anthropic: set ANTHROPIC_API_KEY in the environment, or provider.anthropic.options.apiKey in the settings"
    );
    let named = ProviderSettings { env: Some(vec!["MY_KEY".to_owned()]), ..with_models(&["m"]) };
    let catalog = catalog_in(&Arc::default(), [("mine", named)]);
    assert!(matches!(catalog.resolve(&model("mine/m"), &environment(&[])), Err(Error::Credentials(text)) if text.contains("MY_KEY")));
    assert!(catalog.resolve(&model("mine/m"), &environment(&[("MY_KEY", "k")])).is_ok());
}

#[test]
fn unknown_protocols_are_refused() {
    let odd = ProviderSettings { api: Some("gopher".to_owned()), ..with_models(&["m"]) };
    let Err(Error::Settings(text)) = catalog([("odd", odd)]).resolve(&model("odd/m"), &environment(&[])) else { panic!() };
    assert_eq!(
        text,
        "the provider `odd` has the unknown wire protocol `gopher`; known are openai, openai-responses, anthropic, gemini, ollama"
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
    assert_eq!(small("gone/x"), "gone/x");
    assert_eq!(catalog.small_model(Some(&model("a/b")), &model("two/x")).to_string(), "a/b");
}

#[tokio::test]
async fn instances_are_kept_until_their_settings_change() {
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
async fn a_script_file_plays_on_and_starts_anew_when_changed() {
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

#[tokio::test]
async fn the_offline_model_is_always_there() {
    let resolved = catalog([]).resolve(&offline::reference(), &environment(&[])).unwrap();
    assert_eq!(resolved.model, offline::model());
    let deltas = deltas_of(&*resolved.provider, request("guide")).await;
    assert!(matches!(deltas.last(), Some(Delta::Finish { .. })));
}
