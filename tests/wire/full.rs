//! A full disk: calls fail with a reason, turns end, nothing stays busy, nothing runs twice, and as soon as there is space
//! the true state is reported.

use serde_json::json;

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

#[tokio::test]
async fn a_prompt_that_cannot_be_stored_is_refused_and_the_session_is_idle() {
    let fixture = Fixture::new().await;
    let mut client = Client::start_without_signal(&fixture);
    let session = client.session().await;
    client.limit_files(Some(0));
    let refused = client.refused("session.submit", json!({ "sessionID": session, "parts": "1" })).await;
    assert_eq!(refused["data"]["kind"], "unavailable", "{refused}");
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    assert_eq!(client.call("session.messages", json!({ "sessionID": session })).await, json!([]), "reading goes on");
    client.limit_files(None);
    fixture.models.push(Answer::openai_text("room"));
    assert_eq!(text(&client.prompt(&session, "2").await), "room");
}

#[tokio::test]
async fn a_turn_that_cannot_be_stored_ends_and_is_closed_once_there_is_room() {
    let fixture = Fixture::new().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    fixture.models.push(Answer::sse([openai::text("half"), openai::text(" more")]).hang().gate(1, &gate));
    let mut client = Client::start_without_signal(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    client.event_of("message.part.delta").await;
    let queued = client.send("session.prompt", json!({ "sessionID": session, "parts": "2" })).await;
    client.event(|event| event["type"] == "session.queue.updated").await;
    client.limit_files(Some(0));
    gate.notify_one();
    let failed = turn.answer().await;
    assert_eq!(failed["error"]["data"]["kind"], "unavailable", "{failed}");
    assert_eq!(queued.answer().await["error"]["data"]["kind"], "unavailable");
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    client.limit_files(None);
    // Reported by an event, without a request.
    client.event(|event| event["type"] == "session.status" && event["properties"]["status"]["type"] == "idle").await;
    client.event_of("session.idle").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageInterruptedError");
    assert!(messages[1]["info"]["time"]["completed"].is_number());
    assert_eq!(text(&messages[1]), "half");
    // The queue was kept and runs first.
    fixture.models.push(Answer::openai_text("to 2"));
    fixture.models.push(Answer::openai_text("to 3"));
    assert_eq!(text(&client.prompt(&session, "3").await), "to 3");
    let said: Vec<String> =
        client.call("session.messages", json!({ "sessionID": session })).await.as_array().unwrap().iter().map(text).collect();
    assert_eq!(said, ["1", "half", "2", "3", "to 2", "to 3"]);
}

#[tokio::test]
async fn a_command_whose_result_cannot_be_stored_is_not_run_again() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    let wait = "echo ran >> log; while [ ! -e go ]; do sleep 0.02; done";
    let other = "while [ ! -e go ]; do sleep 0.02; done; sleep 60; echo late > late";
    fixture.models.push(Answer::openai_calls(&[
        ("a", "bash", json!({ "command": wait, "description": "x" })),
        ("b", "bash", json!({ "command": other, "description": "x" })),
    ]));
    let mut client = Client::start_without_signal(&fixture);
    let session = client.session().await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    while !fixture.path("repo/log").exists() {
        tokio::task::yield_now().await;
    }
    client.limit_files(Some(0));
    std::fs::write(fixture.path("repo/go"), "").unwrap();
    let failed = turn.answer().await;
    assert_eq!(failed["error"]["data"]["kind"], "unavailable", "{failed}");
    client.limit_files(None);
    fixture.models.push(Answer::openai_text("next"));
    assert_eq!(text(&client.prompt(&session, "2").await), "next");
    assert_eq!(std::fs::read_to_string(fixture.path("repo/log")).unwrap(), "ran\n");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    for tool in parts(&messages[1], "tool") {
        assert_eq!(tool["state"]["status"], "error");
        assert_eq!(tool["state"]["metadata"]["interrupted"], true, "{tool}");
    }
    assert!(!fixture.path("repo/late").exists());
}

#[tokio::test]
async fn a_question_that_cannot_be_stored_fails_the_call_and_stays_nowhere() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "*": "allow", "touch *": "ask" } } }));
    let mut client = Client::start_without_signal(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "touch made", "description": "x" }))]));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    client.limit_files(Some(0));
    let reply = json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" });
    let refused = client.refused("permission.reply", reply.clone()).await;
    assert_eq!(refused["data"]["kind"], "unavailable");
    assert!(!fixture.path("repo/made").exists(), "an answer that was not stored is none");
    client.limit_files(None);
    fixture.models.push(Answer::openai_text("done"));
    client.call("permission.reply", reply).await;
    assert_eq!(text(&turn.result().await), "done");
    assert!(fixture.path("repo/made").exists());
    assert_eq!(client.call("permission.list", json!({})).await, json!([]));
}

#[tokio::test]
async fn a_command_that_prints_is_ended_with_the_first_output_that_cannot_be_stored() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": "allow" }));
    let prints = "echo $$ > pid; while :; do echo line; sleep 0.05; done";
    fixture.models.push(Answer::openai_calls(&[
        ("a", "bash", json!({ "command": prints, "description": "x" })),
        ("b", "bash", json!({ "command": "echo $$ > other; sleep 600; echo late > late", "description": "x" })),
    ]));
    let mut client = Client::start_without_signal(&fixture);
    let session = client.session().await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    let pid = |name: &str| {
        let text = std::fs::read_to_string(fixture.path(&format!("repo/{name}"))).unwrap_or_default();
        text.trim().parse().ok().and_then(rustix::process::Pid::from_raw)
    };
    while pid("pid").is_none() || pid("other").is_none() {
        tokio::task::yield_now().await;
    }
    client.limit_files(Some(0));
    let failed = turn.answer().await;
    assert_eq!(failed["error"]["data"]["kind"], "unavailable", "{failed}");
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    for name in ["pid", "other"] {
        // The group is killed; reaping it takes a moment.
        while pid(name).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok()) {
            tokio::task::yield_now().await;
        }
    }
    client.limit_files(None);
    fixture.models.push(Answer::openai_text("next"));
    assert_eq!(text(&client.prompt(&session, "2").await), "next");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    for tool in parts(&messages[1], "tool") {
        assert_eq!(tool["state"]["status"], "error", "{tool}");
    }
    assert!(!fixture.path("repo/late").exists());
}
