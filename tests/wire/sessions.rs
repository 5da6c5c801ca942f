//! Sessions: create, list, change, delete.

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

const ID: &str = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";

#[tokio::test]
async fn the_same_id_with_the_same_params_is_the_same_session() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let one = client.call("session.create", json!({ "id": ID, "title": "t" })).await;
    assert_eq!(client.call("session.create", json!({ "id": ID, "title": "t" })).await, one);
    assert_eq!(client.refused("session.create", json!({ "id": ID, "title": "u" })).await["data"]["kind"], "conflict");
    assert_eq!(client.call("session.delete", json!({ "sessionID": ID })).await, true);
    assert_eq!(
        client.refused("session.create", json!({ "id": ID, "title": "t" })).await["data"]["kind"],
        "conflict",
        "a deleted id stays taken"
    );
    assert_eq!(client.refused("session.get", json!({ "sessionID": ID })).await["data"]["kind"], "not_found");
    assert_eq!(client.refused("session.create", json!({ "id": "ses_../../etc" })).await["code"], -32602);
    assert_eq!(client.refused("session.create", json!({ "parentID": ID })).await["data"]["kind"], "not_found");
}

#[tokio::test]
async fn lists_are_ordered_paged_and_searched() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(client.call("session.create", json!({ "title": format!("Number {number}") })).await["id"].clone());
    }
    let ids = |list: &Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|session| session["id"].clone()).collect() };
    let newest_first: Vec<Value> = made.iter().rev().cloned().collect();
    assert_eq!(ids(&client.call("session.list", json!({})).await), newest_first);
    assert_eq!(ids(&client.call("session.list", json!({ "limit": 2 })).await), newest_first[..2]);
    assert_eq!(ids(&client.call("session.list", json!({ "limit": 2, "before": newest_first[1] })).await), newest_first[2..4]);
    assert_eq!(ids(&client.call("session.list", json!({ "search": "NUMBER 3" })).await), [made[3].clone()]);
    assert_eq!(client.refused("session.list", json!({ "limit": 0 })).await["code"], -32602);
    assert_eq!(client.refused("session.list", json!({ "limit": 1001 })).await["code"], -32602);
}

#[tokio::test]
async fn a_delete_ends_turns_takes_children_along_and_cancels_who_waits() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("x")]).hang());
    let mut client = Client::start(&fixture);
    let parent = client.session().await;
    let child = client.call("session.create", json!({ "parentID": parent })).await["id"].as_str().unwrap().to_owned();
    client.subscribe(json!({})).await;
    let turn = client.send("session.prompt", json!({ "sessionID": child, "parts": "x" })).await;
    client.event_of("message.part.delta").await;
    assert_eq!(client.call("session.delete", json!({ "sessionID": parent })).await, true);
    let answer = turn.answer().await;
    assert_eq!(answer["error"]["code"], -32800, "{answer}");
    assert_eq!(client.event_of("session.deleted").await["sessionID"], child);
    assert_eq!(client.event_of("session.deleted").await["sessionID"], parent);
    let page = client.call("event.list", json!({ "since": 0, "types": ["message.part.delta"] })).await;
    assert_eq!(page["events"], json!([]), "their events are gone");
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
}

#[tokio::test]
async fn titles_come_from_the_small_model_and_a_given_one_stays() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "types": ["session.updated"] })).await;
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("hi"));
    client.prompt(&session, "hello").await;
    client.event(|event| event["properties"]["info"]["title"] == "A title").await;
    let renamed = client.call("session.update", json!({ "sessionID": session, "title": "Mine", "archived": true })).await;
    assert_eq!(renamed["title"], "Mine");
    assert!(renamed["time"]["archived"].is_number());
    let back = client.call("session.update", json!({ "sessionID": session, "archived": false })).await;
    assert!(back["time"].get("archived").is_none());
}

#[tokio::test]
async fn a_prompt_without_a_session_makes_one_and_the_same_again_does_not() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("new"));
    let mut client = Client::start(&fixture);
    let params = json!({ "parts": "hello", "messageID": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    let one = client.call("session.prompt", params.clone()).await;
    let two = client.call("session.prompt", params).await;
    assert_eq!((text(&one), &one["info"]["sessionID"]), ("new".to_owned(), &two["info"]["sessionID"]));
    assert_eq!(client.call("session.list", json!({})).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn messages_are_paged_from_the_end() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for number in 0..3 {
        fixture.models.push(Answer::openai_text(&format!("a{number}")));
        client.prompt(&session, &format!("q{number}")).await;
    }
    let texts = |list: &Value| -> Vec<String> { list.as_array().unwrap().iter().map(text).collect() };
    let all = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(texts(&all), ["q0", "a0", "q1", "a1", "q2", "a2"]);
    let last = client.call("session.messages", json!({ "sessionID": session, "limit": 2 })).await;
    assert_eq!(texts(&last), ["q2", "a2"]);
    let before = client.call("session.messages", json!({ "sessionID": session, "limit": 3, "before": last[0]["info"]["id"] })).await;
    assert_eq!(texts(&before), ["a0", "q1", "a1"]);
}

#[tokio::test]
async fn titles_and_names_are_one_short_line_whoever_gives_them() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "types": ["session.updated"] })).await;
    let long = "x".repeat(12_000_000);
    let hostile = "\u{1b}[2J\u{202e}Mine\u{7}\nand\tyours";
    for (given, kept) in [(long.as_str(), format!("{}...", "x".repeat(497)).as_str()), (hostile, "[2JMine and yours")] {
        let made = client.call("session.create", json!({ "title": given })).await;
        assert_eq!(made["title"], kept);
        let renamed = client.call("session.update", json!({ "sessionID": made["id"], "title": format!("{given}!") })).await;
        assert_eq!(renamed["title"], if kept.ends_with("...") { kept.to_owned() } else { format!("{kept}!") });
        let named = client.call("project.update", json!({ "name": given })).await;
        assert_eq!(named["name"], kept);
    }
    assert_eq!(client.call("session.list", json!({})).await.as_array().unwrap().len(), 2);
    let digest = json!({ "id": ID, "title": hostile });
    let made = client.call("session.create", digest.clone()).await;
    assert_eq!(client.call("session.create", digest).await, made, "the same params are the same session");
    let blank = client.call("session.create", json!({ "title": "\u{1b}\n" })).await;
    assert!(blank["title"].as_str().unwrap().starts_with("New session - "), "{blank}");
}

#[tokio::test]
async fn lists_hold_what_was_asked_for() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let root = client.session().await;
    let child = client.call("session.create", json!({ "parentID": root })).await["id"].as_str().unwrap().to_owned();
    let old = client.session().await;
    client.call("session.update", json!({ "sessionID": old, "archived": true })).await;
    fixture.models.push(Answer::openai_text("The lexer reads ÄPFEL."));
    client.prompt(&child, "what about the Parser?").await;
    let listed = async |client: &mut Client, filter: Value| -> Vec<String> {
        let list = client.call("session.list", filter).await;
        list.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
    };
    // What a child uses is added to its root.
    assert_eq!(listed(&mut client, json!({ "roots": true })).await, [root.clone(), old.clone()]);
    assert_eq!(listed(&mut client, json!({ "archived": true })).await, std::slice::from_ref(&old));
    assert_eq!(listed(&mut client, json!({ "archived": false })).await, [child.clone(), root.clone()]);
    for (text, found) in [("parser", true), ("äpfel", true), ("lexer reads", true), ("compiler", false)] {
        let expected = if found { vec![child.clone()] } else { vec![] };
        assert_eq!(listed(&mut client, json!({ "text": text })).await, expected, "{text}");
    }
    assert_eq!(listed(&mut client, json!({ "text": "parser", "roots": true })).await, Vec::<String>::new());
    for params in [json!({ "text": "x" }), json!({ "text": "x".repeat(501) }), json!({ "roots": "yes" }), json!({ "archived": 1 })] {
        assert_eq!(client.refused("session.list", params.clone()).await["code"], -32602, "{params}");
    }
}

#[tokio::test]
async fn a_hidden_session_is_seen_only_by_those_who_name_it() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let before = client.call("event.list", json!({ "since": 0 })).await["cursor"].clone();
    let all = client.subscribe(json!({})).await;
    let hidden = client.call("session.create", json!({ "hidden": true })).await;
    assert_eq!(hidden["hidden"], true);
    let hidden = hidden["id"].as_str().unwrap().to_owned();
    let child = client.call("session.create", json!({ "parentID": hidden })).await;
    assert_eq!(child["hidden"], true, "as its parent is");
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "touch made", "description": "x" }))]));
    client.call("session.submit", json!({ "sessionID": hidden, "parts": "x" })).await;
    client.subscribe(json!({ "sessionID": hidden, "since": before })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    fixture.models.push(Answer::openai_text("done"));
    client.call("permission.reply", json!({ "sessionID": hidden, "permissionID": asked["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(client.call("event.unsubscribe", json!({ "subscription": all })).await, true);
    client.call("session.delete", json!({ "sessionID": hidden })).await;
    client.event_of("session.deleted").await;
    let visible = client.session().await;
    let told = client.call("event.list", json!({ "since": before })).await["events"].clone();
    let sessions: Vec<&Value> = told.as_array().unwrap().iter().map(|event| &event["sessionID"]).filter(|id| id.is_string()).collect();
    assert_eq!(sessions, [&json!(visible)], "nobody is told of a hidden session who has not named it");
    let list = client.call("session.list", json!({ "scope": "all" })).await;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &json!(visible)));
    assert_eq!(client.refused("session.create", json!({ "hidden": "yes" })).await["code"], -32602);
}

#[tokio::test]
async fn a_session_names_the_branch_of_its_last_prompt() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.call("session.create", json!({})).await;
    assert_eq!(session["branch"], "main");
    let session = session["id"].as_str().unwrap().to_owned();
    client.subscribe(json!({ "types": ["session.updated"] })).await;
    fixture.git("repo", &["checkout", "-q", "-b", "work/one"]);
    fixture.models.push(Answer::openai_text("hi"));
    client.prompt(&session, "x").await;
    client.event(|event| event["properties"]["info"]["branch"] == "work/one").await;
    fixture.git("repo", &["checkout", "-q", "--detach"]);
    fixture.models.push(Answer::openai_text("hi"));
    client.prompt(&session, "y").await;
    assert!(client.call("session.get", json!({ "sessionID": session })).await.get("branch").is_none());
}
