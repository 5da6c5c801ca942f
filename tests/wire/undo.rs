//! Undo beside editors, a full disk, and a daemon that is killed in the middle of it.

use std::fs;

use serde_json::{Value, json};

use super::{
    revert::World,
    support::{
        client::{Client, Pending},
        fixture::Fixture,
        model_server::Answer,
    },
};

const OLD: &str = "one\ntwo\nthree\n";
const NEW: &str = "one\n2\nthree\n";

impl World {
    /// The daemon is killed, and another one starts.
    async fn killed(&mut self) {
        self.client.kill_now();
        self.fixture.free().await;
        self.client = Client::start(&self.fixture);
    }

    /// An editor holds `a.txt` with this text.
    async fn open(&mut self, text: &str) {
        self.client.call("buffer.open", json!({ "path": "a.txt", "version": 1, "text": text })).await;
    }

    async fn send_revert(&mut self, partial: bool) -> Pending {
        let prompt = self.prompts().await[0].clone();
        let params = self.params(&prompt, &json!({ "partial": partial }));
        self.client.send("session.revert", params).await
    }
}

#[tokio::test]
async fn an_edit_whose_daemon_was_killed_before_it_was_stored_is_undone() {
    let fixture = Fixture::new().await;
    let client = Client::start(&fixture);
    let mut world = World::in_session(fixture, client, "repo").await;
    world.open(OLD).await;
    let edit = json!({ "filePath": "a.txt", "oldString": "two", "newString": "2" });
    for (tool, input) in [("read", json!({ "filePath": "a.txt" })), ("edit", edit)] {
        world.fixture.models.push(Answer::openai_calls(&[("c", tool, input)]));
    }
    let params = json!({ "sessionID": world.session, "parts": "edit" });
    let _turn = world.client.send("session.prompt", params).await;
    let asked = world.client.event_of("buffer.edit").await["properties"].clone();
    // From here on the daemon can store nothing.
    let store = rusqlite::Connection::open(world.fixture.path("data/polytree.db")).unwrap();
    store.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.write("a.txt", NEW);
    let reply = json!({ "editID": asked["editID"], "applied": true, "version": 2, "saved": true });
    world.client.call("buffer.reply", reply).await;
    world.client.kill_now();
    world.fixture.free().await;
    drop(store);
    world.client = Client::start(&world.fixture);
    let messages = world.messages().await;
    let patch = messages.iter().flat_map(|message| message["parts"].as_array().unwrap()).find(|part| part["type"] == "patch").unwrap();
    assert_eq!((&patch["files"], &patch["callID"]), (&json!([world.path("a.txt")]), &json!("c")));
    let prompts = world.prompts().await;
    let revert = world.revert(&prompts[0]).await;
    assert_eq!(world.actions(&revert), [("a.txt".to_owned(), "restore".to_owned())]);
    assert_eq!(world.read("a.txt"), OLD);
    // The note is not read again.
    world.killed().await;
    assert_eq!(world.messages().await.len(), messages.len());
    world.unrevert().await;
    assert_eq!(world.read("a.txt"), NEW);
}

#[tokio::test]
async fn an_edit_that_was_never_made_is_none() {
    let fixture = Fixture::new().await;
    let client = Client::start(&fixture);
    let mut world = World::in_session(fixture, client, "repo").await;
    world.open(OLD).await;
    let edit = json!({ "filePath": "a.txt", "oldString": "two", "newString": "2" });
    for (tool, input) in [("read", json!({ "filePath": "a.txt" })), ("edit", edit)] {
        world.fixture.models.push(Answer::openai_calls(&[("c", tool, input)]));
    }
    let params = json!({ "sessionID": world.session, "parts": "edit" });
    let _turn = world.client.send("session.prompt", params).await;
    world.client.event_of("buffer.edit").await;
    world.killed().await;
    assert_eq!(world.client.call("session.diff", json!({ "sessionID": world.session })).await, json!([]));
    let prompts = world.prompts().await;
    assert_eq!(world.revert(&prompts[0]).await["files"], json!([]));
}

#[tokio::test]
async fn what_a_command_has_changed_whose_daemon_was_killed_is_named() {
    let fixture = Fixture::new().await;
    let client = Client::start(&fixture);
    let mut world = World::in_session(fixture, client, "repo").await;
    world.client.subscribe(json!({ "sessionID": world.session })).await;
    world.fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo x > x; echo started; sleep 60" }))]));
    let params = json!({ "sessionID": world.session, "parts": "run" });
    let _turn = world.client.send("session.prompt", params).await;
    while world.client.event_of("message.part.delta").await["properties"]["field"] != "output" {}
    world.killed().await;
    assert!(world.path("x").exists());
    let prompts = world.prompts().await;
    let revert = world.revert(&prompts[0]).await;
    assert_eq!((&revert["files"], &revert["uncovered"]), (&json!([]), &json!([world.path("").to_str().unwrap().trim_end_matches('/')])));
}

#[tokio::test]
async fn an_undo_goes_through_the_editor_that_holds_the_file() {
    let mut world = World::new().await;
    world.edit("two", "2").await;
    let unsaved = "zero\none\n2\nthree\n";
    world.open(unsaved).await;
    let revert = world.send_revert(false).await;
    let asked = world.client.event_of("buffer.edit").await["properties"].clone();
    let range = json!({ "start": { "line": 2, "character": 0 }, "end": { "line": 3, "character": 0 } });
    assert_eq!(asked["edits"], json!([{ "range": range, "text": "two\n" }]));
    // Nothing changes where the editor refuses.
    world.client.call("buffer.reply", json!({ "editID": asked["editID"], "applied": false, "message": "not now" })).await;
    let error = revert.answer().await["error"].clone();
    assert_eq!(
        (&error["data"]["kind"], world.actions(&error["data"])),
        (&json!("conflict"), vec![("a.txt".to_owned(), "conflict".to_owned())])
    );
    assert!(error["data"]["files"][0]["reason"].as_str().unwrap().contains("not now"), "{error}");
    let revert = world.send_revert(false).await;
    let asked = world.client.event_of("buffer.edit").await["properties"].clone();
    world.client.call("buffer.reply", json!({ "editID": asked["editID"], "applied": true, "version": 2 })).await;
    let revert = revert.result().await["revert"].clone();
    assert_eq!(world.actions(&revert), [("a.txt".to_owned(), "merge".to_owned())]);
    assert_eq!(world.read("a.txt"), NEW, "the editor saves, nobody else");
}

#[tokio::test]
async fn an_undo_that_was_killed_is_brought_to_its_end() {
    let mut world = World::new().await;
    world.edit("two", "2").await;
    let calls: Vec<(String, Value)> = (0..20).map(|number| (format!("new/{number}.txt"), json!(format!("{number}\n")))).collect();
    for (path, content) in &calls {
        world.turn("create", &[("write", json!({ "filePath": path, "content": content }))]).await;
    }
    world.open(NEW).await;
    let revert = world.send_revert(false).await;
    // Its plan is on the disk, and no file is written yet.
    world.client.event_of("buffer.edit").await;
    assert!(world.path("new/0.txt").exists());
    world.killed().await;
    drop(revert);
    let session = world.client.call("session.get", json!({ "sessionID": world.session })).await;
    assert!(!world.path("new").exists());
    let actions = world.actions(&session["revert"]);
    assert_eq!((actions.len(), &actions[0]), (21, &("a.txt".to_owned(), "skip".to_owned())), "its editor was not there any more");
    assert_eq!(world.read("a.txt"), NEW);
    world.unrevert().await;
    assert_eq!(fs::read_dir(world.path("new")).unwrap().count(), 20);
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_undone() {
    let fixture = Fixture::new().await;
    let client = Client::start_without_signal(&fixture);
    let mut world = World::in_session(fixture, client, "repo").await;
    let text = "line\n".repeat(2000);
    world.turn("create", &[("write", json!({ "filePath": "b.txt", "content": text }))]).await;
    world.edit("two", "2").await;
    let prompts = world.prompts().await;
    world.client.limit_files(Some(64));
    let params = world.params(&prompts[0], &json!({}));
    let error = world.client.refused("session.revert", params).await;
    assert_eq!(error["data"]["kind"], "unavailable", "{error}");
    assert_eq!((world.read("a.txt").as_str(), world.read("b.txt")), (NEW, text));
    world.client.limit_files(None);
    let revert = world.revert(&prompts[0]).await;
    assert_eq!(world.actions(&revert).len(), 2);
    assert_eq!((world.read("a.txt").as_str(), world.path("b.txt").exists()), (OLD, false));
}
