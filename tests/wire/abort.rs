//! Abort: it is fast, and everything is ended and marked.

use std::time::Instant;

use serde_json::json;

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

#[tokio::test]
async fn an_abort_in_mid_stream_closes_what_was_said_and_cancels_the_queue() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("so far")]).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let first = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    client.event_of("message.part.delta").await;
    let queued = client.call("session.submit", json!({ "sessionID": session, "parts": "2" })).await;
    let waiting = client.send("session.prompt", json!({ "sessionID": session, "parts": "2", "messageID": queued["messageID"] })).await;
    let conflict = waiting.answer().await;
    assert_eq!(conflict["error"]["data"]["kind"], "conflict", "an id that the daemon chose was not made with these params");
    let third = client.send("session.prompt", json!({ "sessionID": session, "parts": "3" })).await;
    // Once the third one is queued, an abort affects all of them.
    client.event(|event| event["type"] == "session.queue.updated" && event["properties"]["queue"].as_array().unwrap().len() == 2).await;
    let began = Instant::now();
    assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, true);
    let took = began.elapsed();
    assert!(took.as_millis() < 1000, "an abort took {took:?}");
    let aborted = first.result().await;
    assert_eq!(aborted["info"]["error"]["name"], "MessageAbortedError");
    assert_eq!(text(&aborted), "so far");
    assert!(parts(&aborted, "text")[0]["time"]["end"].is_number());
    assert_eq!(third.result().await["info"]["id"], aborted["info"]["id"], "who waited gets the aborted answer");
    client.event_of("session.idle").await;
    assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, false);
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    // The queued prompts stay, unanswered, and the session goes on.
    fixture.models.push(Answer::openai_text("on"));
    assert_eq!(text(&client.prompt(&session, "4").await), "on");
    let sent = fixture.models.requests().into_iter().rfind(|r| r.body["model"] == "main").unwrap().body["messages"].to_string();
    assert!(sent.contains("so far"), "the model learns what it had said");
}

#[tokio::test]
async fn an_abort_kills_the_whole_process_group_of_a_command() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    let command = "sleep 1000 & echo $! > pid; sleep 1000";
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": command, "description": "sleep" }))]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let pid = loop {
        if let Ok(text) = std::fs::read_to_string(fixture.path("repo/pid"))
            && text.ends_with('\n')
        {
            break text.trim().to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, true);
    let aborted = turn.result().await;
    let tool = parts(&aborted, "tool")[0].clone();
    assert_eq!(tool["state"]["status"], "error");
    assert_eq!(tool["state"]["metadata"]["aborted"], true, "{tool}");
    assert_eq!(aborted["info"]["error"]["name"], "MessageAbortedError");
    assert!(client.end().await.success());
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "the background child lives: {state}");
}

#[tokio::test]
async fn the_end_of_input_interrupts_a_turn_marks_it_and_exits_well() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    client.event_of("message.part.delta").await;
    let began = Instant::now();
    assert!(client.end().await.success());
    assert!(began.elapsed().as_secs() < 10);
    let mut client = Client::start(&fixture);
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageAbortedError");
    assert_eq!(text(&messages[1]), "half");
}
