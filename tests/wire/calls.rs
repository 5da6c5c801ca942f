//! Model calls: proxies, options of requests, errors, and costs.

use std::time::Duration;

use polytree::{serve::local::Hello, stdx::paths::AbsPath};
use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
    way::{Proxy, address},
};

/// The settings of the fixture's provider, with further options.
fn provider(fixture: &Fixture, options: &Value, model: &Value) -> Value {
    let mut main = json!({ "limit": { "context": 100_000, "output": 4000 }, "cost": { "input": 1, "output": 2 } });
    let mut settings = json!({ "baseURL": fixture.models.url(), "apiKey": "secret-key" });
    for (key, value) in options.as_object().unwrap() {
        settings[key] = value.clone();
    }
    for (key, value) in model.as_object().unwrap() {
        main[key] = value.clone();
    }
    json!({ "provider": { "test": { "api": "openai", "options": settings, "models": { "main": main, "small": {} } } } })
}

fn main_requests(fixture: &Fixture) -> Vec<Value> {
    fixture.models.requests().into_iter().map(|request| request.body).filter(|body| body["model"] == "main").collect()
}

#[tokio::test]
async fn the_proxy_is_that_of_the_client_that_asks() {
    let fixture = Fixture::new().await;
    let proxy = Proxy::start(address(&fixture.models.url()), Some("me:hunter22")).await;
    fixture.settings(&provider(&fixture, &json!({ "baseURL": "http://models.test/v1" }), &json!({})));
    fixture.models.push(Answer::openai_text("by a proxy"));
    // The daemon's own variables name a proxy that does not exist.
    let daemon = Client::start_with(&fixture, "repo", &[("HTTP_PROXY", "http://127.0.0.1:1")]);
    let mut environment: std::collections::BTreeMap<String, String> =
        fixture.environment().into_iter().map(|(name, value)| (name.to_owned(), value.to_str().unwrap().to_owned())).collect();
    environment.insert("http_proxy".to_owned(), format!("http://me:hunter22@{}", proxy.address));
    let mut daemon = daemon;
    // It is ready once it has answered.
    daemon.call("server.info", json!({})).await;
    let directory = AbsPath::new(fixture.path("repo")).unwrap();
    let mut client = Client::greet(&fixture, &Hello::new(Some(&directory), environment)).await.unwrap();
    let session = client.call("session.create", json!({ "title": "named" })).await["id"].as_str().unwrap().to_owned();
    assert_eq!(text(&client.prompt(&session, "hello").await), "by a proxy");
    assert_eq!(proxy.seen(), ["POST http://models.test/v1/chat/completions HTTP/1.1"]);
}

#[tokio::test]
async fn a_proxy_of_the_settings_that_refuses_is_told_with_what_to_do() {
    let fixture = Fixture::new().await;
    let proxy = Proxy::start(address(&fixture.models.url()), Some("me:hunter22")).await;
    let options = json!({ "baseURL": "http://models.test/v1", "proxy": format!("http://me:wrong-one@{}", proxy.address) });
    fixture.settings(&provider(&fixture, &options, &json!({})));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = client.prompt(&session, "hello").await;
    let error = &answer["info"]["error"];
    assert_eq!((error["name"].as_str(), error["data"]["isRetryable"].as_bool()), (Some("APIError"), Some(false)), "{answer}");
    assert!(error["data"]["hint"].as_str().unwrap().contains("options.proxy"), "{error}");
    assert!(parts(&answer, "retry").is_empty() && !answer.to_string().contains("wrong-one"), "{answer}");
}

#[tokio::test]
async fn variants_and_options_reach_the_model() {
    let fixture = Fixture::new().await;
    let model = json!({ "reasoning": true, "temperature": true, "variants": { "loud": { "volume": 11 }, "low": false } });
    fixture.settings(&provider(&fixture, &json!({}), &model));
    std::fs::create_dir_all(fixture.path("config/agent")).unwrap();
    std::fs::write(fixture.path("config/agent/deep.md"), "---\nvariant: high\ntemperature: 0.2\nmax_output_tokens: 300\n---\nThink.")
        .unwrap();
    let mut client = Client::start(&fixture);
    let providers = client.call("provider.list", json!({})).await;
    let test = providers["providers"].as_array().unwrap().iter().find(|provider| provider["id"] == "test").unwrap().clone();
    assert_eq!(test["models"]["main"]["variants"], json!(["medium", "high", "loud"]));
    let session = client.session().await;
    for (params, expected) in [
        (json!({}), json!([null, null, null, 4000, null])),
        (json!({ "variant": "loud" }), json!([null, 11, null, 4000, "loud"])),
        (json!({ "agent": "deep" }), json!(["high", null, 0.2, 300, "high"])),
        (
            json!({ "agent": "deep", "variant": "medium", "options": { "temperature": 1.5, "maxOutputTokens": 50 } }),
            json!(["medium", null, 1.5, 50, "medium"]),
        ),
    ] {
        fixture.models.push(Answer::openai_text("ok"));
        let mut params = params;
        params["sessionID"] = json!(session);
        params["parts"] = json!("go");
        let answer = client.call("session.prompt", params.clone()).await;
        let body = main_requests(&fixture).pop().unwrap();
        let sent = json!([body["reasoning_effort"], body["volume"], body["temperature"], body["max_tokens"], answer["info"]["variant"]]);
        assert_eq!(sent, expected, "{params}");
    }
    let asked = client.call("session.messages", json!({ "sessionID": session, "limit": 2 })).await[0]["info"].clone();
    assert_eq!((&asked["variant"], &asked["options"]["temperature"]), (&json!("medium"), &json!(1.5)));

    let before = fixture.models.requests().len();
    for (params, expected) in [
        (json!({ "variant": "low" }), "`variant`: the model test/main has no variant \"low\"; it has medium, high, loud"),
        (json!({ "options": { "temperature": 3 } }), "`options.temperature`: expected a number from 0 to 2"),
        (json!({ "options": { "topP": 0 } }), "`options.topP`: expected"),
        (json!({ "options": { "maxOutputTokens": 0 } }), "`options.maxOutputTokens`: expected at least 1"),
        (json!({ "options": { "heat": 1 } }), "heat"),
        (
            json!({ "options": { "temperature": 1 }, "model": { "providerID": "test", "modelID": "small" } }),
            "provider.test.models.small.temperature",
        ),
    ] {
        let mut params = params;
        params["sessionID"] = json!(session);
        params["parts"] = json!("go");
        let error = client.refused("session.prompt", params).await;
        assert_eq!(error["code"], -32602);
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
    assert_eq!(fixture.models.requests().len(), before);
}

#[tokio::test]
async fn failures_have_names_and_only_some_are_tried_again() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let said = |message: &str, code: &str| json!({ "error": { "message": message, "type": code, "code": code } });
    for (status, body, name) in [
        (429, said("You exceeded your current quota", "insufficient_quota"), "QuotaExceededError"),
        (404, said("The model `main` does not exist", "model_not_found"), "ProviderModelNotFoundError"),
        (400, said("too long", "context_length_exceeded"), "ContextOverflowError"),
        (400, said("filtered", "content_filter"), "ContentFilterError"),
        (401, said("bad key", "invalid_api_key"), "ProviderAuthError"),
    ] {
        let before = main_requests(&fixture).len();
        fixture.models.push(Answer::json(status, &body));
        let answer = client.prompt(&session, "go").await;
        let error = &answer["info"]["error"];
        assert_eq!(error["name"], name, "{answer}");
        assert!(error["data"]["hint"].is_string() && error["data"]["isRetryable"] == false, "{error}");
        assert_eq!(main_requests(&fixture).len(), before + 1, "{name}");
    }
    // A retry delay over the limit is an error immediately.
    for (status, name) in [(429, "RateLimitError"), (529, "OverloadedError")] {
        fixture.models.push(Answer::json(status, &said("later", "x")).header("retry-after", "7200"));
        let answer = client.prompt(&session, "go").await;
        assert_eq!(answer["info"]["error"]["name"], name, "{answer}");
        assert_eq!(answer["info"]["error"]["data"]["statusCode"], status);
        assert!(parts(&answer, "retry").is_empty());
    }
}

#[tokio::test]
async fn every_form_of_the_time_to_wait_is_believed_and_told() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session, "types": ["session.status"] })).await;
    let busy = || Answer::json(503, &json!({ "error": { "message": "later" } }));
    fixture.models.push(busy().header("retry-after-ms", "5"));
    fixture.models.push(busy().header("retry-after", "0.005"));
    fixture.models.push(busy().header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"));
    fixture.models.push(Answer::openai_text("now"));
    let answer = client.prompt(&session, "go").await;
    assert_eq!(text(&answer), "now");
    let attempts: Vec<Value> = parts(&answer, "retry").iter().map(|part| part["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    for attempt in 1..=3 {
        let event = client.event(|event| event["properties"]["status"]["type"] == "retry").await;
        let status = &event["properties"]["status"];
        assert_eq!(status["attempt"], attempt);
        let wait = status["next"].as_i64().unwrap() - event["time"].as_i64().unwrap();
        assert!(wait <= 5, "{event}");
    }
}

#[tokio::test]
async fn a_stream_that_stalls_is_ended_and_tried_again_and_one_that_trickles_is_not() {
    let fixture = Fixture::new().await;
    fixture.settings(&provider(&fixture, &json!({ "timeout": 1500 }), &json!({})));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    // Together longer than the timeout, each of them shorter.
    let words = ["it ", "drips ", "all ", "the ", "time"].map(openai::text);
    fixture.models.push(Answer::sse(words.into_iter().chain([openai::finish("stop")])).pace(Duration::from_millis(400)));
    let answer = client.prompt(&session, "go").await;
    assert_eq!(text(&answer), "it drips all the time");
    assert_eq!(main_requests(&fixture).len(), 1);

    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    fixture.models.push(Answer::openai_text("whole"));
    let answer = client.prompt(&session, "again").await;
    assert_eq!(text(&answer), "whole");
    let messages = client.call("session.messages", json!({ "sessionID": session, "limit": 2 })).await;
    let error = &messages[0]["info"]["error"];
    assert_eq!(text(&messages[0]), "half");
    assert!(error["data"]["message"].as_str().unwrap().contains("sent nothing for too long"), "{error}");
    assert_eq!(parts(&messages[0], "retry").len(), 1);
}

#[tokio::test]
async fn what_everything_costs() {
    let fixture = Fixture::new().await;
    let cost = json!({ "input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75,
        "context_over_200k": { "input": 6, "output": 22.5, "cache_read": 0.6, "cache_write": 7.5 } });
    let mut settings = provider(&fixture, &json!({}), &json!({ "cost": cost }));
    settings["provider"]["test"]["models"]["small"] = json!({ "cost": { "input": 0.1, "output": 0.2 } });
    settings["compaction"] = json!({ "auto": false });
    fixture.settings(&settings);
    let usage = |prompt: u64, cached: u64, completion: u64, thought: u64| {
        openai::usage_of(&json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": { "cached_tokens": cached }, "completion_tokens_details": { "reasoning_tokens": thought } }))
    };
    let say = |usage: String| Answer::sse([openai::text("ok"), openai::finish("stop"), usage, openai::DONE.to_owned()]);
    let mut client = Client::start(&fixture);
    // The title from the small model costs, too: 10 input tokens, 5 output tokens.
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session, "types": ["session.updated"] })).await;
    for (answer, cost) in
        [(say(usage(1000, 400, 300, 100)), 0.006_42), (say(usage(200_001, 1, 10, 0)), 1.200_225_6), (say(usage(7, 0, 3, 1)), 0.000_066)]
    {
        fixture.models.push(answer);
        let answer = client.prompt(&session, "go").await;
        assert_eq!(answer["info"]["cost"], cost, "{answer}");
        assert_eq!(parts(&answer, "step-finish")[0]["cost"], cost);
    }
    let first = client.call("session.messages", json!({ "sessionID": session })).await[1]["info"]["tokens"].clone();
    assert_eq!(first, json!({ "input": 600, "output": 200, "reasoning": 100, "cache": { "read": 400, "write": 0 } }));
    let total = client.event(|event| event["properties"]["info"]["tokens"]["input"] == 600 + 200_000 + 7 + 10).await;
    assert_eq!(total["properties"]["info"]["cost"], 1.206_713_6);
    assert_eq!(client.call("session.get", json!({ "sessionID": session })).await["cost"], 1.206_713_6);
}
