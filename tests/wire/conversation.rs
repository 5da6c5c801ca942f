//! Turns: requests to the model, events for clients, stored messages.

use expect_test::expect;
use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// Events in a short form, without ids.
fn short(event: &Value) -> String {
    let properties = &event["properties"];
    let detail = match event["type"].as_str().unwrap() {
        "message.updated" => {
            let info = &properties["info"];
            format!("{} completed={} finish={}", info["role"], info["time"]["completed"].is_number(), info["finish"])
        }
        "message.part.updated" => {
            let part = &properties["part"];
            match part["type"].as_str().unwrap() {
                "tool" => format!("tool {} {}", part["tool"], part["state"]["status"]),
                "text" => format!("text {}", part["text"]),
                other => other.to_owned(),
            }
        }
        "message.part.delta" => format!("{}+={}", properties["field"], properties["delta"]),
        "session.status" => properties["status"]["type"].to_string(),
        _ => String::new(),
    };
    format!("{} {detail}", event["type"].as_str().unwrap()).trim_end().to_owned()
}

#[tokio::test]
async fn a_turn_reads_a_file_and_answers() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("call_1", "read", json!({ "filePath": "a.txt" }))]));
    fixture.models.push(Answer::openai_text("It has three lines."));
    let mut client = Client::start(&fixture);
    let session = client.call("session.create", json!({ "title": "named" })).await["id"].as_str().unwrap().to_owned();
    client.subscribe(json!({ "sessionID": session })).await;
    client.event_of("server.connected").await;
    let answer = client.prompt(&session, "What is in a.txt?").await;
    assert_eq!(text(&answer), "It has three lines.");
    assert_eq!(answer["info"]["finish"], "stop");
    let events: Vec<String> = client.events_until("session.idle").await.iter().map(short).collect();
    expect![[r#"
        message.updated "user" completed=false finish=null
        message.part.updated text "What is in a.txt?"
        session.updated
        session.status "busy"
        message.updated "assistant" completed=false finish=null
        message.part.updated step-start
        message.part.updated tool "read" "pending"
        message.part.delta "raw"+="{\"filePath\":\"a.txt\"}"
        message.part.updated tool "read" "pending"
        message.part.updated tool "read" "running"
        message.part.updated tool "read" "completed"
        message.part.updated step-finish
        message.updated "assistant" completed=true finish="tool-calls"
        session.updated
        message.updated "assistant" completed=false finish=null
        message.part.updated step-start
        message.part.updated text ""
        message.part.delta "text"+="It has three lines."
        message.part.updated text "It has three lines."
        message.part.updated step-finish
        message.updated "assistant" completed=true finish="stop"
        session.updated
        message.updated "user" completed=false finish=null
        session.status "idle"
        session.idle"#]]
    .assert_eq(&events.join("\n"));

    let requests = fixture.models.requests();
    assert_eq!(requests.len(), 2);
    let system =
        requests[0].body["messages"][0]["content"].as_str().unwrap_or_default().to_owned() + &requests[0].body["messages"][1].to_string();
    assert!(system.contains(fixture.path("repo").to_str().unwrap()), "the model learns where it is: {system}");
    let last = requests[1].body["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["role"], "tool");
    assert!(last["content"].to_string().contains("2: two"), "{last}");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages.as_array().unwrap().len(), 3);
    let kept = client.call("session.get", json!({ "sessionID": session })).await;
    assert!(kept["tokens"]["input"].as_u64().unwrap() > 0 && kept["cost"].as_f64().unwrap() > 0.0, "{kept}");
    assert!(client.end().await.success());
}

#[tokio::test]
async fn two_calls_of_one_answer_run_and_both_results_go_back() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("repo/b.txt"), "bee\n").unwrap();
    fixture
        .models
        .push(Answer::openai_calls(&[("c1", "read", json!({ "filePath": "a.txt" })), ("c2", "read", json!({ "filePath": "b.txt" }))]));
    fixture.models.push(Answer::openai_text("done"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.prompt(&session, "both").await;
    let sent = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap();
    let results: Vec<String> =
        sent.body["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "tool").map(|m| m["tool_call_id"].to_string()).collect();
    assert_eq!(results, ["\"c1\"", "\"c2\""]);
}

#[tokio::test]
async fn a_wrong_call_is_repaired_or_explained() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[
        ("c1", "Read", json!({ "filePath": "a.txt" })),
        ("c2", "fly", json!({})),
        ("c3", "read", json!({ "path": "a.txt" })),
    ]));
    fixture.models.push(Answer::openai_text("sorry"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.prompt(&session, "go").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let tools: Vec<String> =
        parts(&messages[1], "tool").iter().map(|part| format!("{} {}", part["tool"], part["state"]["status"])).collect();
    assert_eq!(tools, [r#""read" "completed""#, r#""invalid" "completed""#, r#""invalid" "completed""#]);
    let explained = parts(&messages[1], "tool")[1]["state"]["output"].as_str().unwrap().to_owned();
    assert!(explained.contains("fly") && explained.contains("read"), "{explained}");
}

#[tokio::test]
async fn a_broken_stream_keeps_what_was_said_and_tries_again() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("Half an ")]).cut());
    fixture.models.push(Answer::openai_text("A whole answer."));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = client.prompt(&session, "go").await;
    assert_eq!(text(&answer), "A whole answer.");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages.as_array().unwrap().len(), 3, "{messages}");
    assert_eq!(text(&messages[1]), "Half an ");
    assert_eq!(messages[1]["info"]["error"]["name"], "APIError");
    assert!(messages[1]["info"]["time"]["completed"].is_number());
}

#[tokio::test]
async fn a_busy_service_is_asked_again_when_it_says() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::json(429, &json!({ "error": { "message": "slow down" } })).header("retry-after-ms", "10"));
    fixture.models.push(Answer::openai_text("now"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session, "types": ["session.status"] })).await;
    let answer = client.prompt(&session, "go").await;
    assert_eq!(text(&answer), "now");
    assert_eq!(parts(&answer, "retry").len(), 1);
    let retry = client.event(|event| event["properties"]["status"]["type"] == "retry").await;
    assert_eq!(retry["properties"]["status"]["attempt"], 1);
    assert!(retry["properties"]["status"]["message"].as_str().unwrap().contains("slow down"), "{retry}");
}

#[tokio::test]
async fn a_refused_key_is_an_error_of_the_message_not_of_the_call() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::json(401, &json!({ "error": { "message": "bad key secret-key" } })));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let answer = client.prompt(&session, "go").await;
    assert_eq!(answer["info"]["error"]["name"], "ProviderAuthError");
    assert!(!answer.to_string().contains("secret-key"), "{answer}");
    assert_eq!(client.event_of("session.error").await["properties"]["error"]["name"], "ProviderAuthError");
    // The session is usable immediately.
    fixture.models.push(Answer::openai_text("fine"));
    assert_eq!(text(&client.prompt(&session, "again").await), "fine");
}

#[tokio::test]
async fn prompts_sent_while_busy_are_turns_of_their_own_in_order() {
    let fixture = Fixture::new().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    fixture.models.push(Answer::sse([openai::text("first"), openai::finish("stop")]).gate(1, &gate));
    fixture.models.push(Answer::openai_text("second"));
    fixture.models.push(Answer::openai_text("third"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let first = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    client.event_of("message.part.delta").await;
    let second = client.send("session.prompt", json!({ "sessionID": session, "parts": "2" })).await;
    // Requests run concurrently: for an order, a client must wait until the first one is accepted.
    client.event_of("session.queue.updated").await;
    let third = client.call("session.submit", json!({ "sessionID": session, "parts": "3" })).await;
    assert_eq!(third["queued"], true);
    gate.notify_one();
    assert_eq!(text(&first.result().await), "first");
    assert_eq!(text(&second.result().await), "second");
    for _ in 0..3 {
        client.event_of("session.idle").await;
    }
    let main: Vec<Value> =
        fixture.models.requests().into_iter().filter(|r| r.body["model"] == "main").map(|r| r.body["messages"].clone()).collect();
    let said = |messages: &Value| -> Vec<String> {
        messages
            .as_array()
            .unwrap()
            .iter()
            .filter(|m| m["role"] == "user" || m["role"] == "assistant")
            .map(|m| m["content"].to_string())
            .collect()
    };
    assert_eq!(said(&main[1]).len(), 3, "{:?}", said(&main[1]));
    let last = said(&main[2]);
    assert!(
        last[0].contains('1') && last[1].contains("first") && last[2].contains('2') && last[3].contains("second") && last[4].contains('3'),
        "{last:?}"
    );
}

#[tokio::test]
async fn the_same_message_id_joins_and_other_params_conflict() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("once"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let params = json!({ "sessionID": session, "parts": "hi", "messageID": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    let one = client.send("session.prompt", params.clone()).await;
    let two = client.send("session.prompt", params.clone()).await;
    assert_eq!(text(&one.result().await), "once");
    assert_eq!(text(&two.result().await), "once");
    assert_eq!(text(&client.call("session.prompt", params.clone()).await), "once");
    assert_eq!(fixture.models.requests().iter().filter(|r| r.body["model"] == "main").count(), 1);
    let mut other = params;
    other["parts"] = json!("something else");
    assert_eq!(client.refused("session.prompt", other).await["data"]["kind"], "conflict");
}

#[tokio::test]
async fn attached_files_are_read_and_a_missing_one_stores_nothing() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("seen"));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let url = format!("file://{}?start=2&end=3", fixture.path("repo/a.txt").display());
    client.call("session.prompt", json!({ "sessionID": session, "parts": [{ "type": "text", "text": "look" }, { "type": "file", "mime": "text/plain", "url": url }] })).await;
    let sent = fixture.models.requests().into_iter().find(|r| r.body["model"] == "main").unwrap().body.to_string();
    assert!(sent.contains("2: two") && sent.contains("3: three") && !sent.contains("1: one"), "{sent}");
    let error = client
        .refused(
            "session.prompt",
            json!({ "sessionID": session, "parts": [{ "type": "file", "mime": "text/plain", "url": "file:///nowhere/at/all" }] }),
        )
        .await;
    assert_eq!(error["code"], -32602);
    assert_eq!(client.call("session.messages", json!({ "sessionID": session })).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_rules_of_the_project_and_the_anthropic_wire() {
    use super::support::model_server::anthropic;
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("repo/AGENTS.md"), "Always say please.").unwrap();
    let model = json!({ "limit": { "context": 1000, "output": 100 } });
    fixture.settings(&json!({ "model": "claude/m", "small_model": "test/small", "provider": {
        "claude": { "api": "anthropic", "options": { "baseURL": fixture.models.url(), "apiKey": "k" }, "models": { "m": model } },
        "test": { "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "k" }, "models": { "small": model } },
    } }));
    let mut frames = vec![anthropic::start(&json!({ "input_tokens": 10 }))];
    frames.extend(anthropic::text(0, &["plea", "se"]));
    frames.extend(anthropic::end("end_turn", &json!({ "output_tokens": 3 })));
    fixture.models.push(Answer::sse(frames));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    assert_eq!(text(&client.prompt(&session, "hello").await), "please");
    let request = fixture.models.requests().into_iter().find(|r| r.body["model"] == "m").unwrap();
    assert!(request.path.ends_with("/messages"), "{}", request.path);
    assert!(request.body["system"].to_string().contains("Always say please."), "{}", request.body["system"]);
}

#[tokio::test]
async fn without_any_key_the_offline_model_does_real_work() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture.path("config/polytree.json"), "{}").unwrap();
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let answer = client.prompt(&session, "read a.txt").await;
    assert!(text(&answer).contains("three"), "{answer}");
    assert_eq!(answer["info"]["providerID"], "offline");
}
