//! The network door: WebSocket and HTTP, with the real executable.

use serde_json::{Value, json};

use super::support::{
    client::{Client, text},
    fixture::Fixture,
    model_server::{Answer, openai},
    served::{Served, Socket, command, http_client, post, run, told},
};

/// Invalid input between valid requests: each has one answer.
const MESSAGES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"session.status"}"#,
    "not json",
    r#"{"id":2,"method":"session.status"}"#,
    r#"{"jsonrpc":"2.0","id":1.5,"method":"session.status"}"#,
    r#"{"jsonrpc":"2.0","id":"three","method":"session.stat"}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"session.status","params":[]}"#,
    r#"{"jsonrpc":"2.0","id":5,"method":"session.status","params":{"sesionID":"x"}}"#,
    r#"{"jsonrpc":"2.0","id":6,"method":"session.get","params":{}}"#,
    r#"{"jsonrpc":"2.0","id":6,"method":"session.get","params":{"sessionID":"ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"}}"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"path.get","params":{"directory":"relative"}}"#,
    r#"{"jsonrpc":"2.0","id":8,"method":"event.list","params":{"since":0,"types":["session.create"]}}"#,
    r#"{"jsonrpc":"2.0","id":9,"method":"server.initialize","params":{"protocolVersion":99}}"#,
    r#"{"jsonrpc":"2.0","id":10,"method":"initialize","params":{}}"#,
    r#"[{"jsonrpc":"2.0","id":11,"method":"session.status"},{"jsonrpc":"2.0","method":"session.status"},7]"#,
    "[]",
    "{}",
    "null",
];

/// The answers of a stream to the lines.
#[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
async fn on_stdio(fixture: &Fixture, lines: &[&str]) -> Vec<String> {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_polytree"));
    command.args(["stdio", "--standalone"]).current_dir(fixture.path("repo")).envs(fixture.environment()).kill_on_drop(true);
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let mut answers = Vec::new();
    for line in lines {
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        answers.push(output.next_line().await.unwrap().unwrap());
    }
    answers
}

#[tokio::test]
async fn the_same_messages_have_the_same_answers_at_every_door() {
    let (fixture, other) = (Fixture::new().await, Fixture::new().await);
    let served = Served::start(&fixture, &["--listen", "127.0.0.1:0"]).await;
    let mut socket = served.connect().await;
    let expected = on_stdio(&other, MESSAGES).await;
    for (message, expected) in MESSAGES.iter().zip(expected) {
        socket.send(message).await;
        assert_eq!(socket.line().await, expected, "{message}");
        assert_eq!(served.post(message).await, (200, expected), "{message}");
    }
    let notification = r#"{"jsonrpc":"2.0","method":"project.init","params":{"directory":"DIR"}}"#;
    for (number, by_http) in [true, false].into_iter().enumerate() {
        let directory = fixture.path(&format!("made-{number}"));
        let notification = notification.replace("DIR", directory.to_str().unwrap());
        if by_http {
            assert_eq!(served.post(&notification).await, (204, String::new()));
        } else {
            socket.send(&notification).await;
            // Executed without an answer: the directory is created eventually.
            while !directory.exists() {
                socket.call("session.status", json!({})).await;
            }
        }
        assert!(directory.exists());
    }
}

#[tokio::test]
async fn a_conversation_over_a_websocket_that_comes_back() {
    let fixture = Fixture::new().await;
    let model = json!({ "limit": { "context": 100_000, "output": 4000 } });
    fixture.settings(&json!({ "provider": { "test": {
        "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "{env:WEB_KEY}" }, "models": { "main": model, "small": model }
    } } }));
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let frames: Vec<String> = ["a", "b", "c", "d"].iter().map(|piece| openai::text(piece)).chain([openai::finish("stop")]).collect();
    fixture.models.push(Answer::sse(frames).gate(2, &gate));
    let mut serve = command(&fixture, &["serve", "--listen", "127.0.0.1:0"]);
    serve.env("WEB_KEY", "the-key-of-who-serves").current_dir(fixture.path(""));
    let served = Served::spawn(serve).await;

    let url = format!("{}&directory={}", served.url(), fixture.path("repo").display());
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    let session = socket.call("session.create", json!({})).await;
    assert_eq!(session["directory"], fixture.path("repo").to_str().unwrap(), "the one in the URL");
    socket.call("event.subscribe", json!({ "sessionID": session["id"], "since": 0 })).await;
    socket.call("session.submit", json!({ "sessionID": session["id"], "parts": "go" })).await;
    let delta = |event: &Value| event["properties"]["delta"].as_str().unwrap_or_default().to_owned();
    let mut seen = Vec::new();
    while seen.iter().map(delta).collect::<String>() != "ab" {
        seen.extend(socket.events_until(|event| event["type"] == "message.part.delta").await);
    }
    drop(socket);
    gate.notify_one();
    let last = seen.iter().filter_map(|event| event["cursor"].as_u64()).max().unwrap();
    let mut socket = Socket::open(&served.url(), &[]).await.unwrap();
    socket.call("event.subscribe", json!({ "sessionID": session["id"], "since": last })).await;
    let rest = socket.events_until(|event| event["type"] == "session.idle").await;
    let text_so_far: String = seen.iter().chain(&rest).map(delta).collect();
    assert_eq!(text_so_far, "abcd", "nothing is lost and nothing comes twice");
    let messages = socket.call("session.messages", json!({ "sessionID": session["id"] })).await;
    assert_eq!(text(&messages[1]), "abcd");
    let request = fixture.models.requests().into_iter().find(|request| request.body["model"] == "main").unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer the-key-of-who-serves"));
    // A single HTTP request gets the same.
    let (_, answer) =
        served.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "session.list", "params": { "scope": "all" } }).to_string()).await;
    assert!(answer.contains(session["id"].as_str().unwrap()), "{answer}");
    let (_, answer) = served.post(r#"{"jsonrpc":"2.0","id":1,"method":"event.subscribe"}"#).await;
    assert!(answer.contains("invalid_state"), "{answer}");
}

#[tokio::test]
async fn a_running_daemon_opens_listeners_for_local_clients_only() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    client.session().await;
    let (code, said) = run(&fixture, &["serve", "--listen", "127.0.0.1:0", "--listen", "[::1]:0"]).await;
    assert_eq!(code, 0, "{said}");
    let (urls, tokens) = (told(&said, "listening on "), told(&said, "token: "));
    assert!(urls[1].starts_with("http://[::1]:") && tokens.len() == 1, "{said}");
    let info = client.call("server.info", json!({})).await;
    assert_eq!(info["listen"].as_array().unwrap()[1..], [json!(urls[0]), json!(urls[1])]);
    // The same request again changes nothing, from any client.
    let again = client.call("server.listen", json!({ "address": "127.0.0.1:0" })).await;
    assert_eq!(again, json!({ "url": urls[0], "tokenFile": fixture.path("data/token") }));
    let wrong = client.refused("server.listen", json!({ "address": "0.0.0.0:0" })).await;
    assert_eq!(wrong["data"]["kind"], "invalid_params");
    assert!(wrong["data"]["hint"].as_str().unwrap().contains("certificate"), "{wrong}");
    let other = client.refused("server.listen", json!({ "address": "127.0.0.1:0", "basePath": "/x" })).await;
    assert_eq!(other["data"]["kind"], "conflict");

    for url in &urls {
        let url = format!("{url}?token={}", tokens[0]);
        let listen = json!({ "jsonrpc": "2.0", "id": 1, "method": "server.listen", "params": { "address": "127.0.0.1:0" } });
        let (_, answer) = post(&url, &listen.to_string()).await;
        assert!(answer.contains(r#""kind":"denied""#), "{answer}");
        let mut socket = Socket::open(&url, &[]).await.unwrap();
        let answer = socket.answer("server.listen", listen["params"].clone()).await;
        assert_eq!(answer["error"]["data"]["kind"], "denied");
        assert_eq!(socket.call("server.info", json!({})).await["pid"], client.pid());
    }
    let url = format!("{}?token={}", urls[0], tokens[0]);
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    client.terminate().await;
    assert_eq!(socket.close_reason().await, Some((1001, "the daemon shuts down".to_owned())));
    let address = urls[0].trim_start_matches("http://").trim_end_matches('/');
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn turns_have_the_variables_of_who_opened_the_listener() {
    let fixture = Fixture::new().await;
    let model = json!({ "limit": { "context": 100_000, "output": 4000 } });
    fixture.settings(&json!({ "provider": { "test": {
        "api": "openai", "options": { "baseURL": fixture.models.url(), "apiKey": "{env:WEB_KEY}" }, "models": { "main": model, "small": model }
    } } }));
    fixture.models.push(Answer::openai_text("ok"));
    let mut client = Client::start(&fixture);
    client.session().await;
    let mut serve = command(&fixture, &["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8(serve.env("WEB_KEY", "the-key-of-who-asked").output().await.unwrap().stderr).unwrap();
    let url = format!("{}?token={}", told(&said, "listening on ")[0], told(&said, "token: ")[0]);
    let prompt =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "session.prompt", "params": { "directory": fixture.path("repo"), "parts": "go" } });
    let (status, answer) = post(&url, &prompt.to_string()).await;
    assert!(status == 200 && answer.contains(r#""text":"ok""#), "{answer}");
    let request = fixture.models.requests().into_iter().find(|request| request.body["model"] == "main").unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer the-key-of-who-asked"));
}

#[tokio::test]
async fn the_token_is_a_secret_that_can_be_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new().await;
    let mut serve = command(&fixture, &["--log-level", "trace", "serve", "--listen", "127.0.0.1:0"]);
    serve.stderr(std::process::Stdio::piped());
    let mut served = Served::spawn(serve).await;
    let file = fixture.path("data/token");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), served.token);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let status = r#"{"jsonrpc":"2.0","id":1,"method":"session.status"}"#;
    assert_eq!(served.post(status).await.0, 200);
    let offered = format!("polytree.v1, polytree.token.{}", served.token);
    let mut socket = Socket::open(&served.urls[0], &[("sec-websocket-protocol", &offered)]).await.unwrap();
    socket.call("session.status", json!({})).await;

    let (code, said) = run(&fixture, &["serve", "--new-token"]).await;
    assert_eq!(code, 0, "{said}");
    let token = told(&said, "token: ")[0].to_owned();
    assert_ne!(token, served.token);
    assert_eq!(served.post(status).await.0, 401, "the old one");
    let old = std::mem::replace(&mut served.token, token);
    assert_eq!(served.post(status).await.0, 200);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(served.post(status).await.0, 401, "a deleted one");
    assert!(file.exists(), "there is a new one");
    served.terminate().await;
    // With the most verbose log level.
    for entry in std::fs::read_dir(fixture.path("data/log")).unwrap() {
        let log = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!log.is_empty() && !log.contains(&old) && !log.contains(&served.token));
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_told_and_leaves_no_daemon() {
    let fixture = Fixture::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    std::fs::write(fixture.path("repo/c.pem"), "nothing").unwrap();
    for (arguments, code, reason) in [
        (&["--listen", address.as_str()][..], 3, "is in use by another program"),
        (&["--listen", "0.0.0.0:0"], 1, "without TLS the token could be read on the network"),
        (&["--listen", "nowhere"], 1, "is not HOST:PORT"),
        (&["--listen", "127.0.0.1:0", "--allow-origin", "*"], 1, "would allow every page of the web"),
        (&["--listen", "127.0.0.1:0", "--certificate", "c.pem", "--key", "k.pem"], 1, "repo/c.pem holds no certificate in PEM form"),
        (&["--listen", "127.0.0.1:0", "--certificate", "c.pem"], 2, "--key"),
        (&["--base-path", "/x"], 2, "--listen"),
    ] {
        let (exit, said) = run(&fixture, &[&["serve"], arguments].concat()).await;
        assert_eq!(exit, code, "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    // The data directory has no owner.
    Client::start(&fixture).session().await;
}

#[tokio::test]
async fn it_serves_behind_tls_a_base_path_and_a_proxy() {
    let fixture = Fixture::new().await;
    let made = rcgen::generate_simple_self_signed(["tree.example".to_owned()]).unwrap();
    std::fs::write(fixture.path("repo/c.pem"), made.cert.pem()).unwrap();
    std::fs::write(fixture.path("repo/k.pem"), made.signing_key.serialize_pem()).unwrap();
    let arguments = ["--listen", "0.0.0.0:0", "--certificate", "c.pem", "--key", "k.pem", "--base-path", "/polytree"];
    let served = Served::start(&fixture, &[&arguments[..], &["--allow-host", "tree.example", "--trust-forwarded"]].concat()).await;
    let (_, port) = served.urls[0].trim_end_matches("/polytree/").rsplit_once(':').unwrap();
    assert!(served.urls[0].starts_with("https://0.0.0.0:"), "{:?}", served.urls);
    let client = http_client()
        .tls_certs_only([reqwest::Certificate::from_der(made.cert.der()).unwrap()])
        .resolve("tree.example", ([127, 0, 0, 1], 0).into())
        .build()
        .unwrap();
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let request = client.get(format!("https://tree.example:{port}{path}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(get("/polytree/", &[]).await, 200);
    assert_eq!(get("/polytree/healthz", &[]).await, 200);
    assert_eq!(get("/", &[]).await, 404);
    let proxied = [("x-forwarded-host", "tree.example"), ("x-forwarded-proto", "http"), ("origin", "http://tree.example")];
    assert_eq!(get("/polytree/", &proxied).await, 200);
    assert_eq!(get("/polytree/", &[("x-forwarded-host", "evil.example")]).await, 403);
    assert_eq!(get("/polytree/", &[("origin", "http://tree.example")]).await, 403);
}
