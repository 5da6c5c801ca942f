//! Unsaved text: the model reads the text that an editor announces, and its tools change it in the editor.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts},
    fixture::Fixture,
    model_server::Answer,
    served::Served,
};

/// Settings that allow edits.
fn settings(buffer: &Value) -> Value {
    json!({ "permission": { "edit": "allow" }, "buffer": buffer })
}

/// The outputs of a turn with these tool calls, in order.
async fn said(fixture: &Fixture, client: &mut Client, session: &str, calls: &[(&str, Value)]) -> Vec<String> {
    for (name, input) in calls {
        fixture.models.push(Answer::openai_calls(&[("call", name, input.clone())]));
    }
    fixture.models.push(Answer::openai_text("done"));
    let answer = client.prompt(session, "go").await;
    assert_eq!(answer["info"]["error"], Value::Null, "{answer}");
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let tools = messages.as_array().unwrap().iter().flat_map(|message| parts(message, "tool"));
    let said: Vec<String> =
        tools.map(|part| part["state"]["output"].as_str().or(part["state"]["error"].as_str()).unwrap().to_owned()).collect();
    said[said.len() - calls.len()..].to_vec()
}

fn read(path: &str) -> (&'static str, Value) {
    ("read", json!({ "filePath": path }))
}

fn edit(path: &str, old: &str, new: &str) -> (&'static str, Value) {
    ("edit", json!({ "filePath": path, "oldString": old, "newString": new }))
}

fn change(line: u32, from: u32, to: u32, text: &str) -> Value {
    json!({ "range": { "start": { "line": line, "character": from }, "end": { "line": line, "character": to } }, "text": text })
}

fn on_disk(fixture: &Fixture, path: &str) -> String {
    std::fs::read_to_string(fixture.path("repo").join(path)).unwrap()
}

#[tokio::test]
async fn announced_text_is_read_by_the_model_and_edited_by_the_editor() {
    let fixture = Fixture::new().await;
    fixture.settings(&settings(&json!({})));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let opened = client.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": "one\n😀 two\nthree\n" })).await;
    assert_eq!(opened, json!({ "path": fixture.path("repo/a.txt"), "version": 1 }));
    // Without waiting for answers: each takes effect before the next, and before the prompt.
    client.send_line(&json!({ "jsonrpc": "2.0", "method": "buffer.change", "params": { "path": fixture.path("repo/a.txt"), "version": 2, "edits": [change(1, 3, 6, "zwei")] } }).to_string()).await;
    let mut changes = Vec::new();
    for version in 3..40 {
        changes.push(client.send("buffer.change", json!({ "path": "a.txt", "version": version, "edits": [change(1, 0, 0, "+")] })).await);
    }
    fixture.models.push(Answer::openai_calls(&[("c", "read", json!({ "filePath": "a.txt" }))]));
    fixture.models.push(Answer::openai_calls(&[("c", "edit", edit("a.txt", "zwei", "deux").1)]));
    fixture.models.push(Answer::openai_calls(&[("c", "read", json!({ "filePath": "a.txt" }))]));
    fixture.models.push(Answer::openai_text("done"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    for change in changes {
        change.result().await;
    }
    let event = client.event_of("buffer.edit").await;
    let asked = &event["properties"];
    assert_eq!((&event["cursor"], &event["sessionID"], &asked["sessionID"]), (&json!(0), &json!(session), &json!(session)));
    let line = format!("{}😀 ", "+".repeat(37));
    let edits = json!([{ "range": { "start": { "line": 1, "character": 0 }, "end": { "line": 2, "character": 0 } }, "text": format!("{line}deux\n") }]);
    assert_eq!((&asked["version"], &asked["timeout"], &asked["edits"]), (&json!(39), &json!(5000), &edits), "{asked}");
    let late = client.refused("buffer.change", json!({ "path": "a.txt", "version": 39, "edits": [] })).await;
    assert_eq!((&late["data"]["kind"], &late["data"]["version"]), (&json!("conflict"), &json!(39)), "{late}");
    // The answer alone makes the edited text current.
    let unnumbered = client.refused("buffer.reply", json!({ "editID": asked["editID"], "applied": true })).await;
    assert_eq!(unnumbered["data"]["kind"], "invalid_params");
    client.call("buffer.reply", json!({ "editID": asked["editID"], "applied": true, "version": 40 })).await;
    turn.result().await;
    client.call("buffer.change", json!({ "path": "a.txt", "version": 40, "edits": edits })).await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let outputs: Vec<&str> = messages
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|message| parts(message, "tool"))
        .map(|part| part["state"]["output"].as_str().unwrap())
        .collect();
    assert!(outputs[0].contains(&format!("2: {line}zwei")) && outputs[0].contains("not saved"), "{}", outputs[0]);
    assert!(outputs[1].contains("Edited a.txt at line 2.") && outputs[1].contains("not saved"), "{}", outputs[1]);
    assert!(outputs[2].contains(&format!("2: {line}deux\n")), "{}", outputs[2]);
    assert_eq!(on_disk(&fixture, "a.txt"), "one\ntwo\nthree\n", "the editor saves, nobody else");
    let again = client.refused("buffer.reply", json!({ "editID": asked["editID"], "applied": false })).await;
    assert_eq!(again["data"]["kind"], "not_found");
    // An attachment contains the editor's text.
    let url = format!("file://{}", fixture.path("repo/a.txt").display());
    for mime in ["text/plain", "application/json"] {
        let parts = json!([{ "type": "file", "mime": mime, "url": url }, { "type": "text", "text": "look" }]);
        fixture.models.push(Answer::openai_text("seen"));
        client.call("session.prompt", json!({ "sessionID": session, "parts": parts })).await;
    }
    let messages = client.call("session.messages", json!({ "sessionID": session })).await.to_string();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("one\n{line}deux\nthree\n"));
    assert!(messages.contains(&encoded), "{messages}");
    // After closing, the file is used again.
    assert_eq!(client.call("buffer.close", json!({ "path": "a.txt" })).await, true);
    assert_eq!(client.call("buffer.close", json!({ "path": "a.txt" })).await, false);
    let said = said(&fixture, &mut client, &session, &[read("a.txt")]).await;
    assert!(said[0].contains("2: two") && !said[0].contains("not saved"), "{}", said[0]);
    assert!(client.end().await.success());
}

#[tokio::test]
async fn an_edit_that_the_editor_does_not_make_is_not_made() {
    let fixture = Fixture::new().await;
    fixture.settings(&settings(&json!({ "reply_timeout": 50 })));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": "one\ntwo\nthree\nunsaved\n" })).await;
    // No answer until the timeout; a later one is ignored.
    let silent = said(&fixture, &mut client, &session, &[read("a.txt"), edit("a.txt", "one", "1")]).await;
    assert!(silent[1].contains("Nothing was changed") && silent[1].contains("did not answer in 50 ms"), "{}", silent[1]);
    let asked = client.event_of("buffer.edit").await["properties"]["editID"].clone();
    let late = client.refused("buffer.reply", json!({ "editID": asked, "applied": true, "version": 2 })).await;
    assert_eq!(late["data"]["kind"], "not_found", "{late}");
    assert_eq!(on_disk(&fixture, "a.txt"), "one\ntwo\nthree\n");

    // The setting prefers the file.
    fixture.settings(&settings(&json!({ "reply_timeout": 50, "unanswered": "disk" })));
    let disk = said(&fixture, &mut client, &session, &[read("a.txt"), edit("a.txt", "one", "1"), read("a.txt")]).await;
    assert!(disk[1].contains("on the disk alone"), "{}", disk[1]);
    assert!(disk[2].contains("1: one") && disk[2].contains("4: unsaved"), "the editor's text is still the newest: {}", disk[2]);
    assert_eq!(on_disk(&fixture, "a.txt"), "1\ntwo\nthree\n");

    // Refused with a message.
    fixture.settings(&settings(&json!({ "reply_timeout": 60_000 })));
    client.event_of("buffer.edit").await;
    fixture.models.push(Answer::openai_calls(&[("c", "edit", edit("a.txt", "two", "2").1)]));
    fixture.models.push(Answer::openai_text("done"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let asked = client.event_of("buffer.edit").await["properties"]["editID"].clone();
    client.call("buffer.reply", json!({ "editID": asked, "applied": false, "message": "the buffer is locked" })).await;
    turn.result().await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert!(messages.to_string().contains("which did not make the change: the buffer is locked"), "{messages}");
    assert_eq!(on_disk(&fixture, "a.txt"), "1\ntwo\nthree\n");
}

#[tokio::test]
async fn two_editors_and_one_that_leaves_with_the_question() {
    let fixture = Fixture::new().await;
    fixture.settings(&settings(&json!({ "reply_timeout": 60_000 })));
    let served = Served::start(&fixture, &["--listen", "127.0.0.1:0"]).await;
    let mut one = Client::connect(&fixture).await;
    let mut other = Client::connect(&fixture).await;
    one.subscribe(json!({})).await;
    let session = one.session().await;
    one.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": "first\n" })).await;
    other.call("buffer.open", json!({ "path": fixture.path("repo/a.txt"), "version": 7, "text": "second\n" })).await;
    // A WebSocket client is an editor like any other; a single HTTP request is not.
    let mut socket = served.connect().await;
    let directory = fixture.path("repo");
    let params = json!({ "path": "b.txt", "directory": directory, "version": 1, "text": "by the network\n" });
    assert_eq!(socket.call("buffer.open", params.clone()).await["version"], 1);
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "buffer.open", "params": params });
    assert!(served.post(&request.to_string()).await.1.contains("invalid_state"));

    for (name, input) in [read("b.txt"), read("a.txt"), edit("a.txt", "second", "2nd")] {
        fixture.models.push(Answer::openai_calls(&[("c", name, input)]));
    }
    fixture.models.push(Answer::openai_text("done"));
    let turn = one.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let asked = other.event_of("buffer.edit").await["properties"].clone();
    assert_eq!(asked["version"], 7);
    let foreign = one.refused("buffer.reply", json!({ "editID": asked["editID"], "applied": true, "version": 8 })).await;
    assert_eq!(foreign["data"]["kind"], "not_found", "nobody answers for another");
    drop(other);
    turn.result().await;
    let seen = one.events_until("session.idle").await;
    assert!(seen.iter().all(|event| event["type"] != "buffer.edit"), "only the newest is asked");
    let messages = one.call("session.messages", json!({ "sessionID": session })).await.to_string();
    assert!(messages.contains("1: by the network") && messages.contains("1: second"), "{messages}");
    assert!(messages.contains("was closed before it answered"), "{messages}");
    // The texts of the other client are dropped with its connection.
    let said = said(&fixture, &mut one, &session, &[read("a.txt")]).await;
    assert!(said[0].contains("1: first"), "{}", said[0]);
    assert_eq!(on_disk(&fixture, "a.txt"), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn mistakes_are_told_and_leave_no_wrong_text() {
    let fixture = Fixture::new().await;
    fixture.settings(&settings(&json!({ "reply_timeout": 0 })));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    for (method, params, kind) in [
        ("buffer.open", json!({ "path": "", "version": 1, "text": "" }), "invalid_params"),
        ("buffer.open", json!({ "path": ".git", "version": 1, "text": "" }), "invalid_params"),
        ("buffer.open", json!({ "path": "a.txt", "text": "" }), "invalid_params"),
        ("buffer.change", json!({ "path": "a.txt", "version": 1, "edits": [] }), "not_found"),
        ("buffer.reply", json!({ "editID": "edt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "applied": false }), "not_found"),
        ("buffer.reply", json!({ "editID": "1", "applied": false }), "invalid_params"),
    ] {
        assert_eq!(client.refused(method, params).await["data"]["kind"], kind, "{method}");
    }
    client.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": "x\n" })).await;
    for edit in [
        change(7, 0, 0, ""),
        json!({ "range": { "start": { "line": 0, "character": 1 }, "end": { "line": 0, "character": 0 } }, "text": "" }),
    ] {
        let error = client.refused("buffer.change", json!({ "path": "a.txt", "version": 2, "edits": [edit] })).await;
        assert_eq!(error["data"]["kind"], "invalid_params", "{error}");
    }
    // Neither the old text nor the file is used as the editor's current text.
    let unknown = said(&fixture, &mut client, &session, &[read("a.txt")]).await;
    assert!(unknown[0].contains("has not told that text yet"), "{}", unknown[0]);
    client.call("buffer.change", json!({ "path": "a.txt", "version": 3, "edits": [{ "text": "whole\n" }] })).await;
    let known = said(&fixture, &mut client, &session, &[read("a.txt")]).await;
    assert!(known[0].contains("1: whole"), "{}", known[0]);
}

#[tokio::test]
async fn what_is_sent_without_waiting_has_its_effect_in_order() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    for round in 0..20 {
        let path = format!("new{round}.txt");
        let open = client.send("buffer.open", json!({ "path": path, "version": 1, "text": "one\n" })).await;
        let change = client.send("buffer.change", json!({ "path": path, "version": 2, "edits": [change(0, 0, 3, "two")] })).await;
        let read = client.send("file.read", json!({ "path": path })).await;
        assert_eq!(read.result().await["content"], "two\n");
        assert_eq!((open.result().await["version"].clone(), change.result().await["version"].clone()), (json!(1), json!(2)));
        let close = client.send("buffer.close", json!({ "path": path })).await;
        let reopen = client.send("buffer.open", json!({ "path": path, "version": 1, "text": "three\n" })).await;
        assert_eq!(close.result().await, true);
        assert_eq!(reopen.result().await["version"], 1);
    }
}

#[tokio::test]
async fn a_daemon_that_dies_takes_no_wrong_text_into_the_next() {
    let fixture = Fixture::new().await;
    fixture.settings(&settings(&json!({ "reply_timeout": 60_000 })));
    let mut editor = Client::relay(&fixture, &[]);
    let session = editor.session().await;
    let text = format!("unsaved\n{}", "x".repeat(100_000));
    editor.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": text })).await;
    editor.call("buffer.open", json!({ "path": "b.txt", "version": 1, "text": "closed" })).await;
    editor.call("buffer.close", json!({ "path": "b.txt" })).await;
    let pid = editor.call("server.info", json!({})).await["pid"].as_i64().unwrap();
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    // The client has open files, so the relay looks for the next daemon by itself and reports what was lost.
    let reset = editor.event_of("buffer.reset").await;
    assert_eq!(reset["properties"], json!({ "paths": ["a.txt"] }));
    // A prompt that is faster than the editor waits for the text, and does not use the file.
    for (name, input) in [read("a.txt"), edit("a.txt", "unsaved", "known")] {
        fixture.models.push(Answer::openai_calls(&[("c", name, input)]));
    }
    fixture.models.push(Answer::openai_text("done"));
    let before = fixture.models.requests().len();
    let turn = editor.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    fixture.models.arrived(before + 1).await;
    let changed = editor.refused("buffer.change", json!({ "path": "a.txt", "version": 2, "edits": [change(0, 0, 0, "x")] })).await;
    assert_eq!(changed["data"]["kind"], "invalid_params", "{changed}");
    editor.call("buffer.open", json!({ "path": "a.txt", "version": 2, "text": text })).await;
    // The question passes through the relay.
    let asked = editor.event_of("buffer.edit").await["properties"].clone();
    assert_eq!((&asked["version"], &asked["edits"][0]["text"]), (&json!(2), &json!("known\n")));
    editor.call("buffer.reply", json!({ "editID": asked["editID"], "applied": true, "version": 3, "saved": true })).await;
    turn.result().await;
    let messages = editor.call("session.messages", json!({ "sessionID": session })).await.to_string();
    assert!(messages.contains("1: unsaved") && !messages.contains("2: two") && messages.contains("Edited a.txt at line 1."), "{messages}");
}

#[tokio::test]
async fn a_file_is_shown_by_the_editors_of_its_worktree() {
    let fixture = Fixture::new().await;
    let mut asking = Client::relay(&fixture, &[]);
    assert_eq!(asking.call("editor.open", json!({ "path": "a.txt" })).await, false, "there is no editor");
    let mut editor = Client::connect(&fixture).await;
    let introduced = json!({ "clientInfo": { "name": "editor" }, "capabilities": { "open": true, "edits": true } });
    editor.call("server.initialize", introduced).await;
    let range = json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 1, "character": 3 } });
    assert_eq!(asking.call("editor.open", json!({ "path": "a.txt", "range": range })).await, true);
    let told = editor.event_of("editor.open").await;
    assert_eq!(told["properties"], json!({ "path": fixture.path("repo/a.txt"), "range": range }));
    assert_eq!(told["cursor"], 0, "it is not in the log");
    let session = asking.session().await;
    assert_eq!(asking.call("editor.open", json!({ "path": fixture.path("repo/a.txt"), "sessionID": session })).await, true);
    editor.event_of("editor.open").await;
    let shown = asking.call("server.diagnose", json!({})).await["clients"].to_string();
    assert!(shown.contains(r#""open":true"#) && shown.contains(r#""edits":true"#), "{shown}");
    // An editor of another worktree is not disturbed.
    std::fs::create_dir(fixture.path("elsewhere")).unwrap();
    editor.call("server.initialize", json!({ "directory": fixture.path("elsewhere") })).await;
    assert_eq!(asking.call("editor.open", json!({ "path": "a.txt" })).await, false);
    let backwards = json!({ "start": { "line": 2, "character": 0 }, "end": { "line": 1, "character": 0 } });
    for (params, kind) in [
        (json!({ "path": "none.txt" }), "not_found"),
        (json!({ "path": "/etc/passwd" }), "denied"),
        (json!({ "path": "../../etc/passwd" }), "denied"),
        (json!({ "path": "a\u{0}b" }), "invalid_params"),
        (json!({ "path": 1 }), "invalid_params"),
        (json!({ "path": "a.txt", "range": backwards }), "invalid_params"),
        (json!({ "path": "a.txt", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" }), "not_found"),
    ] {
        assert_eq!(asking.refused("editor.open", params.clone()).await["data"]["kind"], kind, "{params}");
    }
    for capabilities in [json!({ "open": 1 }), json!({ "fly": true }), json!("open")] {
        let error = asking.refused("server.initialize", json!({ "capabilities": capabilities })).await;
        assert_eq!(error["code"], -32602, "{capabilities}");
    }
}

fn diagnostic(line: u32, severity: u8, message: &str) -> Value {
    let at = json!({ "line": line, "character": 4 });
    json!({ "range": { "start": at, "end": at }, "severity": severity, "code": 308, "source": "rustc", "message": message, "tags": [1] })
}

#[tokio::test]
async fn diagnostics_of_the_new_text_are_in_the_result_of_an_edit() {
    let fixture = Fixture::new().await;
    let mut over = settings(&json!({}));
    over["diagnostics"] = json!({ "wait": 60_000 });
    fixture.settings(&over);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let text = "one\ntwo\nthree\n";
    client.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": text })).await;
    client.call("diagnostics.set", json!({ "path": "a.txt", "version": 1, "items": [diagnostic(0, 2, "old")] })).await;
    // They are part of a prompt to which the file is attached.
    let parts = json!([{ "type": "text", "text": "x" }, { "type": "file", "mime": "text/plain", "url": format!("file://{}", fixture.path("repo/a.txt").display()) }]);
    fixture.models.push(Answer::openai_text("done"));
    client.call("session.prompt", json!({ "sessionID": session, "parts": parts })).await;
    let asked =
        fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].to_string();
    assert!(asked.contains("WARNING [1:5] old (rustc 308)"), "{asked}");

    fixture.models.push(Answer::openai_calls(&[("call", "edit", edit("a.txt", "two", "zwei").1)]));
    fixture.models.push(Answer::openai_text("done"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let told = client.event_of("buffer.edit").await["properties"].clone();
    client.call("buffer.reply", json!({ "editID": told["editID"], "applied": true, "version": 2, "saved": true })).await;
    // Of an older text, which does not count.
    client.call("diagnostics.set", json!({ "path": "a.txt", "version": 1, "items": [] })).await;
    client.call("diagnostics.set", json!({ "path": "a.txt", "version": 2, "items": [diagnostic(1, 1, "mismatched types")] })).await;
    turn.result().await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await.to_string();
    assert!(messages.contains("Diagnostics of the new text:\\nERROR [2:5] mismatched types (rustc 308)"), "{messages}");

    // Without an answer in time they are unknown, never none.
    over["diagnostics"] = json!({ "wait": 1 });
    fixture.settings(&over);
    fixture.models.push(Answer::openai_calls(&[("call", "edit", edit("a.txt", "zwei", "two").1)]));
    fixture.models.push(Answer::openai_text("done"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let told = client.event_of("buffer.edit").await["properties"].clone();
    client.call("buffer.reply", json!({ "editID": told["editID"], "applied": true, "version": 3, "saved": true })).await;
    turn.result().await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await.to_string();
    assert!(messages.contains("Diagnostics of the new text: unknown"), "{messages}");
}

#[tokio::test]
async fn diagnostics_are_checked_and_bounded() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    client.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": "x" })).await;
    let set = |items: Value| json!({ "path": "a.txt", "version": 1, "items": items });
    client.call("diagnostics.set", set(json!([diagnostic(0, 1, &"x".repeat(100_000))]))).await;
    for (params, kind) in [
        (set(json!(vec![diagnostic(0, 1, "x"); 1001])), "invalid_params"),
        (set(json!([diagnostic(0, 5, "x")])), "invalid_params"),
        (set(json!([{ "message": "x" }])), "invalid_params"),
        (set(json!("x")), "invalid_params"),
        (json!({ "path": "a.txt", "items": [] }), "invalid_params"),
        (json!({ "path": "b.txt", "version": 1, "items": [] }), "not_found"),
    ] {
        assert_eq!(
            client.refused("diagnostics.set", params.clone()).await["data"]["kind"],
            kind,
            "{}",
            &params.to_string()[..100.min(params.to_string().len())]
        );
    }
    fixture.settings(&json!({ "diagnostics": { "wait": 60_001 } }));
    assert_eq!(client.refused("config.get", json!({})).await["data"]["kind"], "config");
}
