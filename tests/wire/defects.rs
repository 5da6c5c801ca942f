//! Defects of the system whose specification the contract follows, by their numbers there: none of them is in this one. Those
//! that other tests show are not repeated.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

async fn messages(client: &mut Client, session: &str) -> Vec<Value> {
    client.call("session.messages", json!({ "sessionID": session })).await.as_array().unwrap().clone()
}

fn ids(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["info"]["id"].as_str().unwrap()).collect()
}

/// A session in which every tool may run.
async fn free_session(client: &mut Client, directory: &std::path::Path) -> String {
    let created = client.call("session.create", json!({ "directory": directory, "mode": "all" })).await;
    created["id"].as_str().unwrap().to_owned()
}

fn write(call: &str, name: &str, content: &str) -> Answer {
    Answer::openai_calls(&[(call, "write", json!({ "filePath": name, "content": content }))])
}

/// The user's texts in the last request of a turn.
fn asked(fixture: &Fixture) -> Vec<String> {
    let request = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body;
    let text = |message: &Value| message["content"].as_str().map_or_else(|| message["content"].to_string(), str::to_owned);
    request["messages"].as_array().unwrap().iter().filter(|message| message["role"] == "user").map(text).collect()
}

#[tokio::test]
async fn defect_10_messages_are_in_the_order_of_their_arrival_and_not_of_their_ids() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    // Of the years 2100, 2030 and 2020.
    let chosen = ["msg_03QZ8ZG8000000000000000000", "msg_01VXZ8G8000000000000000000", "msg_01DXF6DT000000000000000000"];
    for id in chosen {
        fixture.models.push(Answer::openai_text("ok"));
        client.call("session.prompt", json!({ "sessionID": session, "parts": id, "messageID": id })).await;
    }
    let all = messages(&mut client, &session).await;
    let prompts: Vec<&str> = ids(&all).into_iter().step_by(2).collect();
    assert_eq!(prompts, chosen);
    let sent = asked(&fixture);
    assert!(sent.iter().zip(chosen).all(|(text, id)| text.contains(id)), "{sent:?}");
    let page = client.call("session.messages", json!({ "sessionID": session, "before": chosen[2], "limit": 2 })).await;
    assert_eq!(ids(page.as_array().unwrap()), ids(&all)[2..4]);
}

#[tokio::test]
async fn defect_13_and_14_a_data_url_is_decoded_and_parts_keep_the_order_of_the_input() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("ok"));
    let ids = ["prt_03QZ8ZG8000000000000000000", "prt_01VXZ8G8000000000000000000", "prt_01DXF6DT000000000000000000"];
    let input = json!([
        { "type": "text", "id": ids[0], "text": "alpha words" },
        { "type": "file", "id": ids[1], "mime": "text/plain", "filename": "note.txt", "url": "data:text/plain;base64,c2VjcmV0IG5vdGU=" },
        { "type": "text", "id": ids[2], "text": "omega words" },
    ]);
    client.call("session.prompt", json!({ "sessionID": session, "parts": input })).await;
    let all = messages(&mut client, &session).await;
    let stored: Vec<&str> = all[0]["parts"].as_array().unwrap().iter().filter_map(|part| part["id"].as_str()).collect();
    let places: Vec<usize> = ids.iter().map(|id| stored.iter().position(|other| other == id).unwrap()).collect();
    assert!(places.is_sorted(), "{stored:?}");
    let sent = asked(&fixture).concat();
    let places: Vec<usize> = ["alpha words", "secret note", "omega words"]
        .iter()
        .map(|words| sent.find(words).unwrap_or_else(|| panic!("{words}: {sent}")))
        .collect();
    assert!(places.is_sorted() && !sent.contains("c2VjcmV0"), "{sent}");
}

#[tokio::test]
async fn defect_16_a_session_runs_once_whichever_directory_it_is_reached_through() {
    let fixture = Fixture::new().await;
    fixture.git("repo", &["worktree", "add", "-q", "../linked"]);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let gate = Arc::new(Notify::new());
    fixture.models.push(Answer::sse([openai::text("one"), openai::finish("stop"), openai::DONE.to_owned()]).gate(1, &gate));
    fixture.models.push(Answer::openai_text("two"));
    client.subscribe(json!({ "types": ["message.part.delta"] })).await;
    let first = client.send("session.prompt", json!({ "sessionID": session, "parts": "1" })).await;
    client.event_of("message.part.delta").await;
    let mut other = Client::connect(&fixture).await;
    let params = json!({ "sessionID": session, "directory": fixture.path("linked"), "parts": "2" });
    let submitted = other.call("session.submit", params).await;
    assert_eq!(
        (&submitted["queued"], fixture.models.requests().iter().filter(|request| request.body["model"] == "main").count()),
        (&json!(true), 1)
    );
    gate.notify_one();
    assert_eq!(text(&first.result().await), "one");
    client.event_of("message.part.delta").await;
    fixture.models.push(Answer::openai_text("three"));
    client.prompt(&session, "3").await;
    let texts: Vec<String> = messages(&mut client, &session).await.iter().map(text).collect();
    assert_eq!(texts, ["1", "one", "2", "two", "3", "three"]);
}

#[tokio::test]
async fn defect_17_a_queued_prompt_is_stored_and_sent_once() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let gate = Arc::new(Notify::new());
    fixture.models.push(Answer::sse([openai::text("one"), openai::finish("stop"), openai::DONE.to_owned()]).gate(1, &gate));
    fixture.models.push(Answer::openai_text("two"));
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "first words" })).await;
    client.event_of("message.part.delta").await;
    let queued = client.send("session.prompt", json!({ "sessionID": session, "parts": "second words" })).await;
    client.event(|event| event["type"] == "session.queue.updated").await;
    gate.notify_one();
    assert_eq!(text(&queued.result().await), "two");
    let all = messages(&mut client, &session).await;
    assert_eq!((all.len(), ids(&all).into_iter().collect::<BTreeSet<_>>().len()), (4, 4));
    let sent = asked(&fixture);
    assert_eq!(
        (sent.len(), sent.concat().matches("second words").count(), sent.concat().matches("first words").count()),
        (2, 1, 1),
        "{sent:?}"
    );
}

#[tokio::test]
async fn defect_19_a_text_has_the_times_of_its_beginning_and_its_end() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("hello"));
    client.prompt(&session, "go").await;
    let all = messages(&mut client, &session).await;
    let time = &parts(&all[1], "text")[0]["time"];
    let (start, end) = (time["start"].as_i64().unwrap(), time["end"].as_i64().unwrap());
    assert!(all[1]["info"]["time"]["created"].as_i64().unwrap() <= start && start <= end, "{time}");
    assert!(end <= all[1]["info"]["time"]["completed"].as_i64().unwrap());
}

#[tokio::test]
async fn defect_20_the_very_first_change_of_a_session_can_be_undone() {
    for directory in ["repo", "plain"] {
        let fixture = Fixture::new().await;
        fs::create_dir_all(fixture.path("plain")).unwrap();
        fs::write(fixture.path(directory).join("a.txt"), "mine\n").unwrap();
        let mut client = Client::start(&fixture);
        let session = free_session(&mut client, &fixture.path(directory)).await;
        fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo theirs > a.txt; echo new > b.txt" }))]));
        fixture.models.push(Answer::openai_text("done"));
        let answer = client.prompt(&session, "go").await;
        assert_eq!(fs::read_to_string(fixture.path(directory).join("a.txt")).unwrap(), "theirs\n");
        client.call("session.revert", json!({ "sessionID": session, "messageID": answer["info"]["parentID"] })).await;
        assert_eq!(fs::read_to_string(fixture.path(directory).join("a.txt")).unwrap(), "mine\n", "{directory}");
        assert!(!fixture.path(directory).join("b.txt").exists());
    }
}

#[tokio::test]
async fn defect_2_and_28_sessions_that_change_files_at_the_same_time_undo_their_own() {
    let fixture = Fixture::new().await;
    fixture.git(".", &["clone", "-q", "repo", "clone"]);
    let mut client = Client::start(&fixture);
    let (first, second) = (free_session(&mut client, &fixture.path("repo")).await, free_session(&mut client, &fixture.path("repo")).await);
    let other = free_session(&mut client, &fixture.path("clone")).await;
    // Each turn gets its own answers, in whatever order they run.
    for (letter, name) in [("A", "a.txt"), ("B", "b.txt"), ("C", "a.txt")] {
        fixture.models.rule(move |request| {
            let body = request.body.to_string();
            let is_mine = request.body["model"] == "main" && body.contains(&format!("letter {letter}"));
            is_mine.then(|| {
                if body.contains("tool_call_id") { Answer::openai_text("done") } else { write("call", name, &format!("{letter}\n")) }
            })
        });
    }
    // A file that is there would have to be read first.
    for name in ["repo/a.txt", "clone/a.txt"] {
        fs::remove_file(fixture.path(name)).unwrap();
    }
    let mut turns = Vec::new();
    for (session, letter) in [(&first, "A"), (&second, "B"), (&other, "C")] {
        turns.push(client.send("session.prompt", json!({ "sessionID": session, "parts": format!("letter {letter}") })).await);
    }
    let mut prompts = Vec::new();
    for turn in turns {
        prompts.push(turn.result().await["info"]["parentID"].clone());
    }
    let there = || ["repo/a.txt", "repo/b.txt", "clone/a.txt"].map(|name| fs::read_to_string(fixture.path(name)).unwrap_or_default());
    assert_eq!(there(), ["A\n", "B\n", "C\n"]);
    client.call("session.revert", json!({ "sessionID": first, "messageID": prompts[0] })).await;
    assert_eq!(there(), ["", "B\n", "C\n"]);
    client.call("session.revert", json!({ "sessionID": other, "messageID": prompts[2] })).await;
    client.call("session.unrevert", json!({ "sessionID": first })).await;
    assert_eq!(there(), ["A\n", "B\n", ""]);
}

#[tokio::test]
async fn defect_21_an_abort_withdraws_the_question_and_ends_its_call() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "touch made" }))]));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let question = client.event_of("permission.asked").await["properties"]["id"].clone();
    assert_eq!(client.call("session.abort", json!({ "sessionID": session })).await, true);
    let told = client.event_of("permission.replied").await["properties"].clone();
    assert_eq!(told["permissionID"], question, "clients take the question down");
    let answer = turn.result().await;
    let call = &parts(&answer, "tool")[0]["state"];
    assert_eq!((&call["status"], &call["metadata"]["aborted"]), (&json!("error"), &json!(true)), "{answer}");
    assert_eq!(client.call("permission.list", json!({})).await, json!([]));
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
    let late = json!({ "sessionID": session, "permissionID": question, "response": "once" });
    assert!(client.refused("permission.reply", late).await["data"]["kind"].is_string());
    assert!(!fixture.path("repo/made").exists());
    fixture.models.push(Answer::openai_text("next"));
    assert_eq!(text(&client.prompt(&session, "next").await), "next");
}

#[tokio::test]
async fn defect_29_a_restart_and_its_clean_up_keep_what_undo_needs() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = free_session(&mut client, &fixture.path("repo")).await;
    fixture.models.push(write("c", "new.txt", "new\n"));
    fixture.models.push(Answer::openai_text("done"));
    let prompt = client.prompt(&session, "go").await["info"]["parentID"].clone();
    for _ in 0..2 {
        client.end().await;
        client = Client::start(&fixture);
        client.call("server.gc", json!({})).await;
    }
    client.call("session.revert", json!({ "sessionID": session, "messageID": prompt })).await;
    assert!(!fixture.path("repo/new.txt").exists());
    client.call("session.unrevert", json!({ "sessionID": session })).await;
    assert_eq!(fs::read_to_string(fixture.path("repo/new.txt")).unwrap(), "new\n");
}

#[tokio::test]
async fn defect_30_a_file_whose_image_is_gone_or_damaged_stays_as_it_is() {
    for damage in [true, false] {
        let fixture = Fixture::new().await;
        let mut client = Client::start(&fixture);
        let session = free_session(&mut client, &fixture.path("repo")).await;
        fixture.models.push(Answer::openai_calls(&[("c1", "read", json!({ "filePath": "a.txt" }))]));
        fixture.models.push(Answer::openai_calls(&[("c2", "edit", json!({ "filePath": "a.txt", "oldString": "two", "newString": "2" }))]));
        fixture.models.push(Answer::openai_text("done"));
        let prompt = client.prompt(&session, "go").await["info"]["parentID"].clone();
        let objects =
            fs::read_dir(fixture.path("data/snapshots/objects")).unwrap().flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        let image = objects.map(|file| file.unwrap().path()).find(|file| fs::read(file).unwrap() == b"one\ntwo\nthree\n").unwrap();
        if damage {
            fs::write(&image, "zero").unwrap();
        } else {
            fs::remove_file(&image).unwrap();
        }
        let revert = client.call("session.revert", json!({ "sessionID": session, "messageID": prompt })).await["revert"].clone();
        assert_eq!((&revert["files"], &revert["uncovered"]), (&json!([]), &json!([fixture.path("repo/a.txt")])), "{revert}");
        assert_eq!(fs::read_to_string(fixture.path("repo/a.txt")).unwrap(), "one\n2\nthree\n");
    }
}

#[tokio::test]
async fn defect_31_and_39_what_is_told_of_messages_is_what_is_stored() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = free_session(&mut client, &fixture.path("repo")).await;
    client.subscribe(json!({ "sessionID": session })).await;
    // An answer that is abandoned and tried again, and one that calls a tool.
    fixture.models.push(Answer::sse([openai::text("Half an ")]).cut());
    fixture.models.push(write("c", "new.txt", "new\n"));
    fixture.models.push(Answer::openai_text("done"));
    let prompt = client.prompt(&session, "one").await["info"]["parentID"].clone();
    client.call("session.revert", json!({ "sessionID": session, "messageID": prompt })).await;
    fixture.models.push(Answer::openai_text("two"));
    client.prompt(&session, "two").await;
    client.call("session.update", json!({ "sessionID": session, "title": "the end" })).await;
    let events = Events::new(&client).await;
    let all = messages(&mut client, &session).await;
    assert_eq!(events.messages, ids(&all).into_iter().map(str::to_owned).collect());
    assert_eq!(all.len(), 2);
    let known: Vec<&Value> = all.iter().flat_map(|message| message["parts"].as_array().unwrap()).collect();
    let rows = client.call("server.diagnose", json!({})).await["store"]["rows"].clone();
    assert_eq!((&rows["messages"], &rows["parts"]), (&json!(all.len()), &json!(known.len())), "no part of a removed message is left");
    for id in &events.removed {
        let params = json!({ "sessionID": session, "messageID": id });
        assert_eq!(client.refused("session.message", params).await["data"]["kind"], "not_found");
    }
    assert!(events.removed.len() >= 3, "{:?}", events.removed);
}

/// The messages that the events tell of, up to the title `the end`.
struct Events {
    messages: BTreeSet<String>,
    removed: BTreeSet<String>,
}

impl Events {
    async fn new(client: &Client) -> Self {
        let told = std::sync::Mutex::new(BTreeMap::new());
        client
            .event(|event| {
                let properties = &event["properties"];
                let mut told = told.lock().unwrap();
                match event["type"].as_str() {
                    Some("message.updated") => drop(told.insert(properties["info"]["id"].as_str().unwrap().to_owned(), true)),
                    Some("message.removed") => drop(told.insert(properties["messageID"].as_str().unwrap().to_owned(), false)),
                    _ => {}
                }
                event["type"] == "session.updated" && properties["info"]["title"] == "the end"
            })
            .await;
        let (there, gone): (Vec<_>, Vec<_>) = told.into_inner().unwrap().into_iter().partition(|(_, is_there)| *is_there);
        let names = |list: Vec<(String, bool)>| list.into_iter().map(|(id, _)| id).collect();
        Self { messages: names(there), removed: names(gone) }
    }
}
