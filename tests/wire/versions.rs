//! A newer client with an older daemon: the daemon shuts down for it as soon as nothing is lost.

use polytree::{
    serve::local::{Hello, NotGreeted},
    store::{LockState, Owner, Ownership},
};
use serde_json::json;
use tokio::{io::AsyncBufReadExt as _, process::Command};

use super::support::{
    client::Client,
    command::{command, ended, polytree},
    fixture::Fixture,
    model_server::{Answer, openai},
};

const OLD: &str = "0.0.9";

fn old(fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = command(fixture, arguments);
    command.env("POLYTREE_PRETEND_VERSION", OLD);
    command
}

/// A home with an older daemon, and a client of the same version.
async fn with_old_daemon() -> (Fixture, Client) {
    let fixture = Fixture::new().await;
    assert!(old(&fixture, &["sessions", "list"]).status().await.unwrap().success());
    assert_eq!(owner(&fixture).version, OLD);
    let client = Client::greet(&fixture, &hello(&fixture, OLD)).await.unwrap();
    (fixture, client)
}

fn hello(fixture: &Fixture, version: &str) -> Hello {
    let directory = polytree::stdx::paths::AbsPath::new(fixture.path("repo")).unwrap();
    Hello { executable_version: version.to_owned(), ..Hello::new(Some(&directory), std::collections::BTreeMap::new()) }
}

fn owner(fixture: &Fixture) -> Owner {
    let LockState::Owned(Some(owner)) = Ownership::lock_state(&fixture.path("data")) else { panic!("nobody owns it") };
    owner
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[tokio::test]
async fn an_idle_one_leaves_at_once() {
    let (fixture, client) = with_old_daemon().await;
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    assert!(code == 0 && !err.contains("is running, but"), "{err}");
    client.ended().await;
    assert_eq!(owner(&fixture).version, version());
    // The newer daemon serves older clients, and stays.
    let newer = owner(&fixture).pid;
    assert!(old(&fixture, &["sessions", "list"]).status().await.unwrap().success());
    assert_eq!(owner(&fixture).pid, newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_one_serves_until_its_turns_have_ended() {
    let (fixture, mut client) = with_old_daemon().await;
    let (session, pid) = (client.session().await, owner(&fixture).pid);
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    fixture.models.push(Answer::sse([openai::text("slowly"), openai::finish("stop")]).gate(1, &gate));
    client.subscribe(json!({})).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    client.event_of("message.part.delta").await;
    fixture.models.push(Answer::openai_text("also"));
    let (code, out, err) = polytree(&fixture, &["run", "newer"]).await;
    assert_eq!((code, out.as_str()), (0, "also\n"), "{err}");
    assert_eq!((owner(&fixture).pid, owner(&fixture).version.as_str()), (pid, OLD));
    // A queued prompt keeps the daemon running, too.
    fixture.models.push(Answer::openai_text("second"));
    let second = client.send("session.prompt", json!({ "sessionID": session, "parts": "and this" })).await;
    gate.notify_one();
    assert_eq!(turn.result().await["info"]["finish"], "stop");
    assert_eq!(second.result().await["parts"][1]["text"], "second");
    client.ended().await;
    fixture.free().await;
    let LockState::Free(Some(room)) = Ownership::lock_state(&fixture.path("data")) else { panic!() };
    assert_eq!(room.version, version());
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    assert_eq!(owner(&fixture).version, version());
}

#[tokio::test]
async fn one_that_waits_for_a_person_leaves_at_once_and_the_question_stays() {
    let (fixture, mut client) = with_old_daemon().await;
    let session = client.session().await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "echo ran >> log", "description": "x" }))]));
    client.subscribe(json!({})).await;
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    client.event(|event| event["properties"]["status"]["type"] == "waiting").await;
    assert_eq!(polytree(&fixture, &["sessions", "list"]).await.0, 0);
    assert_eq!(owner(&fixture).version, version());
    let mut client = Client::connect(&fixture).await;
    client.subscribe(json!({})).await;
    let open = client.call("permission.list", json!({})).await;
    fixture.models.push(Answer::openai_text("done"));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": open[0]["id"], "response": "once" })).await;
    client.event_of("session.idle").await;
    assert_eq!(std::fs::read_to_string(fixture.path("repo/log")).unwrap(), "ran\n");
}

#[tokio::test]
async fn one_that_cannot_leave_serves_and_the_person_is_told() {
    let fixture = Fixture::new().await;
    let mut server = old(&fixture, &["serve"]).spawn().unwrap();
    let mut greeting = tokio::io::BufReader::new(server.stderr.take().unwrap()).lines();
    assert!(greeting.next_line().await.unwrap().unwrap().contains(OLD));
    let (code, _, err) = polytree(&fixture, &["sessions", "list"]).await;
    let pid = server.id().unwrap();
    assert_eq!(code, 0);
    let told = format!(
        "polytree {OLD} (process {pid}, `polytree serve`) is running, but this is polytree {}: restart that one to use the newer version\n",
        version()
    );
    assert!(err.starts_with(&told), "{err}");
    let (_, _, err) = ended(old(&fixture, &["sessions", "list"]).output().await.unwrap());
    assert!(!err.contains("is running, but"), "{err}");
    assert!(server.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn room_is_made_for_one_that_is_not_understood() {
    let (fixture, client) = with_old_daemon().await;
    let refused = |version: &str, protocol_version| Hello { protocol_version, ..hello(&fixture, version) };
    let Err(NotGreeted::Refused(error)) = Client::greet(&fixture, &refused("0.0.1", 0)).await else { panic!() };
    assert_eq!((error.kind(), error.retry_after()), (Some("unsupported_version"), None));
    assert!(error.hint().unwrap().contains("use a program that goes with it"), "{error:?}");
    let Err(NotGreeted::Refused(error)) = Client::greet(&fixture, &refused("9.0.0", 99)).await else { panic!() };
    assert_eq!((error.kind(), error.data.as_ref().unwrap()["supported"].clone()), (Some("unsupported_version"), json!([1])));
    assert!(error.retry_after().is_some(), "{error:?}");
    client.ended().await;
    fixture.free().await;
    let LockState::Free(Some(room)) = Ownership::lock_state(&fixture.path("data")) else { panic!() };
    assert_eq!(room.version, "9.0.0");
}
