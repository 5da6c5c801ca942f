//! Recordings: a session with tools, retries and failures is replayed without a service, with the same transcript.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    command::polytree,
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// A transcript without values that differ between runs: ids, times, paths.
fn renamed(value: Value, fixture: &Fixture) -> Value {
    let home = fixture.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    let mut ids: Vec<String> = Vec::new();
    let mut value = value;
    walk(&mut value, &home, &mut ids);
    value
}

fn walk(value: &mut Value, home: &str, ids: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let is_id = ["ses_", "msg_", "prt_", "prj_", "per_"].iter().any(|prefix| text.starts_with(prefix)) && text.len() == 30;
            if is_id {
                let known = ids.iter().position(|id| id == text).unwrap_or_else(|| {
                    ids.push(text.clone());
                    ids.len() - 1
                });
                *text = format!("{}{known}", &text[..4]);
            } else {
                *text = text.replace(home, "HOME");
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| walk(value, home, ids)),
        Value::Object(object) => {
            object.retain(|key, _| !["cursor", "time", "next", "subscription"].contains(&key.as_str()));
            object.values_mut().for_each(|value| walk(value, home, ids));
        }
        _ => {}
    }
}

/// A client's events, with joined deltas: their sizes depend on timing.
fn joined(events: Vec<Value>) -> Vec<Value> {
    let mut joined: Vec<Value> = Vec::new();
    for event in events {
        let field = |event: &Value, name: &str| event["properties"][name].as_str().unwrap_or_default().to_owned();
        match joined.last_mut() {
            Some(last)
                if last["type"] == "message.part.delta"
                    && event["type"] == last["type"]
                    && field(last, "partID") == field(&event, "partID") =>
            {
                last["properties"]["delta"] = json!(field(last, "delta") + &field(&event, "delta"));
            }
            _ => joined.push(event),
        }
    }
    joined
}

/// Three prompts: one with a tool after a retry, one that breaks off, one that fails. Returns all messages and events.
async fn converse(client: &mut Client, fixture: &Fixture) -> (Value, Value) {
    let session = client.call("session.create", json!({ "title": "named" })).await["id"].as_str().unwrap().to_owned();
    let types = json!(["message.updated", "message.part.updated", "message.part.delta", "session.error", "session.status", "session.idle"]);
    client.subscribe(json!({ "sessionID": session, "types": types })).await;
    let mut events = Vec::new();
    for prompt in ["What is in a.txt?", "And now?", "Go on."] {
        client.prompt(&session, prompt).await;
        events.extend(client.events_until("session.idle").await);
    }
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    (renamed(messages, fixture), renamed(Value::Array(joined(events)), fixture))
}

#[tokio::test]
async fn a_session_plays_again_without_its_service() {
    let fixture = Fixture::new().await;
    let tape = fixture.path("tape.jsonl");
    let file = fixture.path("repo/a.txt");
    fixture.models.push(Answer::json(429, &json!({ "error": { "message": "slow down, secret-key" } })).header("retry-after-ms", "5"));
    fixture.models.push(Answer::openai_calls(&[("c1", "read", json!({ "filePath": file })), ("c2", "fly", json!({}))]));
    fixture.models.push(Answer::sse([
        openai::reasoning("hm"),
        openai::text("Three "),
        openai::text("lines."),
        openai::finish("stop"),
        openai::usage(20, 7),
        openai::DONE.to_owned(),
    ]));
    fixture.models.push(Answer::sse([openai::text("Half")]).cut());
    fixture.models.push(Answer::openai_text("Whole."));
    fixture.models.push(Answer::json(400, &json!({ "error": { "message": "no more" } })));
    let mut client = Client::start_with(&fixture, "repo", &[("POLYTREE_RECORD", tape.to_str().unwrap())]);
    let (messages, events) = converse(&mut client, &fixture).await;
    assert!(client.end().await.success());
    assert_eq!(parts(&messages[1], "retry").len(), 1, "{messages:#}");
    assert_eq!(messages.as_array().unwrap().last().unwrap()["info"]["error"]["name"], "APIError");
    let written = std::fs::read_to_string(&tape).unwrap();
    assert!(!written.contains("secret-key") && !written.to_lowercase().contains("authorization"), "{written}");
    assert!(!written.contains(file.to_str().unwrap()), "the directory is a placeholder");
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&tape).unwrap().permissions().mode() & 0o777, 0o600);
    }

    // Another home with the same settings, but without the service and the key.
    let elsewhere = Fixture::new().await;
    let model = json!({ "limit": { "context": 100_000, "output": 4000 }, "cost": { "input": 1, "output": 2 } });
    elsewhere.settings(&json!({ "provider": { "test": {
        "api": "openai", "env": ["NO_SUCH_KEY"], "options": { "baseURL": "http://127.0.0.1:1/v1" }, "models": { "main": model, "small": model } } } }));
    drop(fixture);
    let played = elsewhere.path("played.jsonl");
    std::fs::write(&played, &written).unwrap();
    let mut client = Client::start_with(&elsewhere, "repo", &[("POLYTREE_REPLAY", played.to_str().unwrap())]);
    let (messages_again, events_again) = converse(&mut client, &elsewhere).await;
    assert_eq!(messages_again, messages);
    // A recording has the whole calls, not the pieces in which they were written.
    let without_pieces = |events: &Value| -> Vec<Value> {
        events.as_array().unwrap().iter().filter(|event| event["properties"]["field"] != "raw").cloned().collect()
    };
    assert_eq!(without_pieces(&events_again), without_pieces(&events));
    assert!(elsewhere.models.requests().is_empty());

    // A different conversation.
    let session = client.session().await;
    let answer = client.prompt(&session, "What is in b.txt?").await;
    let error = &answer["info"]["error"]["data"];
    assert!(error["message"].as_str().unwrap().contains("/messages/0/user/0/text"), "{error}");
    assert_eq!(error["isRetryable"], false);
}

#[tokio::test]
async fn the_command_records_its_own_turns_and_replays_them() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("Recorded words."));
    fixture.models.push(Answer::openai_text("Not recorded."));
    // One daemon for all commands: the options of one do not affect the others.
    let (code, out, err) = polytree(&fixture, &["run", "--title", "a", "--record", "tape.jsonl", "say something"]).await;
    assert_eq!((code, out.trim()), (0, "Recorded words."), "{err}");
    let tape = std::fs::read_to_string(fixture.path("repo/tape.jsonl")).unwrap();
    let (code, ..) = polytree(&fixture, &["run", "--title", "b", "say more"]).await;
    assert_eq!((code, std::fs::read_to_string(fixture.path("repo/tape.jsonl")).unwrap()), (0, tape));
    let asked = fixture.models.requests().len();
    let (code, out, err) = polytree(&fixture, &["run", "--title", "c", "--replay", "tape.jsonl", "say something"]).await;
    assert_eq!((code, out.trim()), (0, "Recorded words."), "{err}");
    let (code, _, err) = polytree(&fixture, &["run", "--title", "d", "--replay", "tape.jsonl", "say nothing"]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("something") && err.contains("nothing"), "{err}");
    let (code, _, err) = polytree(&fixture, &["run", "--replay", "missing.jsonl", "x"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("missing.jsonl cannot be played"), "{err}");
    assert_eq!(fixture.models.requests().len(), asked);
}

#[tokio::test]
async fn settings_record_everything_and_a_recording_needs_no_other_settings() {
    let fixture = Fixture::new().await;
    let tape = fixture.path("tape.jsonl");
    fixture.settings(&json!({ "record": tape }));
    fixture.models.push(Answer::openai_text("Words."));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session, "types": ["session.updated"] })).await;
    client.prompt(&session, "say something").await;
    client.event(|event| event["properties"]["info"]["title"] == "A title").await;
    assert!(client.end().await.success());
    // No provider, no key: the model comes from the recording, too.
    std::fs::write(fixture.path("config/polytree.json"), json!({ "replay": tape }).to_string()).unwrap();
    let asked = fixture.models.requests().len();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session, "types": ["session.updated"] })).await;
    let answer = client.prompt(&session, "say something").await;
    assert_eq!((text(&answer).as_str(), &answer["info"]["modelID"]), ("Words.", &json!("main")));
    client.event(|event| event["properties"]["info"]["title"] == "A title").await;
    assert_eq!(fixture.models.requests().len(), asked);
}
