//! The commands that people type, beside a running daemon and without one.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::support::{
    client::{Client, text},
    command::{command, polytree},
    fixture::Fixture,
    model_server::{Answer, openai},
};

#[tokio::test]
async fn an_answer_goes_to_the_standard_output_and_the_rest_does_not() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_calls(&[("c", "read", json!({ "filePath": "a.txt" }))]));
    fixture.models.push(Answer::openai_text("**Three** lines."));
    let (code, out, err) = polytree(&fixture, &["run", "how many lines?"]).await;
    assert_eq!((code, out.as_str()), (0, "**Three** lines.\n"), "{err}");
    assert!(err.contains("read a.txt") && err.contains("test/main"), "{err}");
}

#[tokio::test]
async fn without_a_terminal_a_question_is_refused_and_yes_allows_but_beats_no_deny() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "rm *": "deny" } } }));
    let call = |command: &str| Answer::openai_calls(&[("c", "bash", json!({ "command": command, "description": "x" }))]);
    fixture.models.push(call("touch made"));
    let (code, _, err) = polytree(&fixture, &["run", "go"]).await;
    assert_eq!(code, 4, "{err}");
    assert!(!fixture.path("repo/made").exists());
    fixture.models.push(call("touch made"));
    fixture.models.push(Answer::openai_text("made"));
    let (code, out, err) = polytree(&fixture, &["run", "--yes", "go"]).await;
    assert_eq!((code, out.as_str()), (0, "made\n"), "{err}");
    assert!(fixture.path("repo/made").exists());
    fixture.models.push(call("rm made"));
    fixture.models.push(Answer::openai_text("not allowed"));
    polytree(&fixture, &["run", "--yes", "go"]).await;
    assert!(fixture.path("repo/made").exists());
}

#[tokio::test]
async fn a_failing_model_fails_the_command() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::json(400, &json!({ "error": { "message": "no such thing" } })));
    let (code, out, err) = polytree(&fixture, &["run", "go"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("no such thing"), "{err}");
    assert_eq!(polytree(&fixture, &["run", "--model", "nonsense", "x"]).await.0, 2);
    assert_eq!(polytree(&fixture, &["run", "--model", "test/mian", "x"]).await.0, 1);
}

#[tokio::test]
async fn commands_reach_the_daemon_that_runs() {
    let fixture = Fixture::new().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    fixture.models.push(Answer::sse([openai::text("from the daemon"), openai::finish("stop")]).gate(1, &gate));
    let mut client = Client::start(&fixture);
    client.subscribe(json!({})).await;
    let running = async { command(&fixture, &["run", "--json", "hello"]).output().await.unwrap() };
    let watching = async {
        // The editor's connection sees live what the terminal has started.
        let delta = client.event_of("message.part.delta").await;
        assert_eq!(delta["properties"]["delta"], "from the daemon");
        gate.notify_one();
    };
    let (output, ()) = tokio::join!(running, watching);
    assert!(output.status.success());
    let lines: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["exitCode"]), (&json!("result"), &json!(0)));
    let messages = client.call("session.messages", json!({ "sessionID": last["sessionID"] })).await;
    assert_eq!(text(&messages[1]), "from the daemon");
    let (code, out, _) = polytree(&fixture, &["sessions", "list"]).await;
    assert!(code == 0 && out.contains(last["sessionID"].as_str().unwrap()), "{out}");
    fixture.models.push(Answer::openai_text("again"));
    let (_, out, _) = polytree(&fixture, &["run", "--continue", "go on"]).await;
    assert_eq!(out, "again\n");
    assert_eq!(client.call("session.messages", json!({ "sessionID": last["sessionID"] })).await.as_array().unwrap().len(), 4);
    let (code, _, _) = polytree(&fixture, &["sessions", "delete", "--yes", last["sessionID"].as_str().unwrap()]).await;
    assert_eq!(code, 0);
    assert_eq!(client.refused("session.get", json!({ "sessionID": last["sessionID"] })).await["data"]["kind"], "not_found");
}

#[tokio::test]
async fn text_from_a_pipe_is_part_of_the_prompt() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::openai_text("ok"));
    let mut child = command(&fixture, &["run", "review"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"piped words").await.unwrap();
    assert!(child.wait_with_output().await.unwrap().status.success());
    let sent = fixture.models.requests().into_iter().find(|r| r.body["model"] == "main").unwrap().body["messages"].to_string();
    assert!(sent.contains("review") && sent.contains("piped words"), "{sent}");
}

#[tokio::test]
async fn ctrl_c_aborts_the_turn_and_keeps_the_session() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let child = command(&fixture, &["run", "go"]).spawn().unwrap();
    fixture.models.arrived(1).await;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap(),
        rustix::process::Signal::INT,
    )
    .unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let mut client = Client::connect(&fixture).await;
    let sessions = client.call("session.list", json!({})).await;
    let messages = client.call("session.messages", json!({ "sessionID": sessions[0]["id"] })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageAbortedError");
}

#[tokio::test]
async fn serve_ends_at_a_signal_within_two_seconds_and_marks_what_was_cut_off() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let mut server = command(&fixture, &["serve"]).spawn().unwrap();
    let mut greeting = tokio::io::BufReader::new(server.stderr.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut greeting, &mut line).await.unwrap();
    assert!(line.contains(&server.id().unwrap().to_string()), "{line}");
    let streaming = command(&fixture, &["run", "stream"]).spawn().unwrap();
    fixture.models.arrived(1).await;
    let began = std::time::Instant::now();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(server.id().unwrap()).unwrap()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert!(server.wait().await.unwrap().success());
    assert!(began.elapsed().as_secs_f32() < 4.0, "it took {:?}", began.elapsed());
    let output = streaming.wait_with_output().await.unwrap();
    assert_ne!(output.status.code(), Some(0));
    let mut client = Client::start(&fixture);
    let sessions = client.call("session.list", json!({})).await;
    let messages = client.call("session.messages", json!({ "sessionID": sessions[0]["id"] })).await;
    assert_eq!(messages[1]["info"]["error"]["name"], "MessageInterruptedError");
}
