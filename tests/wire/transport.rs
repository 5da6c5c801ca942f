//! JSON-RPC on stdio, exactly.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::support::{client::Client, fixture::Fixture};

/// Sends lines to a new daemon, then ends the input; returns its output, sorted by id.
#[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
async fn transcript(input: &[u8]) -> Vec<u8> {
    use tokio::io::AsyncWriteExt as _;
    let fixture = Fixture::new().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_polytree"));
    command.args(["stdio", "--standalone"]).current_dir(fixture.path("repo")).envs(fixture.environment());
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    output.stdout
}

async fn check(input: &str, expected: Expect) {
    let output = String::from_utf8(transcript(input.as_bytes()).await).unwrap();
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"session.status"}
not json
{"id":2,"method":"session.status"}
{"jsonrpc":"2.0","id":1.5,"method":"session.status"}
{"jsonrpc":"2.0","id":"three","method":"session.stat"}
{"jsonrpc":"2.0","id":4,"method":"session.status","params":[]}
{"jsonrpc":"2.0","method":"session.status"}
{"jsonrpc":"2.0","id":5,"method":"session.status","params":{"sesionID":"x"}}
{"jsonrpc":"2.0","id":6,"method":"session.get","params":{}}
[{"jsonrpc":"2.0","id":7,"method":"session.status"},{"jsonrpc":"2.0","method":"session.status"},7]
[]
"#,
        expect![[r#"
            [{"jsonrpc":"2.0","id":7,"result":{}},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}}]
            {"jsonrpc":"2.0","id":"three","error":{"code":-32601,"message":"unknown method `session.stat`","data":{"kind":"method_not_found","hint":"the nearest method is `session.status`"}}}
            {"jsonrpc":"2.0","id":1,"result":{}}
            {"jsonrpc":"2.0","id":2,"error":{"code":-32600,"message":"`jsonrpc` must be \"2.0\"","data":{"kind":"invalid_request"}}}
            {"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"params must be an object: they are given by name, not by position","data":{"kind":"invalid_params"}}}
            {"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"unknown field `sesionID`, the nearest valid name is `sessionID`; expected one of `sessionID`, `directory`, `projectID`","data":{"kind":"invalid_params"}}}
            {"jsonrpc":"2.0","id":6,"error":{"code":-32602,"message":"missing field `sessionID`","data":{"kind":"invalid_params"}}}
            {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"`id` must be a string or an integer from 0 to 9007199254740991","data":{"kind":"invalid_request"}}}
            {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"an empty batch","data":{"kind":"invalid_request"}}}
            {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the message is not JSON: expected ident at line 1 column 2","data":{"kind":"parse_error"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn headers_are_answered_in_kind() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"session.status"}"#;
    let initialize = r#"{"jsonrpc":"2.0","id":2,"method":"initialize","params":{}}"#;
    let input = format!("Content-Length: {}\r\n\r\n{body}Content-Length: {}\r\n\r\n{initialize}", body.len(), initialize.len());
    let output = String::from_utf8(transcript(input.as_bytes()).await).unwrap();
    assert!(output.starts_with("Content-Length: "), "{output}");
    assert!(output.contains(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), "{output}");
    assert!(output.contains("-32601"), "{output}");
}

#[tokio::test]
async fn an_oversize_message_is_refused_and_the_connection_goes_on() {
    let mut input = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"log.write","params":{{"service":"s","level":"info","message":"{}"}}}}"#,
        "x".repeat(33 << 20)
    )
    .into_bytes();
    input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session.status\"}\n");
    let output = String::from_utf8(transcript(&input).await).unwrap();
    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().any(|line| line["error"]["data"]["kind"] == "too_large"), "{output}");
    assert!(lines.iter().any(|line| line["id"] == 2 && line["result"] == json!({})), "{output}");
}

#[tokio::test]
async fn a_cancelled_wait_answers_at_once_and_the_turn_goes_on() {
    use super::support::model_server::{Answer, openai};
    let fixture = Fixture::new().await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    fixture.models.push(Answer::sse([openai::text("a"), openai::finish("stop")]).gate(1, &gate));
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "x" })).await;
    client.event_of("message.part.delta").await;
    client.send_line(&json!({ "jsonrpc": "2.0", "method": "$/cancelRequest", "params": { "id": turn.id } }).to_string()).await;
    assert_eq!(turn.answer().await["error"]["code"], -32800);
    gate.notify_one();
    client.event_of("session.idle").await;
    let messages = client.call("session.messages", json!({ "sessionID": session })).await;
    assert_eq!(messages[1]["info"]["finish"], "stop");
}

#[tokio::test]
async fn the_handshake_tells_what_there_is() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let hello = client.call("server.initialize", json!({ "clientInfo": { "name": "test" }, "protocolVersion": 1 })).await;
    assert_eq!(hello["directory"], fixture.path("repo").to_str().unwrap());
    assert!(hello["methods"].as_array().unwrap().contains(&json!("session.prompt")));
    let old = client.refused("server.initialize", json!({ "protocolVersion": 99 })).await;
    assert_eq!((&old["data"]["kind"], &old["data"]["supported"]), (&json!("unsupported_version"), &json!([1])));
    let info = client.call("server.info", json!({})).await;
    assert_eq!(info["pid"], client.pid());
    assert_eq!(info["dataDirectory"], fixture.path("data").to_str().unwrap());
}
