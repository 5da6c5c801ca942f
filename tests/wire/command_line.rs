//! The commands, with and without a running daemon.

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
        // The editor's connection receives the events of the terminal's turn.
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

#[tokio::test]
async fn an_agent_in_a_file_that_waits_for_trust_is_named() {
    let fixture = Fixture::new().await;
    std::fs::create_dir_all(fixture.path("repo/.polytree/agent")).unwrap();
    std::fs::write(fixture.path("repo/.polytree/agent/review.md"), "---\ndescription: reviews\n---\nReview it.\n").unwrap();
    let (code, _, err) = polytree(&fixture, &["run", "-a", "review", "go"]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.starts_with(".polytree/agent/review.md waits for trust: polytree trust --list\n"), "{err}");
    assert!(err.contains("there is no agent \"review\"") && err.contains("hint: .polytree/agent/review.md waits for trust"), "{err}");
    let (_, _, err) = polytree(&fixture, &["run", "-a", "other", "go"]).await;
    assert!(err.contains("hint: agent.list names them"), "{err}");
    polytree(&fixture, &["trust"]).await;
    fixture.models.push(Answer::openai_text("reviewed"));
    let (code, out, err) = polytree(&fixture, &["run", "-a", "review", "go"]).await;
    assert!(code == 0 && out == "reviewed\n" && !err.contains("waits for trust"), "{err}");
}

#[tokio::test]
async fn completions_that_nobody_reads_end_quietly() {
    let fixture = Fixture::new().await;
    let mut line = command(&fixture, &["completions", "zsh"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = line.stdout(writer).spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), ""));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&fixture, &["completions", "bash"]).stdout(full).spawn().unwrap().wait_with_output().await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && err.starts_with("error: the output cannot be written: No space left"), "{err}");
    let (code, out, _) = polytree(&fixture, &["completions", "fish"]).await;
    assert!(code == 0 && out.contains("complete -c polytree"));
}

#[tokio::test]
async fn a_question_without_its_command_is_a_hint() {
    let fixture = Fixture::new().await;
    let (code, _, err) = polytree(&fixture, &["why does it fail?"]).await;
    assert!(code == 2 && err.contains("did you mean `polytree run \"why does it fail?\"`?"), "{err}");
    let (code, out, _) = polytree(&fixture, &["help"]).await;
    assert!(code == 0 && out.contains("Exit codes"), "{out}");
}

#[tokio::test]
async fn a_prompt_that_was_cancelled_in_the_queue_is_told_and_sent_again() {
    let fixture = Fixture::new().await;
    fixture.models.push(Answer::sse([openai::text("half")]).hang());
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let _turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "first" })).await;
    fixture.models.arrived(1).await;
    let waiting = command(&fixture, &["run", "--session", &session, "second"]).spawn().unwrap();
    client.event(|event| event["type"] == "session.queue.updated").await;
    client.call("session.abort", json!({ "sessionID": session })).await;
    let output = waiting.wait_with_output().await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("the prompt was cancelled before its turn began\n") && err.contains("--again"), "{err}");
    let (_, shown, _) = polytree(&fixture, &["sessions", "show", &session]).await;
    let (prompt, note) = (shown.find("> second").unwrap(), shown.find("cancelled; send again").unwrap());
    assert!(shown.find("half").unwrap() < prompt && prompt < note, "{shown}");
    fixture.models.push(Answer::openai_text("answered"));
    let (code, out, err) = polytree(&fixture, &["run", "--session", &session, "--again"]).await;
    assert_eq!((code, out.as_str()), (0, "answered\n"), "{err}");
    let sent = fixture.models.requests().into_iter().rev().find(|request| request.body["model"] == "main").unwrap().body.to_string();
    assert!(sent.contains("second"), "{sent}");
}

#[tokio::test]
async fn the_contract_is_printed_by_the_installed_program() {
    let fixture = Fixture::new().await;
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (arguments, file) in [
        (&["schema"][..], "openrpc.json"),
        (&["schema", "openrpc"], "openrpc.json"),
        (&["schema", "types"], "schema.json"),
        (&["schema", "config"], "config.json"),
    ] {
        let (code, out, err) = polytree(&fixture, arguments).await;
        let expected = std::fs::read_to_string(repository.join("schema").join(file)).unwrap();
        assert!(code == 0 && out == expected, "{arguments:?}: {err}");
    }
    assert!(!fixture.path("data/polytree.db").exists(), "no daemon is needed");
    let mut client = Client::start(&fixture);
    let document = client.call("rpc.discover", json!({})).await;
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(repository.join("schema/openrpc.json")).unwrap()).unwrap();
    assert!(document == expected, "the running daemon tells the same");
    assert_eq!(client.refused("rpc.discover", json!({ "version": 1 })).await["code"], -32602);
}
