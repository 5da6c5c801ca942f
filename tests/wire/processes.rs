//! Commands in the background: they outlive their call, are seen by every client, and end when they should, with all that
//! they have started.

use serde_json::{Value, json};

use super::support::{
    client::{Client, parts},
    fixture::Fixture,
    model_server::Answer,
};

/// Prints a line, starts a child that only ends when it is killed, and goes on.
const SERVER: &str = "echo ready on port 1; sleep 1000 & echo child $! ; wait";

fn start(command: &str) -> Answer {
    Answer::openai_calls(&[("c", "bash", json!({ "command": command, "description": "Serve", "background": true }))])
}

/// A daemon in which every command is allowed.
async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": "allow" }, "mode": "all" }));
    fixture
}

/// Starts the command in a new session; gives the session, the process, and the tool's part.
async fn begin(fixture: &Fixture, client: &mut Client, command: &str) -> (String, Value, Value) {
    let session = client.session().await;
    fixture.models.push(start(command));
    fixture.models.push(Answer::openai_text("started"));
    client.prompt(&session, "serve").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    let part = parts(&messages[1], "tool")[0].clone();
    let process = part["state"]["metadata"]["process"].clone();
    (session, process, part)
}

/// The number of the child that the server has started.
fn child(text: &str) -> i32 {
    text.split("child ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn is_alive(pid: i32) -> bool {
    // A zombie has ended.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// Waits for the end of a process, which is on its way.
async fn ended(pid: i32) {
    let begun = std::time::Instant::now();
    while is_alive(pid) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{pid} lives on");
        tokio::task::yield_now().await;
    }
}

async fn all_output(client: &mut Client, id: &Value) -> String {
    client.call("process.read", json!({ "id": id })).await["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_outlives_its_call_and_its_client_and_ends_when_told() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "types": ["process.updated"] })).await;
    let (session, process, part) = begin(&fixture, &mut client, SERVER).await;
    let output = part["state"]["output"].as_str().unwrap();
    assert!(output.contains("ready on port 1") && output.contains("It runs in the background as prc_"), "{output}");
    assert_eq!(client.event_of("process.updated").await["properties"]["info"]["status"], "running");
    let listed = client.call("process.list", json!({ "sessionID": session })).await;
    assert_eq!((&listed[0]["id"], &listed[0]["command"], &listed[0]["status"]), (&process["id"], &json!(SERVER), &json!("running")));
    let other = client.session().await;
    assert_eq!(client.call("process.list", json!({ "sessionID": other })).await, json!([]));

    let read = client.call("process.read", json!({ "id": process["id"], "offset": 6, "limit": 2 })).await;
    assert_eq!(read, json!({ "text": "on", "offset": 6, "next": 8 }));
    let text = all_output(&mut client, &process["id"]).await;
    let child = child(&text);
    assert!(is_alive(child));
    assert_eq!(client.call("process.end", json!({ "id": process["id"] })).await, true);
    let info = client.event_of("process.updated").await["properties"]["info"].clone();
    assert_eq!((&info["id"], &info["status"]), (&process["id"], &json!("exited")));
    ended(child).await;
    ended(i32::try_from(process["pid"].as_i64().unwrap()).unwrap()).await;
    assert_eq!(client.call("process.end", json!({ "id": process["id"] })).await, false);
    assert_eq!(all_output(&mut client, &process["id"]).await, text, "the output can still be read");
    let unknown = client.refused("process.read", json!({ "id": "prc_01ARZ3NDEKTSV4RRFFQ69G5FAV" })).await;
    assert_eq!(unknown["data"]["kind"], "not_found");
}

#[tokio::test]
async fn it_ends_with_its_session_and_with_the_daemon() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    // One of them leaves the process group of its shell.
    let (session, process, _) = begin(&fixture, &mut client, "setsid sleep 1000 & echo child $!; wait").await;
    let first = child(&all_output(&mut client, &process["id"]).await);
    let (_, process, _) = begin(&fixture, &mut client, SERVER).await;
    let second = child(&all_output(&mut client, &process["id"]).await);
    assert!(is_alive(first) && is_alive(second));
    assert_eq!(client.call("session.delete", json!({ "sessionID": session })).await, true);
    ended(first).await;
    assert!(is_alive(second), "that of another session goes on");
    assert_eq!(client.call("process.list", json!({})).await.as_array().unwrap().len(), 1);
    client.end().await;
    ended(second).await;
}

#[tokio::test]
async fn what_a_killed_daemon_has_left_is_ended_by_the_next_one() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let (_, process, _) = begin(&fixture, &mut client, SERVER).await;
    let child = child(&all_output(&mut client, &process["id"]).await);
    client.kill().await;
    assert!(is_alive(child));
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("process.list", json!({})).await, json!([]));
    ended(child).await;
}

#[tokio::test]
async fn a_command_whose_daemon_is_killed_is_ended_by_the_next_one() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let input = json!({ "command": "echo $$ > pid.new; mv pid.new pid; exec sleep 1000", "description": "x" });
    fixture.models.push(Answer::openai_calls(&[("c", "bash", input)]));
    client.call("session.submit", json!({ "sessionID": session, "parts": "go" })).await;
    let pid = loop {
        match std::fs::read_to_string(fixture.path("repo/pid")) {
            Ok(text) => break text.trim().parse().unwrap(),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    client.kill().await;
    assert!(is_alive(pid));
    let _client = Client::start(&fixture);
    ended(pid).await;
}

#[tokio::test]
async fn the_model_reads_it_and_ends_it() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let (session, process, _) = begin(&fixture, &mut client, "echo one; sleep 1000").await;
    assert_eq!(process["status"], "running", "{process}");
    for (input, said) in [
        (json!({ "action": "list" }), "echo one"),
        (json!({ "action": "read", "id": process["id"], "offset": 0 }), "one\n"),
        (json!({ "action": "read", "id": "prc_x" }), "must be one of prc_"),
        (json!({ "action": "end", "id": process["id"] }), "It was ended"),
    ] {
        fixture.models.push(Answer::openai_calls(&[("c", "process", input.clone())]));
        fixture.models.push(Answer::openai_text("seen"));
        client.prompt(&session, "look").await;
        let sent =
            fixture.models.requests().into_iter().rfind(|request| request.body["model"] == "main").unwrap().body["messages"].to_string();
        assert!(sent.contains(&said.replace('\n', "\\n")), "{input}: {sent}");
    }
    assert_eq!(client.call("process.list", json!({ "sessionID": session })).await[0]["status"], "exited");
}

#[tokio::test]
async fn permissions_are_those_of_every_command() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "permission": { "bash": { "*": "ask", "rm *": "deny" } } }));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    fixture.models.push(start("rm a.txt"));
    fixture.models.push(start("sleep 1000"));
    fixture.models.push(Answer::openai_text("done"));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "go" })).await;
    let question = client.event_of("permission.asked").await["properties"].clone();
    assert_eq!(question["patterns"], json!(["sleep 1000"]));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": question["id"], "response": "reject" })).await;
    turn.result().await;
    assert!(fixture.path("repo/a.txt").exists());
    assert_eq!(client.call("process.list", json!({})).await, json!([]));
}
