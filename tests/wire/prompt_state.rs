//! The state of a prompt: queued, running, answered or cancelled, with events for changes, and correct after a crash.

use serde_json::{Value, json};

use super::support::{
    client::Client,
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// The text and state of each prompt of a session.
async fn states(client: &mut Client, session: &str) -> Vec<(String, String)> {
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let prompts = messages.as_array().unwrap().iter().filter(|message| message["info"]["role"] == "user");
    prompts.map(|message| (word(&message["parts"][0]["text"]), word(&message["info"]["state"]))).collect()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected text: {value}")).to_owned()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(text, state)| ((*text).to_owned(), (*state).to_owned())).collect()
}

/// The states of a prompt in events, in order.
fn told(events: &[Value], message: &Value) -> Vec<String> {
    let updates = events.iter().filter(|event| event["type"] == "message.updated" && event["properties"]["info"]["id"] == *message);
    updates.map(|event| word(&event["properties"]["info"]["state"])).collect()
}

fn sql(fixture: &Fixture, statements: &str) {
    rusqlite::Connection::open(fixture.path("data/polytree.db")).unwrap().execute_batch(statements).unwrap();
}

/// A session in which prompt 1 is running, and prompts 2 and 3 are queued.
async fn with_queue(fixture: &Fixture, client: &mut Client, first: Answer) -> (String, [Value; 3]) {
    fixture.models.push(first);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let one = client.call("session.submit", json!({ "sessionID": session, "parts": "1" })).await["messageID"].clone();
    client.event_of("message.part.delta").await;
    let two = client.call("session.submit", json!({ "sessionID": session, "parts": "2" })).await["messageID"].clone();
    let three = client.call("session.submit", json!({ "sessionID": session, "parts": "3" })).await["messageID"].clone();
    assert_eq!(states(client, &session).await, pairs(&[("1", "running"), ("2", "queued"), ("3", "queued")]));
    (session, [one, two, three])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_told() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let slow = Answer::sse([openai::text("x"), openai::finish("stop")]).gate(1, &gate);
    let (session, [one, two, three]) = with_queue(&fixture, &mut client, slow).await;
    fixture.models.push(Answer::sse([openai::text("y")]).hang());
    gate.notify_one();
    client.event_of("message.part.delta").await;
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "answered"), ("2", "running"), ("3", "queued")]));
    client.call("session.abort", json!({ "sessionID": session })).await;
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "answered"), ("2", "answered"), ("3", "cancelled")]));
    let events = client.call("event.list", json!({ "since": 0, "sessionID": session })).await["events"].clone();
    let events = events.as_array().unwrap();
    assert_eq!(told(events, &one), ["running", "answered"]);
    assert_eq!(told(events, &two), ["queued", "running", "answered"]);
    assert_eq!(told(events, &three), ["queued", "cancelled"]);
    let position = |kind: &str, message: &Value| {
        events
            .iter()
            .position(|event| event["type"] == kind && (message.is_null() || event["properties"]["info"]["id"] == *message))
            .unwrap()
    };
    let answered = events.iter().rposition(|event| event["properties"]["info"]["id"] == one).unwrap();
    assert!(answered < position("session.idle", &Value::Null), "who hears that the session is idle knows that it has answered");
}

#[tokio::test]
async fn it_is_true_after_a_crash() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, [one, two, _]) = with_queue(&fixture, &mut client, Answer::sse([openai::text("x")]).hang()).await;
    let before = client.call("event.list", json!({ "since": 0 })).await["cursor"].clone();
    client.kill().await;
    let mut client = Client::start(&fixture);
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "answered"), ("2", "queued"), ("3", "queued")]));
    let events = client.call("event.list", json!({ "since": before })).await["events"].clone();
    assert_eq!(told(events.as_array().unwrap(), &one), ["answered"], "the recovery tells it");
    client.kill().await;
    // The daemon is killed between the start of a turn and the first text of its answer.
    sql(
        &fixture,
        &format!(
            "DELETE FROM queue WHERE message_id = '{two}'; INSERT INTO turn (session_id, message_id) VALUES ('{session}', '{two}');",
            two = two.as_str().unwrap()
        ),
    );
    let mut client = Client::start(&fixture);
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "answered"), ("2", "queued"), ("3", "queued")]));
    client.call("session.abort", json!({ "sessionID": session })).await;
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "answered"), ("2", "cancelled"), ("3", "cancelled")]));
}

#[tokio::test]
async fn a_turn_that_waits_for_a_person_runs_also_after_a_crash() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "touch made", "description": "x" }))]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "1" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    client.kill().await;
    let mut client = Client::start(&fixture);
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "running")]));
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_text("done"));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "answered")]));
}

#[tokio::test]
async fn rows_of_older_versions_have_the_state_that_follows_from_the_rest() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, _) = with_queue(&fixture, &mut client, Answer::sse([openai::text("x")]).hang()).await;
    client.call("session.abort", json!({ "sessionID": session })).await;
    client.kill().await;
    sql(&fixture, "UPDATE message SET data = json_remove(data, '$.state');");
    let mut client = Client::start(&fixture);
    assert_eq!(states(&mut client, &session).await, pairs(&[("1", "answered"), ("2", "cancelled"), ("3", "cancelled")]));
}
