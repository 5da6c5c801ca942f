//! Events: cursors, filters, attaching to a running turn, slow readers.

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

#[tokio::test]
async fn a_late_client_attaches_to_a_running_turn_without_gap_or_repetition() {
    let fixture = Fixture::new().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let frames: Vec<String> = ["a", "b", "c", "d"].iter().map(|piece| openai::text(piece)).chain([openai::finish("stop")]).collect();
    fixture.models.push(Answer::sse(frames).gate(2, &gate));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let everything = client.subscribe(json!({})).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let mut seen = String::new();
    while seen != "ab" {
        seen.push_str(client.event_of("message.part.delta").await["properties"]["delta"].as_str().unwrap());
    }
    assert_eq!(client.call("event.unsubscribe", json!({ "subscription": everything })).await, true);
    // Like a new client: read, then follow from the cursor of what was read.
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let mut shown = text(&messages[1]);
    assert_eq!(shown, "ab");
    client.subscribe(json!({ "sessionID": session, "since": messages[1]["cursor"] })).await;
    gate.notify_one();
    for event in client.events_until("session.idle").await {
        if event["type"] == "message.part.delta" {
            shown.push_str(event["properties"]["delta"].as_str().unwrap());
        }
    }
    assert_eq!(shown, "abcd");
    assert_eq!(text(&turn.result().await), "abcd");
}

#[tokio::test]
async fn filters_and_pages() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let one = client.session().await;
    let two = client.session().await;
    let child = client.call("session.create", json!({ "parentID": one })).await["id"].as_str().unwrap().to_owned();
    let of = |page: &Value| -> Vec<String> {
        page["events"].as_array().unwrap().iter().map(|event| event["sessionID"].as_str().unwrap_or("-").to_owned()).collect()
    };
    let page = client.call("event.list", json!({ "since": 0, "sessionID": one })).await;
    assert_eq!(of(&page), [one.clone(), child.clone()], "a session includes its descendants");
    let first = client.call("event.list", json!({ "since": 0, "types": ["session.created"], "limit": 2 })).await;
    assert_eq!((of(&first), &first["more"]), (vec![one.clone(), two], &json!(true)));
    let rest = client.call("event.list", json!({ "since": first["cursor"], "types": ["session.created"], "limit": 2 })).await;
    assert_eq!((of(&rest), &rest["more"]), (vec![child], &json!(false)));
    let elsewhere = client.call("event.list", json!({ "since": 0, "directory": fixture.path("nowhere") })).await;
    assert_eq!(elsewhere["events"], json!([]));
    let wrong = client.refused("event.list", json!({ "since": 0, "types": ["session.create"] })).await;
    assert!(wrong["message"].as_str().unwrap().contains("session.created"), "{wrong}");
}

#[tokio::test]
async fn long_texts_travel_as_references_that_the_message_resolves() {
    let fixture = Fixture::new().await;
    let long = "x".repeat(100_000);
    fixture.models.push(Answer::openai_text(&long));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let answer = client.prompt(&session, "go").await;
    let whole =
        client.event(|event| event["type"] == "message.part.updated" && event["properties"]["part"]["time"]["end"].is_number()).await;
    assert_eq!(whole["properties"]["part"]["text"]["bytes"], 100_000);
    assert_eq!(text(&client.call("session.message", json!({ "sessionID": session, "messageID": answer["info"]["id"] })).await), long);
}

#[tokio::test]
async fn texts_that_are_too_long_to_be_held_are_whole_for_clients_and_models() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "compaction": { "auto": false } }));
    let pieces: Vec<String> = (0..700).map(|number| format!("{number:0>1000}")).collect();
    let frames = pieces.iter().map(|piece| openai::text(piece)).chain([openai::finish("stop"), openai::DONE.to_owned()]);
    fixture.models.push(Answer::sse(frames));
    fixture.models.push(Answer::openai_text("short"));
    let mut client = Client::start(&fixture);
    let session = client.call("session.create", json!({ "title": "named" })).await["id"].as_str().unwrap().to_owned();
    client.subscribe(json!({ "sessionID": session })).await;
    let answer = client.prompt(&session, "go").await;
    assert_eq!(text(&answer), pieces.concat());
    let end = client.event(|event| event["type"] == "message.part.updated" && event["properties"]["part"]["time"]["end"].is_number()).await;
    assert_eq!(end["properties"]["part"]["text"], json!({ "ref": "/part/text", "bytes": 700_000 }));
    client.prompt(&session, "and now?").await;
    let sent = fixture.models.requests().pop().unwrap().body;
    assert!(sent["messages"].as_array().unwrap().iter().any(|message| message["content"] == json!(pieces.concat())));
}

#[tokio::test]
async fn after_an_unsubscribe_nothing_more_arrives() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let subscription = client.subscribe(json!({})).await;
    client.event_of("server.connected").await;
    assert_eq!(client.call("event.unsubscribe", json!({ "subscription": subscription })).await, true);
    assert_eq!(client.call("event.unsubscribe", json!({ "subscription": subscription })).await, false);
    client.session().await;
    let again = client.subscribe(json!({ "types": ["session.created"] })).await;
    assert_ne!(again, subscription);
    let two = client.session().await;
    let event = client.event(|event| event["type"] != "server.connected").await;
    assert_eq!(event["sessionID"], two, "the first session's event came after the unsubscribe");
}

/// How the events contain the texts of parts that are longer than 64 KiB.
fn long_texts(events: &[Value]) -> Vec<&Value> {
    let parts = events.iter().filter(|event| event["type"] == "message.part.updated").map(|event| &event["properties"]["part"]);
    let texts = parts.flat_map(|part| [&part["text"], &part["state"]["output"]]);
    texts.filter(|text| text.is_object() || text.as_str().is_some_and(|text| text.len() > 64 * 1024)).collect()
}

#[tokio::test]
async fn long_texts_come_as_references_or_inline_as_a_client_wants() {
    let fixture = Fixture::new().await;
    let (question, answer) = ("q".repeat(70_000), "\"a\u{e4}\n".repeat(20_000));
    let command = format!("touch {}", "x".repeat(70_000));
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": command, "description": "x" }))]));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let wanted = client.subscribe(json!({ "sessionID": session, "blobs": "inline" })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": question })).await;
    let mut events = client.events_until("permission.asked").await;
    let asked = events.last().unwrap()["properties"].clone();
    assert_eq!(asked, client.call("permission.list", json!({})).await[0], "a question is whole");
    assert_eq!(asked["patterns"], json!([command]));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "reject" })).await;
    events.extend(client.events_until("session.idle").await);
    let frames: Vec<String> =
        answer.lines().collect::<Vec<_>>().chunks(500).map(|lines| openai::text(&(lines.join("\n") + "\n"))).collect();
    fixture.models.push(Answer::sse(frames.into_iter().chain([openai::finish("stop")])));
    client.call("session.submit", json!({ "sessionID": session, "parts": "go on" })).await;
    events.extend(client.events_until("session.idle").await);
    assert_eq!(long_texts(&events), [&json!(question), &json!(answer)]);
    client.call("event.unsubscribe", json!({ "subscription": wanted })).await;
    // The log has the same, with references by default.
    let mut replay = async |params: Value| {
        let number = client.subscribe(params).await;
        let mut events = client.events_until("session.idle").await;
        events.extend(client.events_until("session.idle").await);
        client.call("event.unsubscribe", json!({ "subscription": number })).await;
        events
    };
    assert_eq!(long_texts(&replay(json!({ "since": 0, "blobs": "inline" })).await), [&json!(question), &json!(answer)]);
    let bare = replay(json!({ "since": 0 })).await;
    let reference = |bytes: usize| json!({ "ref": "/part/text", "bytes": bytes });
    assert_eq!(long_texts(&bare), [&reference(70_000), &reference(answer.len())]);
    let asked = bare.iter().find(|event| event["type"] == "permission.asked").unwrap();
    assert_eq!(asked["properties"]["patterns"][0], json!({ "ref": "/patterns/0", "bytes": command.len() }));
    assert_eq!(client.refused("event.subscribe", json!({ "blobs": "whole" })).await["code"], -32602);
}
