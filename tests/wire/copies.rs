//! Copies of conversations: forks, exports, imports.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    command::polytree,
    fixture::Fixture,
    model_server::{Answer, openai},
};

const ID: &str = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(text).collect()
}

/// The messages as they are in any snapshot.
fn without_cursors(mut messages: Value) -> Value {
    for message in messages.as_array_mut().unwrap() {
        message["cursor"] = Value::Null;
    }
    messages
}

/// Two answered prompts; the second one has a tool call.
async fn conversation(fixture: &Fixture, client: &mut Client) -> String {
    let session = client.session().await;
    fixture.models.push(Answer::openai_text("first answer"));
    client.prompt(&session, "first").await;
    fixture.models.push(Answer::openai_calls(&[("call_1", "read", json!({ "filePath": "a.txt" }))]));
    fixture.models.push(Answer::openai_text("second answer"));
    client.prompt(&session, "second").await;
    session
}

#[tokio::test]
async fn a_fork_goes_on_by_itself() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = conversation(&fixture, &mut client).await;
    client.call("session.update", json!({ "sessionID": session, "title": "Parser" })).await;
    let original = client.call("session.messages", json!({ "sessionID": session })).await;

    let params = json!({ "sessionID": session, "id": ID });
    let fork = client.call("session.fork", params.clone()).await;
    assert_eq!((&fork["id"], &fork["title"], &fork["cost"]), (&json!(ID), &json!("Parser (fork #1)"), &json!(0.0)));
    assert_eq!(client.call("session.fork", params).await, fork, "the same call again");
    assert_eq!(
        client.refused("session.fork", json!({ "sessionID": session, "id": ID, "messageID": original[2]["info"]["id"] })).await["data"]["kind"],
        "conflict"
    );
    let copied = client.call("session.messages", json!({ "sessionID": ID })).await;
    assert_eq!(texts(&copied), texts(&original));
    for (one, other) in copied.as_array().unwrap().iter().zip(original.as_array().unwrap()) {
        assert_ne!(one["info"]["id"], other["info"]["id"]);
        assert!(one["parts"].as_array().unwrap().iter().all(|part| part["sessionID"] == ID && part["messageID"] == one["info"]["id"]));
    }
    assert_eq!(copied[1]["info"]["parentID"], copied[0]["info"]["id"]);
    assert_eq!(copied[0]["info"]["state"], "answered");

    // The model is told the copied conversation, with the call and its result.
    fixture.models.push(Answer::openai_text("third answer"));
    client.prompt(ID, "third").await;
    let request = fixture.models.requests().pop().unwrap().body;
    let roles: Vec<&str> = request["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant", "tool", "assistant", "user"]);
    let after = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(without_cursors(after), without_cursors(original.clone()), "the original stays as it was");

    let early = client.call("session.fork", json!({ "sessionID": session, "messageID": original[2]["info"]["id"] })).await;
    let kept = client.call("session.messages", json!({ "sessionID": early["id"] })).await;
    assert_eq!(texts(&kept), ["first", "first answer"]);
    let unknown = json!({ "sessionID": session, "messageID": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    assert_eq!(client.refused("session.fork", unknown).await["data"]["kind"], "not_found");
}

#[tokio::test]
async fn a_turn_that_runs_and_prompts_that_wait_are_not_copied() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = conversation(&fixture, &mut client).await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    client.subscribe(json!({ "types": ["message.part.delta"] })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "third" })).await;
    client.event_of("message.part.delta").await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "fourth" })).await;
    let fork = client.call("session.fork", json!({ "sessionID": session })).await;
    let copied = client.call("session.messages", json!({ "sessionID": fork["id"] })).await;
    assert_eq!(texts(&copied).first().unwrap(), "first");
    assert_eq!(texts(&copied).last().unwrap(), "second answer");
    assert_eq!(
        client.call("session.export", json!({ "sessionID": session })).await["messages"].as_array().unwrap().len(),
        copied.as_array().unwrap().len()
    );
    client.call("session.abort", json!({ "sessionID": session })).await;
}

/// A copy without what is new in every copy.
fn comparable(mut export: Value) -> Value {
    number_ids(&mut export, &mut BTreeMap::new());
    export["messages"] = without_cursors(export["messages"].take());
    for field in ["projectID", "directory"] {
        export["session"][field] = Value::Null;
    }
    export["session"]["time"]["updated"] = Value::Null;
    export
}

/// Replaces each id by its number in the order of appearance.
fn number_ids(value: &mut Value, ids: &mut BTreeMap<String, usize>) {
    match value {
        Value::String(text) if ["ses_", "msg_", "prt_"].iter().any(|prefix| text.starts_with(prefix)) => {
            let count = ids.len();
            let number = *ids.entry(text.clone()).or_insert(count);
            *value = json!(number);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| number_ids(item, ids)),
        Value::Object(fields) => fields.values_mut().for_each(|field| number_ids(field, ids)),
        _ => {}
    }
}

#[tokio::test]
async fn an_export_comes_back_as_it_was() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = conversation(&fixture, &mut client).await;
    let todos = json!({ "todos": [{ "content": "x", "status": "pending", "priority": "low" }] });
    fixture.models.push(Answer::openai_calls(&[("call_2", "todowrite", todos)]));
    fixture.models.push(Answer::openai_text("noted"));
    client.prompt(&session, "third").await;
    let export = client.call("session.export", json!({ "sessionID": session })).await;
    assert_eq!((&export["format"], export["todos"].as_array().unwrap().len()), (&json!(1), 1));
    std::fs::create_dir(fixture.path("plain")).unwrap();
    let imported = client.call("session.import", json!({ "directory": fixture.path("plain"), "session": export })).await;
    assert_eq!(imported["directory"], fixture.path("plain").to_str().unwrap());
    let again = client.call("session.export", json!({ "sessionID": imported["id"] })).await;
    assert_eq!(comparable(again), comparable(export));
    assert_eq!(client.call("session.todo", json!({ "sessionID": imported["id"] })).await[0]["content"], "x");
}

#[tokio::test]
async fn an_imported_file_grants_nothing_and_must_be_whole() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = conversation(&fixture, &mut client).await;
    let export = client.call("session.export", json!({ "sessionID": session })).await;
    let changed = |pointer: &str, value: Value| {
        let mut export = export.clone();
        *export.pointer_mut(pointer).unwrap() = value;
        export
    };
    for (pointer, value, fault) in [
        ("/format", json!(2), "format 2"),
        ("/messages/1/info/parentID", json!("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"), "messages[1]"),
        ("/messages/2/info/id", export["messages"][0]["info"]["id"].clone(), "messages[2]"),
        ("/messages/1/info/cost", json!(-1.0), "messages[1]"),
    ] {
        let error = client.refused("session.import", json!({ "session": changed(pointer, value) })).await;
        assert_eq!(error["code"], -32602, "{error}");
        assert!(error["message"].as_str().unwrap().contains(fault), "{error}");
    }
    let mut hostile = export.clone();
    hostile["session"]["mode"] = json!("all");
    hostile["session"]["parentID"] = json!(session);
    hostile["session"]["title"] = json!("a\nb\u{1b}[31m");
    hostile["messages"][3]["info"]["time"] = json!({ "created": 1 });
    let call = hostile["messages"][3]["parts"].as_array().unwrap().iter().position(|part| part["type"] == "tool").unwrap();
    hostile["messages"][3]["parts"][call]["state"] = json!({ "status": "running", "input": {}, "time": { "start": 1 } });
    let imported = client.call("session.import", json!({ "session": hostile })).await;
    assert!(imported.get("mode").is_none() && imported.get("parentID").is_none(), "{imported}");
    assert!(!imported["title"].as_str().unwrap().contains(['\n', '\u{1b}']), "{imported}");
    let messages = client.call("session.messages", json!({ "sessionID": imported["id"] })).await;
    assert!(messages[3]["info"]["time"]["completed"].is_number());
    assert_eq!(messages[3]["parts"][call]["state"]["status"], "error");
    assert_eq!(client.call("session.status", json!({})).await, json!({}));
}

#[tokio::test]
async fn what_is_undone_is_neither_exported_nor_copied() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = conversation(&fixture, &mut client).await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let prompt = &messages[2]["info"]["id"];
    client.call("session.revert", json!({ "sessionID": session, "messageID": prompt })).await;
    let exported = async |client: &mut Client| {
        let export = client.call("session.export", json!({ "sessionID": session })).await;
        assert_eq!(export["session"].get("revert"), None, "{export}");
        let (code, out, err) = polytree(&fixture, &["sessions", "export", &session]).await;
        assert_eq!(code, 0, "{err}");
        let written: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(texts(&written["messages"]), texts(&export["messages"]), "the command writes the same");
        assert_eq!(written["session"].get("revert"), None, "{written}");
        let fork = client.call("session.fork", json!({ "sessionID": session })).await;
        let copied = client.call("session.messages", json!({ "sessionID": fork["id"] })).await;
        assert_eq!(texts(&copied), texts(&export["messages"]), "a fork copies the same");
        texts(&export["messages"])
    };
    assert_eq!(exported(&mut client).await, ["first", "first answer"]);
    let (code, page, err) = polytree(&fixture, &["sessions", "export", "--format", "markdown", &session]).await;
    assert!(code == 0 && page.contains("first answer") && !page.contains("second"), "{err}{page}");
    // From a part on: the earlier parts of the answer stay.
    client.call("session.unrevert", json!({ "sessionID": session })).await;
    let read = json!({ "filePath": "a.txt" });
    fixture.models.push(Answer::openai_calls(&[("call_x", "read", read.clone()), ("call_y", "read", read)]));
    fixture.models.push(Answer::openai_text("third answer"));
    client.prompt(&session, "third").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let answer = &messages[6];
    let call = answer["parts"].as_array().unwrap().iter().find(|part| part["callID"] == "call_y").unwrap();
    client.call("session.revert", json!({ "sessionID": session, "messageID": answer["info"]["id"], "partID": call["id"] })).await;
    assert_eq!(exported(&mut client).await, ["first", "first answer", "second", "", "second answer", "third", ""]);
    let export = client.call("session.export", json!({ "sessionID": session })).await;
    let calls: Vec<&Value> = export["messages"][6]["parts"].as_array().unwrap().iter().filter_map(|part| part.get("callID")).collect();
    assert_eq!(calls, ["call_x"]);
}

#[tokio::test]
async fn a_conversation_over_the_limit_of_an_answer_is_read_in_pages() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    client.subscribe(json!({ "types": ["message.part.delta"] })).await;
    let session = client.session().await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "first" })).await;
    client.event_of("message.part.delta").await;
    for letter in ["a", "b", "c"] {
        client.call("session.submit", json!({ "sessionID": session, "parts": letter.repeat(12 << 20) })).await;
    }
    client.call("session.abort", json!({ "sessionID": session })).await;
    for method in ["session.export", "session.messages"] {
        let refused = client.refused(method, json!({ "sessionID": session })).await;
        assert_eq!((&refused["data"]["kind"], &refused["data"]["limit"]), (&json!("too_large"), &json!(32 << 20)), "{refused}");
    }
    let page = client.call("session.messages", json!({ "sessionID": session, "limit": 2 })).await;
    assert_eq!(texts(&page).iter().map(String::len).collect::<Vec<_>>(), [12 << 20, 12 << 20]);
    // It is copied all the same, and a part of it can be exported.
    let fork = client.call("session.fork", json!({ "sessionID": session })).await;
    assert_eq!(client.refused("session.export", json!({ "sessionID": fork["id"] })).await["data"]["kind"], "too_large");
    let (code, out, err) = polytree(&fixture, &["sessions", "export", &session]).await;
    let export: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code} {err}"));
    assert_eq!(texts(&export["messages"]).iter().map(String::len).max(), Some(12 << 20), "in smaller pages");
    let early = client.call("session.fork", json!({ "sessionID": session, "messageID": page[0]["info"]["id"] })).await;
    let export = client.call("session.export", json!({ "sessionID": early["id"] })).await;
    assert_eq!(export["messages"].as_array().unwrap().len(), 3, "the first prompt with its answer, and a");
}

#[tokio::test]
async fn a_conversation_over_the_limit_of_a_copy_is_copied_in_part() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for text in ["one", "two"] {
        fixture.models.push(Answer::openai_text(text));
        client.prompt(&session, text).await;
    }
    // No prompt is that large: the store is made to hold it.
    let store = rusqlite::Connection::open(fixture.path("data/polytree.db")).unwrap();
    let text = "UPDATE part SET data = json_set(data, '$.text', printf('%.*c', 257 << 20, 'x')) WHERE data ->> '$.text' = 'two'";
    assert_eq!(store.execute(&format!("{text} AND seq = (SELECT max(seq) FROM part WHERE data ->> '$.text' = 'two')"), []).unwrap(), 1);
    let refused = client.refused("session.fork", json!({ "sessionID": session })).await;
    assert_eq!((&refused["data"]["kind"], &refused["data"]["limit"]), (&json!("too_large"), &json!(256 << 20)), "{refused}");
    let sql = "SELECT id FROM message WHERE parent_id IS NULL ORDER BY seq DESC LIMIT 1";
    let second: String = store.query_row(sql, [], |row| row.get(0)).unwrap();
    let fork = client.call("session.fork", json!({ "sessionID": session, "messageID": second })).await;
    let messages = client.call("session.messages", json!({ "sessionID": fork["id"] })).await;
    assert_eq!(texts(&messages), ["one", "one"]);
}
