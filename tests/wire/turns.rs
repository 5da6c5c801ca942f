//! Turns of misbehaving models: empty answers, endless answers, repeated calls, no answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    command::{command, ended, polytree},
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// The requests of the main conversation.
fn asked(fixture: &Fixture) -> Vec<Value> {
    fixture.models.requests().into_iter().filter(|request| request.body["model"] == "main").map(|request| request.body).collect()
}

fn error(message: &Value) -> (&str, &str) {
    let error = &message["info"]["error"];
    (error["name"].as_str().unwrap_or_default(), error["data"]["message"].as_str().unwrap_or_default())
}

fn cut_call(length: usize) -> Answer {
    let arguments = format!("{{\"filePath\":\"n.txt\",\"content\":\"{}", "x".repeat(length));
    let frames = [openai::call(0, &format!("call_{length}"), "write", &arguments), openai::finish("length"), openai::DONE.to_owned()];
    Answer::sse(frames)
}

#[tokio::test]
async fn a_call_that_the_output_limit_cuts_is_told_as_that_and_ends_after_a_few() {
    for permission in [json!({}), json!({ "*": "allow" })] {
        let fixture = Fixture::new().await;
        fixture.settings(&json!({ "permission": permission }));
        (1..20).for_each(|length| fixture.models.push(cut_call(length)));
        let mut client = Client::start(&fixture);
        let session = client.session().await;
        let answer = client.prompt(&session, "write it").await;
        assert_eq!(error(&answer).0, "MessageOutputLengthError", "{answer}");
        let requests = asked(&fixture);
        assert_eq!(requests.len(), 3);
        let results: Vec<&str> = requests[2]["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["role"] == "tool")
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        assert_eq!(results.len(), 2);
        assert!(
            results.iter().all(|told| told.contains("reached the output limit (at most 4000 tokens)") && !told.contains("column")),
            "{results:?}"
        );
        assert!(!fixture.path("repo/n.txt").exists());
    }
}

#[tokio::test]
async fn a_cut_answer_whose_calls_are_whole_goes_on() {
    let fixture = Fixture::new().await;
    let read = |id: &str| openai::call(0, id, "read", "{\"filePath\":\"a.txt\"}");
    for place in 0..5 {
        fixture.models.push(Answer::sse([read(&format!("call_{place}{place}")), openai::finish("length"), openai::DONE.to_owned()]));
        fixture.models.push(Answer::openai_calls(&[("c", "list", json!({}))]));
    }
    fixture.models.push(Answer::openai_text("done"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    assert_eq!(text(&client.prompt(&session, "go").await), "done");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let first = messages.as_array().unwrap().iter().find(|message| message["info"]["role"] == "assistant").unwrap();
    assert_eq!((&first["info"]["finish"], parts(first, "tool")[0]["state"]["status"].as_str()), (&json!("length"), Some("completed")));
}

#[tokio::test]
async fn calls_that_cannot_be_run_end_the_turn_whoever_allows_them() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "*": "allow" } }));
    for place in 0..30 {
        let broken = format!("{{\"filePath\":{}", "[".repeat(place));
        fixture.models.push(Answer::sse([
            openai::call(0, &format!("call_{place}"), "read", &broken),
            openai::finish("tool_calls"),
            openai::DONE.to_owned(),
        ]));
    }
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = client.prompt(&session, "go").await;
    assert!(error(&answer).1.contains("tool calls that cannot be run"), "{answer}");
    assert_eq!(asked(&fixture).len(), 10);
}

#[tokio::test]
async fn an_answer_without_a_word_is_asked_for_again_and_then_an_error() {
    let empty = || Answer::sse([openai::finish("stop"), openai::usage(10, 5), openai::DONE.to_owned()]);
    let thinking = || {
        Answer::sse([
            openai::frame(&json!({ "choices": [{ "index": 0, "delta": { "reasoning_content": "hm" } }] })),
            openai::finish("stop"),
        ])
    };
    let fixture = Fixture::new().await;
    [empty(), thinking(), Answer::openai_text("fine")].into_iter().for_each(|answer| fixture.models.push(answer));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    assert_eq!(text(&client.prompt(&session, "go").await), "fine");
    assert_eq!(asked(&fixture).len(), 3);
    // The usage of the empty answer counts.
    let session = client.call("session.get", json!({ "sessionID": session })).await;
    assert!(session["tokens"]["input"].as_u64().unwrap() >= 20, "{session}");

    client.end().await;
    (0..6).for_each(|_| fixture.models.push(Answer::sse([openai::text(" \n"), openai::finish("stop")])));
    let (code, out, err) = polytree(&fixture, &["run", "--standalone", "hi"]).await;
    assert_eq!((code, out.trim()), (1, ""), "{err}");
    assert!(err.contains("without a word and without a call"), "{err}");
    assert_eq!(asked(&fixture).len(), 3 + 4);
}

#[tokio::test]
async fn the_answer_fits_into_the_context_beside_the_prompt() {
    for (limit, most) in [(json!({ "context": 16_384 }), 12_500), (json!({ "context": 32_768, "output": 32_768 }), 29_000)] {
        let fixture = Fixture::new().await;
        let provider = json!({ "test": { "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "k" }, "models": { "main": { "limit": limit } } } });
        fixture.settings(&json!({ "provider": provider, "small_model": "test/main" }));
        fixture.models.rule(|_| Some(Answer::openai_text("fine")));
        let mut client = Client::start(&fixture);
        let session = client.call("session.create", json!({ "title": "named" })).await["id"].as_str().unwrap().to_owned();
        client.prompt(&session, "hi").await;
        let request = &asked(&fixture)[0];
        let asked_for = request["max_tokens"].as_u64().unwrap();
        let prompt = (request["messages"].to_string().len() + request["tools"].to_string().len()) as u64 / 4;
        assert!(asked_for + prompt <= limit["context"].as_u64().unwrap(), "{asked_for} beside {prompt}");
        assert!((5_000..most).contains(&asked_for), "{asked_for}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_run_is_told_at_once() {
    let fixture = Fixture::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at = |url: String| json!({ "test": { "api": "openai", "options": { "baseURL": url, "apiKey": "k" }, "models": { "main": {} } } });
    for (url, hint) in
        [(format!("http://{free}/v1"), "is the server running?"), ("http://no-such-host.invalid/v1".to_owned(), "check the base URL")]
    {
        fixture.settings(&json!({ "provider": at(url) }));
        let since = Instant::now();
        let mut client = Client::start(&fixture);
        let session = client.session().await;
        let answer = client.prompt(&session, "hi").await;
        assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
        assert!(error(&answer).1.starts_with("could not reach"), "{answer}");
        assert!(answer["info"]["error"]["data"]["hint"].as_str().unwrap().contains(hint), "{answer}");
        assert_eq!(parts(&answer, "retry").len(), 1);
        client.end().await;
    }
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_said_everywhere() {
    let fixture = Fixture::new().await;
    let options = json!({ "baseURL": fixture.models.url(), "apiKey": "{env:MY_ABSENT_KEY}" });
    let provider = json!({ "test": { "api": "openai", "options": options, "models": { "main": {}, "other": {} } } });
    fixture.settings(&json!({ "provider": provider }));
    fixture.models.rule(|_| Some(Answer::json(401, &json!({ "error": { "message": "no key" } }))));
    let told = "the variable MY_ABSENT_KEY, which provider.test.options.apiKey in the settings names, is not set";
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = client.prompt(&session, "hi").await;
    assert_eq!((error(&answer).0, answer["info"]["error"]["data"]["hint"].as_str()), ("ProviderAuthError", Some(told)));
    let report = client.call("server.diagnose", json!({})).await;
    assert_eq!(report["settings"]["unset"], json!([told]));
    assert!(
        report["advice"].as_array().unwrap().iter().any(|advice| advice["id"] == "settings.variable" && advice["text"] == told),
        "{report}"
    );
    client.end().await;
    let (_, out, err) = ended(command(&fixture, &["models"]).env("NO_COLOR", "1").output().await.unwrap());
    assert!(err.contains(&format!("warning: {told}")), "{err}");
    let line = |name: &str| out.lines().find(|line| line.contains(name)).unwrap_or_default().trim_end().to_owned();
    assert!(line("test/main").ends_with("used") && !line("offline/guide").ends_with("used"), "{out}");
    let (_, out, _) = polytree(&fixture, &["doctor"]).await;
    assert!(out.contains(told), "{out}");
}
