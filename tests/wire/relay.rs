//! `polytree stdio` as editors start it: all share one daemon, which may be killed without a visible effect.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts, text},
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// Kills the daemon of the fixture's home with SIGKILL.
async fn kill_daemon(client: &mut Client) -> u64 {
    let pid = client.call("server.info", json!({})).await["pid"].as_u64().unwrap();
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    pid
}

#[tokio::test]
async fn editors_that_start_at_once_share_one_daemon() {
    let fixture = Fixture::new().await;
    let mut editors: Vec<Client> = (0..6).map(|_| Client::relay(&fixture, &[])).collect();
    let mut pids = Vec::new();
    for editor in &mut editors {
        pids.push(editor.call("server.info", json!({})).await["pid"].clone());
    }
    assert!(pids.iter().all(|pid| *pid == pids[0] && pid.is_u64()), "{pids:?}");
    // All see the changes of one, and closing an editor ends nothing.
    let mut watching = editors.pop().unwrap();
    watching.subscribe(json!({ "types": ["session.idle"] })).await;
    let mut closing = editors.pop().unwrap();
    let session = closing.session().await;
    fixture.models.push(Answer::openai_text("done").pace(Duration::from_millis(20)));
    closing.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    assert!(closing.end().await.success());
    assert_eq!(watching.event_of("session.idle").await["sessionID"], session);
    let messages = watching.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(text(&messages[1]), "done");
}

/// The text of each part of a session, from events alone.
#[derive(Default)]
struct View {
    cursor: u64,
    texts: BTreeMap<String, String>,
    idle: usize,
}

impl View {
    fn take(&mut self, event: &Value) {
        let cursor = event["cursor"].as_u64().unwrap();
        let properties = &event["properties"];
        match event["type"].as_str().unwrap() {
            "server.connected" | "server.heartbeat" => {
                assert!(cursor >= self.cursor, "{event}");
                return;
            }
            "message.part.delta" => {
                let part = self.texts.get_mut(properties["partID"].as_str().unwrap()).expect("a part begins whole");
                part.push_str(properties["delta"].as_str().unwrap());
            }
            "message.part.updated" if properties["part"]["text"].is_string() => {
                let part = &properties["part"];
                self.texts.insert(part["id"].as_str().unwrap().to_owned(), part["text"].as_str().unwrap().to_owned());
            }
            "session.idle" => self.idle += 1,
            _ => {}
        }
        assert!(cursor > self.cursor, "seen before: {event}");
        self.cursor = cursor;
    }

    async fn follow(&mut self, client: &Client, until: impl Fn(&Self) -> bool) {
        let followed = async {
            while !until(self) {
                self.take(&client.event(|_| true).await);
            }
        };
        // Heartbeats never end.
        tokio::time::timeout(Duration::from_secs(60), followed).await.expect("what is waited for has not come for a minute");
    }

    fn length(&self) -> usize {
        self.texts.values().map(String::len).sum()
    }
}

#[tokio::test]
async fn a_killed_daemon_leaves_no_trace_in_the_editors_views() {
    let fixture = Fixture::new().await;
    let frames = (0..400).map(|number| openai::text(&format!("word{number} ")));
    fixture.models.push(Answer::sse(frames).pace(Duration::from_millis(2)).hang());
    fixture.models.rule(|request| request.body.to_string().contains("unkeyed words").then(|| Answer::sse([openai::text("a")]).hang()));
    let mut one = Client::relay(&fixture, &[]);
    let mut other = Client::relay(&fixture, &[]);
    let session = one.session().await;
    let mut views = [View::default(), View::default()];
    one.subscribe(json!({ "sessionID": session })).await;
    other.subscribe(json!({ "sessionID": session, "since": 0 })).await;
    let mine = "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let keyed = one.send("session.prompt", json!({ "sessionID": session, "messageID": mine, "parts": "go" })).await;
    views[0].follow(&one, |view| view.length() > 300).await;
    views[1].follow(&other, |view| view.length() > 100).await;
    let unkeyed = other.send("session.abort", json!({ "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" })).await;
    unkeyed.answer().await;
    // In a separate session: the answer does not tell whether it was stored before the end.
    let elsewhere = other.session().await;
    let never = one.send("session.prompt", json!({ "sessionID": elsewhere, "parts": "unkeyed words" })).await;
    while other.call("session.status", json!({})).await[&elsewhere]["type"] != "busy" {}
    let killed = kill_daemon(&mut other).await;

    // The turn has ended and is marked; the waiting request gets an error that the outcome is unknown.
    let interrupted = keyed.result().await;
    assert_eq!(interrupted["info"]["error"]["name"], "MessageInterruptedError", "{interrupted}");
    let error = never.answer().await["error"].clone();
    assert_eq!((&error["data"]["kind"], error["data"]["retryAfter"].is_u64()), (&json!("unavailable"), true), "{error}");
    for (view, client) in views.iter_mut().zip([&one, &other]) {
        view.follow(client, |view| view.idle == 1).await;
    }
    // The next turn of another daemon continues in the same views.
    fixture.models.push(Answer::openai_text("after"));
    let after = one.send("session.prompt", json!({ "sessionID": session, "parts": "again" })).await;
    for (view, client) in views.iter_mut().zip([&one, &other]) {
        view.follow(client, |view| view.texts.values().any(|text| text == "after") && view.idle >= 2).await;
    }
    after.answer().await;
    assert_ne!(one.call("server.info", json!({})).await["pid"], killed);

    // The view of a client without interruptions.
    let mut third = Client::relay(&fixture, &[]);
    let mut whole = View::default();
    third.subscribe(json!({ "sessionID": session, "since": 0 })).await;
    whole.follow(&third, |view| view.cursor == views[1].cursor).await;
    assert_eq!(views[1].texts, whole.texts);
    let shown: BTreeMap<_, _> = whole.texts.iter().filter(|(id, _)| views[0].texts.contains_key(*id)).collect();
    assert_eq!(views[0].texts.iter().collect::<BTreeMap<_, _>>(), shown);
    let stored = third.call("session.messages", json!({ "sessionID": session })).await;
    for part in stored.as_array().unwrap().iter().flat_map(|message| parts(message, "text")) {
        assert_eq!(whole.texts[part["id"].as_str().unwrap()], part["text"].as_str().unwrap());
    }
}

#[tokio::test]
async fn each_editor_brings_its_own_keys_and_directory_also_to_the_next_daemon() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.path("repo/inner")).unwrap();
    let url = fixture.models.url();
    fixture.settings(&json!({ "provider": { "test": {
        "api": "openai", "options": { "baseURL": url, "apiKey": "{env:MY_KEY}" }, "models": { "main": {}, "small": {} } } } }));
    let mut one = Client::relay(&fixture, &[("MY_KEY", "key-of-one")]);
    let mut other = Client::relay(&fixture, &[("MY_KEY", "key-of-another")]);
    let told = one.call("server.initialize", json!({ "clientInfo": { "name": "one" }, "directory": fixture.path("repo/inner") })).await;
    assert_eq!(told["directory"], json!(fixture.path("repo/inner")));
    for _ in 0..2 {
        assert_eq!(one.call("path.get", json!({})).await["directory"], json!(fixture.path("repo/inner")));
        assert_eq!(other.call("path.get", json!({})).await["directory"], json!(fixture.path("repo")));
        for (client, key) in [(&mut one, "key-of-one"), (&mut other, "key-of-another")] {
            fixture.models.push(Answer::openai_text("yes"));
            let session = client.session().await;
            client.prompt(&session, "go").await;
            let request = fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap();
            assert_eq!(request.header("authorization"), Some(format!("Bearer {key}").as_str()));
        }
        kill_daemon(&mut other).await;
    }
}

#[tokio::test]
async fn a_relay_ends_with_its_editor() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("a")]).hang());
    let mut editor = Client::relay(&fixture, &[]);
    let session = editor.session().await;
    let _waiting = editor.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    fixture.models.arrived(1).await;
    // Its answer is never read.
    assert!(editor.stop_reading().await.success());
    let mut watching = Client::relay(&fixture, &[]);
    let status = watching.call("session.status", json!({})).await;
    assert_eq!(status[&session]["type"], "busy", "the turn goes on");
    assert!(watching.end().await.success());
}
