//! Critical moments: a kill during a question, a store that is not writable, the same prompt twice at the same time.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// Calls of bash with the ids c0, c1 and so on.
fn commands(lines: &[&str]) -> Answer {
    let ids: Vec<String> = (0..lines.len()).map(|number| format!("c{number}")).collect();
    let calls: Vec<_> =
        ids.iter().zip(lines).map(|(id, line)| (id.as_str(), "bash", json!({ "command": line, "description": "x" }))).collect();
    Answer::openai_calls(&calls)
}

async fn exists(path: &std::path::Path) {
    while !path.exists() {
        tokio::task::yield_now().await;
    }
}

fn read(fixture: &Fixture, path: &str) -> String {
    std::fs::read_to_string(fixture.path(path)).unwrap()
}

fn states(message: &Value) -> Vec<&str> {
    parts(message, "tool").iter().map(|part| part["state"]["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_ran_beside_a_question_at_the_kill_is_not_run_again() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "*": "allow", "touch *": "ask" } } }));
    fixture.models.push(commands(&["echo ran >> log; sleep 60", "touch made"]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    exists(&fixture.path("repo/log")).await;
    client.kill().await;

    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_text("resumed"));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert!(fixture.path("repo/made").exists(), "what was asked about has run");
    assert_eq!(read(&fixture, "repo/log"), "ran\n", "what ran before has not");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(states(&messages[1]), ["error", "completed"]);
    assert_eq!(parts(&messages[1], "tool")[0]["state"]["metadata"]["interrupted"], true);
}

#[tokio::test]
async fn a_resumed_turn_is_busy_and_changes_the_file_that_it_had_read() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("r", "read", json!({ "filePath": "a.txt" }))]));
    let edit = json!({ "filePath": "a.txt", "oldString": "two", "newString": "2" });
    fixture.models.push(Answer::openai_calls(&[("e", "edit", edit)]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    client.kill().await;

    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::sse([openai::text("going on")]).hang());
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" })).await;
    client.event_of("message.part.delta").await;
    assert_eq!(client.call("session.status", json!({})).await, json!({ session.as_str(): { "type": "busy" } }));
    assert_eq!(read(&fixture, "repo/a.txt"), "one\n2\nthree\n");
    client.call("session.abort", json!({ "sessionID": session })).await;
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
}

#[tokio::test]
async fn a_resumed_change_of_a_file_that_others_have_changed_is_refused() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("r", "read", json!({ "filePath": "a.txt" }))]));
    let edit = json!({ "filePath": "a.txt", "oldString": "two", "newString": "2" });
    fixture.models.push(Answer::openai_calls(&[("e", "edit", edit)]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    client.kill().await;
    std::fs::write(fixture.path("repo/a.txt"), "two of theirs\n").unwrap();
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_text("oh"));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(read(&fixture, "repo/a.txt"), "two of theirs\n");
}

#[tokio::test]
async fn prompts_sent_again_after_the_restart_get_their_answers_in_order() {
    let fixture = Fixture::new().await;
    fixture.models.push(commands(&["echo ran >> log"]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let prompt = |number: u32| json!({ "sessionID": session, "parts": format!("prompt {number}"), "messageID": format!("msg_0000000000000000000000000{number}") });
    client.call("session.submit", prompt(1)).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    assert_eq!(client.call("session.submit", prompt(2)).await["queued"], true);
    client.kill().await;

    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "sessionID": session })).await;
    let first = client.send("session.prompt", prompt(1)).await;
    let second = client.send("session.prompt", prompt(2)).await;
    let third = client.send("session.prompt", prompt(3)).await;
    client.event(|event| event["type"] == "session.queue.updated" && event["properties"]["queue"].as_array().unwrap().len() == 2).await;
    for answer in ["to 1", "to 2", "to 3"] {
        fixture.models.push(Answer::openai_text(answer));
    }
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" })).await;
    assert_eq!(text(&first.result().await), "to 1");
    assert_eq!(text(&second.result().await), "to 2");
    assert_eq!(text(&third.result().await), "to 3");
    assert_eq!(read(&fixture, "repo/log"), "ran\n");
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
}

#[tokio::test]
async fn a_turn_cut_off_before_its_first_answer_or_between_two_is_not_forgotten() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("r", "read", json!({ "filePath": "a.txt" }))]));
    fixture.models.push(Answer::sse([openai::text("x")]).hang());
    let mut client = Client::start(&fixture);
    let (before, between) = (client.session().await, client.session().await);
    client.subscribe(json!({})).await;
    client.call("session.submit", json!({ "sessionID": between, "parts": "go" })).await;
    client.event(|event| event["properties"]["field"] == "text").await;
    fixture.models.push(Answer::sse([openai::text("y")]).hang());
    let prompt = json!({ "sessionID": before, "parts": "prompt", "messageID": "msg_00000000000000000000000001" });
    client.call("session.submit", prompt.clone()).await;
    client.event(|event| event["properties"]["delta"] == "y").await;
    client.kill().await;
    // As if the daemon had been killed earlier: before the open answers had begun.
    let store = rusqlite::Connection::open(fixture.path("data/polytree.db")).unwrap();
    store.execute_batch("PRAGMA foreign_keys = ON; DELETE FROM message WHERE open;").unwrap();
    drop(store);

    let mut client = Client::start(&fixture);
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    for session in [&before, &between] {
        let filter = json!({ "since": 0, "sessionID": session, "types": ["session.status", "session.idle"] });
        let told = client.call("event.list", filter).await;
        let last = told["events"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["type"], "session.idle", "who follows the events learns that nothing runs");
    }
    let messages = client.call("session.messages", json!({ "sessionID": between })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageInterruptedError");
    // Prompts without an answer stay queued, and the same prompt again starts them.
    fixture.models.push(Answer::openai_text("answered"));
    assert_eq!(text(&client.call("session.prompt", prompt).await), "answered");
    assert_eq!(client.call("session.messages", json!({ "sessionID": before })).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_abort_cancels_what_a_kill_left_in_the_queue() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("x")]).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "1" })).await;
    client.event_of("message.part.delta").await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "2" })).await;
    client.kill().await;
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, false, "nothing ran");
    fixture.models.push(Answer::openai_text("to 3"));
    assert_eq!(text(&client.prompt(&session, "3").await), "to 3");
    assert_eq!(client.call("session.messages", json!({ "sessionID": session })).await.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn the_same_first_prompt_twice_at_once_makes_one_session() {
    let fixture = Fixture::new().await;
    for _ in 0..2 {
        fixture.models.push(Answer::openai_text("answer"));
    }
    let mut client = Client::start(&fixture);
    for round in 0..5 {
        let prompt = json!({ "parts": "hello", "messageID": format!("msg_0000000000000000000000000{round}") });
        fixture.models.push(Answer::openai_text("answer"));
        let (one, two) = (client.send("session.prompt", prompt.clone()).await, client.send("session.prompt", prompt).await);
        let (one, two) = (one.result().await, two.result().await);
        assert_eq!(one["info"]["id"], two["info"]["id"]);
        assert_eq!(client.call("session.list", json!({})).await.as_array().unwrap().len(), round + 1);
    }
    // A prompt that is refused leaves no session behind.
    client.refused("session.prompt", json!({ "parts": "hello", "agent": "nobody" })).await;
    assert_eq!(client.call("session.list", json!({})).await.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_part_of_another_message_cannot_be_overwritten() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let part = |text: &str| json!([{ "type": "text", "id": "prt_00000000000000000000000001", "text": text }]);
    fixture.models.push(Answer::openai_text("one"));
    client.call("session.prompt", json!({ "sessionID": session, "parts": part("first") })).await;
    let other = client.session().await;
    let refused = client.refused("session.prompt", json!({ "sessionID": other, "parts": part("second") })).await;
    assert_eq!(refused["data"]["kind"], "conflict");
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(text(&messages[0]), "first");
    assert_eq!(client.call("session.messages", json!({ "sessionID": other })).await, json!([]));
}
