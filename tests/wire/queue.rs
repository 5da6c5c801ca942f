//! Prompts that wait: listed, moved, changed, removed; and prompts that enter the running turn.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::support::{
    client::{Client, text},
    command::polytree,
    fixture::Fixture,
    model_server::{Answer, openai},
};

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(text).collect()
}

/// A session in a turn whose first answer ends when the gate opens.
async fn busy(fixture: &Fixture, client: &mut Client) -> (String, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let frames = [openai::text("half"), openai::finish("stop"), openai::DONE.to_owned()];
    fixture.models.push(Answer::sse(frames).gate(1, &gate));
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "first" })).await;
    client.event_of("message.part.delta").await;
    (session, gate)
}

async fn idle(client: &Client) {
    client.event(|event| event["type"] == "session.status" && event["properties"]["status"]["type"] == "idle").await;
}

/// The texts of the prompts that wait.
async fn queue(client: &mut Client, session: &str) -> Vec<String> {
    let queue = client.call("session.queue", json!({ "sessionID": session })).await;
    queue.as_array().unwrap().iter().map(|prompt| prompt["parts"][0]["text"].as_str().unwrap().to_owned()).collect()
}

async fn state(client: &mut Client, session: &str, id: &Value) -> Value {
    client.call("session.message", json!({ "sessionID": session, "messageID": id })).await["info"]["state"].clone()
}

async fn submit(client: &mut Client, session: &str, prompt: &str) -> Value {
    let submitted = client.call("session.submit", json!({ "sessionID": session, "parts": prompt })).await;
    assert_eq!(submitted["queued"], true);
    submitted["messageID"].clone()
}

/// What the model was asked last, as role and text.
fn asked(fixture: &Fixture) -> Vec<(String, String)> {
    let messages = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].clone();
    let text = |message: &Value| message["content"].as_str().map_or_else(|| message["content"].to_string(), str::to_owned);
    let message = |message: &Value| (message["role"].as_str().unwrap().to_owned(), text(message));
    messages.as_array().unwrap().iter().skip(1).map(message).collect()
}

#[tokio::test]
async fn the_queue_can_be_listed_moved_changed_and_emptied() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, gate) = busy(&fixture, &mut client).await;
    let mut ids = Vec::new();
    for prompt in ["a", "b", "c"] {
        ids.push(submit(&mut client, &session, prompt).await);
    }
    assert_eq!(queue(&mut client, &session).await, ["a", "b", "c"]);
    let moved = json!({ "sessionID": session, "messageID": ids[2], "before": ids[0] });
    assert_eq!(client.call("session.queue.move", moved).await, true);
    assert_eq!(client.call("session.queue.move", json!({ "sessionID": session, "messageID": ids[0] })).await, true);
    assert_eq!(queue(&mut client, &session).await, ["c", "b", "a"]);
    let replaced = json!({ "sessionID": session, "messageID": ids[1], "parts": [{ "type": "text", "text": "B" }, { "type": "text", "text": "more" }] });
    assert_eq!(client.call("session.queue.replace", replaced).await["messageID"], ids[1]);
    assert_eq!(client.call("session.queue.remove", json!({ "sessionID": session, "messageID": ids[2] })).await, true);
    assert_eq!(client.call("session.queue.remove", json!({ "sessionID": session, "messageID": ids[2] })).await, false);
    assert_eq!(state(&mut client, &session, &ids[2]).await, "cancelled");
    let late = json!({ "sessionID": session, "messageID": ids[2], "parts": "x" });
    assert_eq!(client.refused("session.queue.replace", late).await["data"]["kind"], "conflict");
    let nowhere = json!({ "sessionID": session, "messageID": ids[0], "before": ids[2] });
    assert_eq!(client.refused("session.queue.move", nowhere).await["data"]["kind"], "conflict");

    fixture.models.push(Answer::openai_text("to B"));
    fixture.models.push(Answer::openai_text("to a"));
    gate.notify_one();
    idle(&client).await;
    let said: Vec<String> = asked(&fixture).into_iter().map(|(_, text)| text).collect();
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said[2].contains('B') && said[2].contains("more") && said[4].contains('a'), "{said:?}");
    let reads_removed = said.iter().any(|text| text.lines().any(|line| line == "c" || line.contains("\"c\"")));
    assert!(!reads_removed, "no model reads a prompt that was removed: {said:?}");
}

#[tokio::test]
async fn an_empty_prompt_is_refused() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, _) = busy(&fixture, &mut client).await;
    let waiting = submit(&mut client, &session, "waits").await;
    for parts in [json!(""), json!([]), json!(" \n"), json!([{ "type": "text", "text": "" }, { "type": "text", "text": " " }])] {
        for method in ["session.prompt", "session.submit", "session.steer", "session.queue.replace"] {
            let mut params = json!({ "sessionID": session, "parts": parts });
            if method == "session.queue.replace" {
                params["messageID"] = waiting.clone();
            }
            let error = client.refused(method, params).await;
            assert!(error["message"].as_str().unwrap().contains("is empty"), "{method} {error}");
        }
    }
    assert_eq!(queue(&mut client, &session).await, ["waits"]);
}

#[tokio::test]
async fn a_queue_of_an_earlier_daemon_can_be_changed_before_it_starts() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, _) = busy(&fixture, &mut client).await;
    let one = submit(&mut client, &session, "one").await;
    let two = submit(&mut client, &session, "two").await;
    client.kill().await;
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("session.queue.remove", json!({ "sessionID": session, "messageID": one })).await, true);
    let queue = client.call("session.queue", json!({ "sessionID": session })).await;
    assert_eq!((queue.as_array().unwrap().len(), &queue[0]["messageID"]), (1, &two));
    fixture.models.push(Answer::openai_text("to two"));
    fixture.models.push(Answer::openai_text("to three"));
    client.prompt(&session, "three").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert!(texts(&messages).contains(&"to two".to_owned()) && texts(&messages).contains(&"to three".to_owned()), "{messages}");
}

#[tokio::test]
async fn a_steering_prompt_is_read_before_the_next_step_of_the_turn() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let wait = json!({ "command": "while [ ! -e go ]; do sleep 0.01; done; echo went" });
    fixture.models.push(Answer::openai_calls(&[("call_1", "bash", wait)]));
    fixture.models.push(Answer::openai_text("steered"));
    fixture.models.push(Answer::openai_text("queued"));
    client.call("session.update", json!({ "sessionID": session, "mode": "all" })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "first" })).await;
    client.event(|event| event["properties"]["part"]["state"]["status"] == "running").await;
    let later = submit(&mut client, &session, "later").await;
    let steer = json!({ "sessionID": session, "parts": "use tabs", "messageID": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    let entered = client.call("session.steer", steer.clone()).await["messageID"].clone();
    assert_eq!(state(&mut client, &session, &entered).await, "queued");
    std::fs::write(fixture.path("repo/go"), "").unwrap();
    assert_eq!(text(&turn.answer().await["result"]), "steered");
    idle(&client).await;

    let request = fixture.models.requests().into_iter().filter(|request| request.body["model"] == "main").nth(1).unwrap();
    let roles: Vec<&str> = request.body["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    assert_eq!(request.body["messages"][4]["content"], "use tabs");
    // In the next turn the conversation stands as it was held, with the prompt that waited at its end.
    let said: Vec<String> = asked(&fixture).into_iter().map(|(role, text)| format!("{role}: {text}")).collect();
    assert_eq!(said.len(), 6, "{said:?}");
    assert_eq!((&*said[3], &*said[4], &*said[5]), ("user: use tabs", "assistant: steered", "user: later"));
    assert_eq!(state(&mut client, &session, &entered).await, "answered");
    assert_eq!(state(&mut client, &session, &later).await, "answered");
    assert_eq!(client.call("session.steer", steer).await["messageID"], entered, "the same call changes nothing");
    assert_eq!(client.call("session.queue", json!({ "sessionID": session })).await, json!([]));
}

#[tokio::test]
async fn prompts_that_enter_a_turn_in_the_same_step_are_answered_together() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, gate) = busy(&fixture, &mut client).await;
    fixture.models.push(Answer::openai_text("both"));
    fixture.models.push(Answer::openai_text("to the one that waited"));
    submit(&mut client, &session, "waits").await;
    let one = client.call("session.steer", json!({ "sessionID": session, "parts": "one" })).await["messageID"].clone();
    let two = client.call("session.steer", json!({ "sessionID": session, "parts": "two" })).await["messageID"].clone();
    gate.notify_one();
    idle(&client).await;
    let message = client.call("session.message", json!({ "sessionID": session, "messageID": one })).await;
    assert_eq!((&message["info"]["state"], &message["info"]["answeredWith"]), (&json!("answered"), &two));
    let said: Vec<String> = asked(&fixture).into_iter().map(|(_, text)| text).collect();
    assert!(said[2].contains("one") && said[2].contains("two"), "later turns read both: {said:?}");
    assert_eq!((&*said[3], &*said[4]), ("both", "waits"));
    let copy = client.call("session.fork", json!({ "sessionID": session })).await["id"].clone();
    let messages = client.call("session.messages", json!({ "sessionID": copy })).await;
    let infos: Vec<&Value> = messages.as_array().unwrap().iter().map(|message| &message["info"]).collect();
    let named = infos.iter().find_map(|info| info.get("answeredWith")).unwrap();
    assert!(infos.iter().any(|info| info["id"] == *named), "a copy names its own message: {infos:?}");
}

#[tokio::test]
async fn a_steering_prompt_makes_a_turn_that_was_about_to_end_go_on_and_a_late_one_is_a_prompt() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, gate) = busy(&fixture, &mut client).await;
    fixture.models.push(Answer::openai_text("second"));
    client.call("session.steer", json!({ "sessionID": session, "parts": "and this" })).await;
    gate.notify_one();
    idle(&client).await;
    let said = asked(&fixture);
    assert_eq!(said.last().unwrap(), &("user".to_owned(), "and this".to_owned()));
    fixture.models.push(Answer::openai_text("third"));
    client.call("session.steer", json!({ "sessionID": session, "parts": "alone" })).await;
    idle(&client).await;
    assert_eq!(
        texts(&client.call("session.messages", json!({ "sessionID": session })).await),
        ["first", "half", "and this", "second", "alone", "third"]
    );
}

#[tokio::test]
async fn a_prompt_that_waits_can_be_made_to_enter_the_turn() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, gate) = busy(&fixture, &mut client).await;
    let one = submit(&mut client, &session, "one").await;
    let two = submit(&mut client, &session, "two").await;
    client.call("session.steer", json!({ "sessionID": session, "parts": "three" })).await;
    let all = json!({ "sessionID": session });
    let steers = |queue: Value| -> Vec<bool> { queue.as_array().unwrap().iter().map(|prompt| prompt["steers"] == true).collect() };
    assert_eq!(steers(client.call("session.queue", all.clone()).await), [false, false, true]);
    for _ in 0..2 {
        assert_eq!(client.call("session.queue.steer", json!({ "sessionID": session, "messageID": two })).await, true);
    }
    client.event_of("session.queue.updated").await;
    assert_eq!(steers(client.call("session.queue", all.clone()).await), [false, true, true]);
    fixture.models.push(Answer::openai_text("to three and two"));
    fixture.models.push(Answer::openai_text("to one"));
    gate.notify_one();
    idle(&client).await;
    let messages = client.call("session.messages", all.clone()).await;
    assert_eq!(texts(&messages), ["first", "half", "one", "two", "three", "to three and two", "to one"], "{messages}");
    let answer = |text_of: &str| messages.as_array().unwrap().iter().find(|message| text(message) == text_of).unwrap()["info"].clone();
    assert_eq!((&answer("to three and two")["parentID"], &answer("to one")["parentID"]), (&two, &one));
    assert_eq!(client.call("session.queue.steer", json!({ "sessionID": session, "messageID": one })).await, false);
}

#[tokio::test]
async fn an_abort_cancels_a_steering_prompt_that_was_not_read() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, _) = busy(&fixture, &mut client).await;
    let entered = client.call("session.steer", json!({ "sessionID": session, "parts": "never" })).await["messageID"].clone();
    client.call("session.abort", json!({ "sessionID": session })).await;
    idle(&client).await;
    assert_eq!(state(&mut client, &session, &entered).await, "cancelled");
    assert_eq!(client.call("session.queue", json!({ "sessionID": session })).await, json!([]));
}

#[tokio::test]
async fn the_queue_is_changed_in_the_terminal() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, gate) = busy(&fixture, &mut client).await;
    let mut ids = Vec::new();
    for prompt in ["alpha", "beta\u{1b}[2J", "gamma"] {
        ids.push(submit(&mut client, &session, prompt).await.as_str().unwrap().to_owned());
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let lines = async |arguments: &[&str]| {
        let (code, out, err) = polytree(&fixture, &[&["sessions", "queue", session.as_str()][..], arguments].concat()).await;
        (code, out.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect::<Vec<_>>(), err)
    };
    let (code, waiting, err) = lines(&[]).await;
    assert_eq!((code, waiting.len(), waiting[0].as_str(), waiting[2].as_str()), (0, 3, "alpha", "gamma"), "{err}");
    assert!(waiting[1].starts_with("beta") && !waiting[1].contains('\u{1b}'), "{waiting:?}");
    assert_eq!(lines(&["--move", ids[2], "--before", ids[0]]).await.1[..2], ["gamma", "alpha"]);
    assert_eq!(lines(&["--move", ids[2]]).await.1[2], "gamma");
    assert_eq!(lines(&["--remove", ids[1]]).await.1, ["alpha", "gamma"]);
    let (code, waiting, err) = lines(&["--remove", ids[1]]).await;
    assert!(code == 1 && waiting.is_empty() && err.contains("does not wait"), "{code} {err}");
    assert_eq!(lines(&["--replace", ids[0], "new", "words"]).await.1, ["new words", "gamma"]);
    let (code, out, _) = polytree(&fixture, &["sessions", "queue", &session, "--json"]).await;
    let listed: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, &listed[0]["messageID"], &listed[0]["parts"][0]["text"]), (0, &json!(ids[0]), &json!("new words")));
    for wrong in [&["--before", "x"][..], &["--remove", ids[0], "--move", ids[2]], &["words"], &["--replace", ids[0]]] {
        assert_eq!(lines(wrong).await.0, 2, "{wrong:?}");
    }
    let (code, out, err) = polytree(&fixture, &["sessions", "steer", &session, "use", "tabs"]).await;
    assert!(code == 0 && out.starts_with("msg_"), "{out}{err}");
    assert_eq!(queue(&mut client, &session).await.last().unwrap(), "use tabs");
    let (code, out, err) = polytree(&fixture, &["sessions", "todo", &session]).await;
    assert!(code == 0 && out.is_empty() && err.contains("no task list"), "{err}");
    fixture.models.push(Answer::openai_calls(&[(
        "t",
        "todowrite",
        json!({ "todos": [
        { "content": "one", "status": "completed", "priority": "low" }, { "content": "two", "status": "in_progress", "priority": "low" },
    ] }),
    )]));
    for _ in 0..3 {
        fixture.models.push(Answer::openai_text("ok"));
    }
    gate.notify_one();
    idle(&client).await;
    let (_, out, _) = polytree(&fixture, &["sessions", "todo", &session]).await;
    assert_eq!(out, "[x] one\n[-] two\n");
    let (code, out, err) = polytree(&fixture, &["sessions", "queue", &session]).await;
    assert!(code == 0 && out.is_empty() && err.contains("no prompts wait"), "{err}");
}
