//! Patches over the wire: asked for once, undone as a whole, and resumed after a restart.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts},
    fixture::Fixture,
    model_server::Answer,
};

const PATCH: &str = "*** Begin Patch\n*** Add File: new.txt\n+new\n*** Update File: a.txt\n*** Move to: b.txt\n@@\n-two\n+2\n*** Delete File: c.txt\n*** End Patch";

fn read(path: &str) -> Answer {
    Answer::openai_calls(&[("r", "read", json!({ "filePath": path, "filePaths": ["c.txt"] }))])
}

/// A session that knows the files; it has been asked for the patch.
async fn asked(fixture: &Fixture, client: &mut Client) -> (String, String, Value) {
    std::fs::write(fixture.path("repo/c.txt"), "see\n").unwrap();
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(read("a.txt"));
    fixture.models.push(Answer::openai_calls(&[("p", "patch", json!({ "patchText": PATCH }))]));
    let submitted = client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    let question = client.event_of("permission.asked").await["properties"].clone();
    (session, submitted["messageID"].as_str().unwrap().to_owned(), question)
}

fn content(fixture: &Fixture, name: &str) -> Option<String> {
    std::fs::read_to_string(fixture.path("repo").join(name)).ok()
}

async fn allow(fixture: &Fixture, client: &mut Client, session: &str, question: &Value) {
    fixture.models.push(Answer::openai_text("done"));
    let reply = json!({ "sessionID": session, "permissionID": question["id"], "response": "once" });
    client.call("permission.reply", reply).await;
    client.event_of("session.idle").await;
}

#[tokio::test]
async fn a_patch_is_one_question_and_is_undone_as_a_whole() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, message, question) = asked(&fixture, &mut client).await;
    assert_eq!((&question["type"], &question["patterns"]), (&json!("edit"), &json!(["new.txt", "b.txt", "a.txt", "c.txt"])));
    allow(&fixture, &mut client, &session, &question).await;
    let now = |name: &str| content(&fixture, name);
    assert_eq!((now("new.txt").as_deref(), now("b.txt").as_deref()), (Some("new\n"), Some("one\n2\nthree\n")));
    assert_eq!((now("a.txt"), now("c.txt")), (None, None));
    let diff = client.call("session.diff", json!({ "sessionID": session })).await;
    let name = |file: &Value| file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut changed: Vec<String> = diff.as_array().unwrap().iter().map(name).collect();
    changed.sort_unstable();
    assert_eq!(changed, ["a.txt", "b.txt", "c.txt", "new.txt"]);

    client.call("session.revert", json!({ "sessionID": session, "messageID": message })).await;
    assert_eq!((now("new.txt"), now("b.txt")), (None, None));
    assert_eq!((now("a.txt").as_deref(), now("c.txt").as_deref()), (Some("one\ntwo\nthree\n"), Some("see\n")));
    client.call("session.unrevert", json!({ "sessionID": session })).await;
    assert_eq!((now("b.txt").as_deref(), now("c.txt")), (Some("one\n2\nthree\n"), None));
}

#[tokio::test]
async fn its_question_outlives_the_daemon() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let (session, _, question) = asked(&fixture, &mut client).await;
    client.kill().await;
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "sessionID": session })).await;
    allow(&fixture, &mut client, &session, &question).await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let part = parts(&messages[2], "tool")[0].clone();
    assert_eq!(part["state"]["status"], "completed", "{part}");
    assert_eq!((content(&fixture, "b.txt").as_deref(), content(&fixture, "c.txt")), (Some("one\n2\nthree\n"), None));
}
