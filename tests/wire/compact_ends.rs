//! Summaries that fail, are aborted or killed, or do not help; and prompts that come meanwhile.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    compact::{asked, called, is_summary, messages, said, summaries, summarises, too_long},
    support::{
        client::{Client, parts, text},
        fixture::Fixture,
        model_server::{Answer, openai},
    },
};

/// A session with two turns, the second of which has nearly filled the context.
async fn full(fixture: &Fixture, client: &mut Client) -> String {
    let session = client.session().await;
    fixture.models.push(said("first", 1_000));
    client.prompt(&session, "one").await;
    fixture.models.push(said("second", 97_000));
    client.prompt(&session, "two").await;
    session
}

/// How often a summary was asked for.
fn tries(fixture: &Fixture) -> usize {
    fixture.models.requests().iter().filter(|request| is_summary(request)).count()
}

fn refusals() -> [(&'static str, Answer, &'static str); 3] {
    let filtered = [openai::text("no"), openai::finish("content_filter"), openai::usage(5, 1), openai::DONE.to_owned()];
    [
        (
            "ProviderAuthError",
            Answer::json(401, &json!({ "error": { "message": "Incorrect API key provided", "code": "invalid_api_key" } })),
            "credentials",
        ),
        (
            "QuotaExceededError",
            Answer::json(429, &json!({ "error": { "message": "You exceeded your current quota", "code": "insufficient_quota" } })),
            "invalid_state",
        ),
        ("ContentFilterError", Answer::sse(filtered), "invalid_state"),
    ]
}

#[tokio::test]
async fn a_summary_that_fails_says_why_and_leaves_the_session_as_it_was() {
    for (name, refusal, kind) in refusals() {
        let fixture = Fixture::new().await;
        let mut client = Client::start(&fixture);
        let session = full(&fixture, &mut client).await;
        fixture.models.push(refusal.clone());
        let failed = client.refused("session.compact", json!({ "sessionID": session })).await;
        assert_eq!(failed["data"]["kind"], kind, "{failed}");
        assert!(failed["message"].as_str().unwrap().starts_with("the conversation was not summarised: "), "{failed}");
        assert!(failed["data"]["hint"].is_string(), "{failed}");
        let all = messages(&mut client, &session).await;
        assert_eq!(all.last().unwrap()["info"]["error"]["name"], name, "{all:?}");
        assert_eq!(client.call("session.status", json!({})).await, json!({}));

        // Before a step there is still room: the turn goes on without one, and does not try again.
        fixture.models.push(refusal);
        fixture.models.push(called("read", &json!({ "filePath": "a.txt" }), 97_500));
        fixture.models.push(said("third", 97_600));
        let answer = client.prompt(&session, "three").await;
        assert_eq!((text(&answer), &answer["info"]["error"]), ("third".to_owned(), &Value::Null), "{name}");
        assert_eq!(tries(&fixture), 2, "{name}");
        let shown = asked(&fixture);
        let last = &shown[shown.rfind("- step").unwrap()..];
        assert!(last.starts_with("- step\n  user: one\n  assistant: first\n  user: two\n  assistant: second\n  user: three\n"), "{shown}");
        assert!(!last.contains("conversation-summary"), "{shown}");
    }
}

#[tokio::test]
async fn where_no_summary_can_be_made_the_refusal_itself_is_the_error() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(said("first", 100));
    client.prompt(&session, "one").await;
    let [(_, refusal, _), ..] = refusals();
    fixture.models.push(too_long());
    fixture.models.push(refusal);
    let answer = client.prompt(&session, "two").await;
    let error = &answer["info"]["error"];
    assert_eq!(error["name"], "ContextOverflowError", "{answer}");
    assert!(error["data"]["message"].as_str().unwrap().contains("maximum context length"), "{error}");
    let hint = error["data"]["hint"].as_str().unwrap();
    assert!(hint.starts_with("the conversation could not be summarised: ") && hint.contains("Incorrect API key"), "{hint}");
    // It can be used as before.
    fixture.models.push(said("third", 100));
    assert_eq!(text(&client.prompt(&session, "three").await), "third");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_by_itself_is_named() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(too_long());
    let answer = client.prompt(&session, "much").await;
    let error = &answer["info"]["error"];
    assert_eq!((&error["name"], tries(&fixture)), (&json!("ContextOverflowError"), 0), "{answer}");
    let hint = error["data"]["hint"].as_str().unwrap();
    assert!(hint.starts_with("the prompt and the instructions alone are longer than the context of test/main"), "{hint}");
    // Also where the rest of the conversation was summarised first.
    fixture.models.push(said("first", 100));
    client.prompt(&session, "one").await;
    for _ in 0..2 {
        fixture.models.push(too_long());
    }
    let answer = client.prompt(&session, "much more").await;
    assert_eq!((&answer["info"]["error"]["data"]["hint"], tries(&fixture)), (&json!(hint), 1), "{answer}");
}

#[tokio::test]
async fn summaries_that_do_not_help_end_after_three_rounds() {
    let fixture = Fixture::new().await;
    summarises(&fixture);
    let mut client = Client::start(&fixture);
    let session = full(&fixture, &mut client).await;
    // Whatever is summarised, the next answer fills the context again.
    for prompt in 0..8 {
        fixture.models.push(said("more", 97_000));
        let answer = client.prompt(&session, &format!("prompt {prompt}")).await;
        assert_eq!(text(&answer), "more");
    }
    assert_eq!(tries(&fixture), 3);
    // What the service refuses then fails with that error, and says so.
    fixture.models.push(too_long());
    let answer = client.prompt(&session, "last").await;
    let error = &answer["info"]["error"];
    assert_eq!((&error["name"], tries(&fixture)), (&json!("ContextOverflowError"), 3), "{answer}");
    assert!(error["data"]["hint"].as_str().unwrap().contains("three times within half an hour"), "{error}");
    // The user may insist.
    assert_eq!(client.call("session.compact", json!({ "sessionID": session })).await, true);
}

#[tokio::test]
async fn without_automatic_summaries_a_refusal_is_an_error() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "compaction": { "auto": false } }));
    let mut client = Client::start(&fixture);
    let session = full(&fixture, &mut client).await;
    fixture.models.push(too_long());
    let answer = client.prompt(&session, "three").await;
    assert_eq!((&answer["info"]["error"]["name"], tries(&fixture)), (&json!("ContextOverflowError"), 0), "{answer}");
}

#[tokio::test]
async fn a_conversation_too_long_to_be_summarised_is_shortened_first_and_then_another_model_is_asked() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "agent": { "compaction": { "model": "test/writer" } },
        "provider": { "test": { "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "k" },
            "models": { "main": { "limit": { "context": 100_000, "output": 4000 } }, "small": {}, "writer": {} } } } }));
    fixture.models.rule(|request| (request.body["model"] == "writer").then(too_long));
    fixture.models.rule(|request| is_summary(request).then(|| said("SUMMARY", 10)));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for (prompt, used) in [("a", 1_000), ("b", 2_000), ("c", 97_000), ("d", 3_000)] {
        fixture.models.push(said(&prompt.repeat(20_000), used));
        let answer = client.prompt(&session, prompt).await;
        assert!(answer["info"]["error"].is_null(), "{answer}");
    }
    let requests = fixture.models.requests();
    let sizes: Vec<usize> =
        requests.iter().filter(|r| r.body["model"] == "writer").map(|r| r.body["messages"][1]["content"].as_str().unwrap().len()).collect();
    assert_eq!(sizes.len(), 5, "{sizes:?}");
    assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "{sizes:?}");
    let found = summaries(&mut client, &session).await;
    assert_eq!((text(&found[0]), &found[0]["info"]["modelID"], parts(&found[0], "retry").len()), ("SUMMARY".to_owned(), &json!("main"), 5));
}

#[tokio::test]
async fn a_summary_that_is_aborted_is_none() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = full(&fixture, &mut client).await;
    client.subscribe(json!({ "sessionID": session })).await;
    for method in ["session.compact", "session.prompt"] {
        let seen = tries(&fixture);
        let half = [openai::text("HALF"), openai::text("of it")];
        fixture.models.push(Answer::sse(half).hang());
        let mut params = json!({ "sessionID": session });
        if method == "session.prompt" {
            params["parts"] = json!("three");
        }
        let running = client.send(method, params).await;
        client
            .event(|event| event["type"] == "message.part.delta" && event["properties"]["delta"].as_str().unwrap().contains("HALF"))
            .await;
        assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, true);
        let answer = running.answer().await;
        if method == "session.compact" {
            assert_eq!(answer["error"]["data"]["kind"], "cancelled", "{answer}");
        } else {
            assert_eq!(answer["result"]["info"]["error"]["name"], "MessageAbortedError", "{answer}");
        }
        client.event(|event| event["type"] == "session.idle").await;
        assert_eq!(tries(&fixture), seen + 1);
    }
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    // Half a summary is never read; the next prompt makes a new one.
    summarises(&fixture);
    fixture.models.push(said("fourth", 100));
    let answer = client.prompt(&session, "four").await;
    assert_eq!(text(&answer), "fourth");
    let shown = asked(&fixture);
    let last = &shown[shown.rfind("- step").unwrap()..];
    assert!(
        last.contains("SUMMARY 1") && !last.contains("HALF") && last.contains("three") && last.ends_with("user: three | four\n"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_it_summarises_loses_nothing() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = full(&fixture, &mut client).await;
    for is_asked in [true, false] {
        client.subscribe(json!({ "sessionID": session })).await;
        fixture.models.push(Answer::sse([openai::text("HALF"), openai::text("of it")]).hang());
        if is_asked {
            client.send("session.compact", json!({ "sessionID": session })).await;
        } else {
            client.send("session.prompt", json!({ "sessionID": session, "parts": "three" })).await;
        }
        client
            .event(|event| event["type"] == "message.part.delta" && event["properties"]["delta"].as_str().unwrap().contains("HALF"))
            .await;
        client.kill().await;
        client = Client::start(&fixture);
        let all = messages(&mut client, &session).await;
        let broken = all.last().unwrap();
        assert_eq!(
            (&broken["info"]["summary"], &broken["info"]["error"]["name"]),
            (&json!(true), &json!("MessageInterruptedError")),
            "{broken}"
        );
        assert_eq!(client.call("session.status", json!({})).await, json!({}));
        if is_asked {
            // It waits, like any prompt without an answer, and is not wanted any more.
            let queue = client.call("session.queue", json!({ "sessionID": session })).await;
            let waiting = json!({ "sessionID": session, "messageID": queue[0]["messageID"] });
            assert_eq!(client.call("session.queue.remove", waiting).await, true);
        }
    }
    // The prompt without an answer is taken up first, after a summary.
    summarises(&fixture);
    fixture.models.push(said("third", 100));
    fixture.models.push(said("fourth", 100));
    assert_eq!(text(&client.prompt(&session, "four").await), "fourth");
    let shown = asked(&fixture);
    let last = &shown[shown.rfind("- step").unwrap()..];
    assert!(
        last.ends_with("  user: three\n  assistant: third\n  user: four\n") && last.contains("SUMMARY 1") && !last.contains("HALF"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_daemon_that_is_stopped_while_it_summarises_keeps_the_prompt() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = full(&fixture, &mut client).await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::sse([openai::text("HALF")]).hang());
    client.send("session.prompt", json!({ "sessionID": session, "parts": "three" })).await;
    client.event(|event| event["type"] == "message.part.delta").await;
    client.terminate().await;
    let mut client = Client::start(&fixture);
    let queue = client.call("session.queue", json!({ "sessionID": session })).await;
    assert_eq!((queue.as_array().unwrap().len(), &queue[0]["parts"][0]["text"]), (1, &json!("three")), "{queue}");
    let all = messages(&mut client, &session).await;
    assert!(all.iter().all(|message| message["info"]["summary"] == true || message["info"]["error"].is_null()), "{all:?}");
    summarises(&fixture);
    fixture.models.push(said("third", 100));
    fixture.models.push(said("fourth", 100));
    assert_eq!(text(&client.prompt(&session, "four").await), "fourth");
    let shown = asked(&fixture);
    assert!(shown.ends_with("  user: three\n  assistant: third\n  user: four\n"), "{shown}");
}

#[tokio::test]
async fn prompts_that_come_while_a_summary_is_written_are_answered_after_it() {
    let fixture = Fixture::new().await;
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    fixture.models.rule(move |request| is_summary(request).then(|| said("SUMMARY", 100).gate(0, &held)));
    let mut client = Client::start(&fixture);
    let session = full(&fixture, &mut client).await;
    // During one that was asked for: both become turns of their own.
    fixture.models.push(said("third", 97_000));
    fixture.models.push(said("fourth", 100));
    let compacted = client.send("session.compact", json!({ "sessionID": session })).await;
    fixture.models.arrived(4).await;
    let queued = client.call("session.submit", json!({ "sessionID": session, "parts": "three" })).await;
    assert_eq!(queued["queued"], true);
    client.call("session.steer", json!({ "sessionID": session, "parts": "four" })).await;
    gate.notify_one();
    assert_eq!(compacted.result().await, true);
    // The third answer fills the context again.
    gate.notify_one();
    fixture.models.arrived(7).await;
    let shown = asked(&fixture);
    assert!(shown.ends_with("user: four\n") && shown.matches("- summary").count() == 2, "{shown}");

    // During one within a turn: a prompt that is meant for the turn enters it.
    let session = full(&fixture, &mut client).await;
    fixture.models.push(said("steered", 100));
    client.subscribe(json!({ "sessionID": session })).await;
    let running = client.send("session.prompt", json!({ "sessionID": session, "parts": "three" })).await;
    client.event(|event| event["properties"]["part"]["type"] == "compaction").await;
    client.call("session.steer", json!({ "sessionID": session, "parts": "and four" })).await;
    gate.notify_one();
    assert_eq!(text(&running.result().await), "steered");
    let shown = asked(&fixture);
    assert!(shown.ends_with("user: three | and four\n"), "{shown}");
}
