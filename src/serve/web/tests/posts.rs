//! Requests by HTTP: each body a connection of its own.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::support::{Web, body, rest, status};

fn head(web: &Web, length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        web.bearer()
    )
}

/// Waits until `test.count` was called so often.
async fn counted(web: &Web, times: usize) {
    let reached = async {
        while web.house.app.counted.load(Ordering::SeqCst) < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(super::support::TIMEOUT, reached).await.expect("they are called");
}

#[tokio::test]
async fn a_batch_runs_at_once() {
    let web = Web::start().await;
    let wait = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"test.wait","params":{{"gate":"a"}}}}"#);
    let batch = format!(r#"[{},{},{{"jsonrpc":"2.0","id":3,"method":"test.count"}}]"#, wait(1), wait(2));
    let (answer, ()) = tokio::join!(web.post(&batch), async {
        // The last of it is done while the first ones wait.
        counted(&web, 1).await;
        web.house.app.open("a");
    });
    let answers: Vec<Value> = serde_json::from_str(&answer.1).unwrap();
    assert_eq!(answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    web.stop().await;
}

#[tokio::test]
async fn subscribing_is_refused() {
    let web = Web::start().await;
    let stream = r#"{"jsonrpc":"2.0","id":1,"method":"test.stream"}"#;
    for (body, pointer) in [(stream.to_owned(), "/error/data/kind"), (format!("[{stream}]"), "/0/error/data/kind")] {
        let (status, answer) = web.post(&body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, answer.pointer(pointer).and_then(Value::as_str)), (200, Some("invalid_state")), "{answer}");
    }
    web.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_requests_with_it() {
    let web = Web::start().await;
    let wait = r#"[{"jsonrpc":"2.0","id":1,"method":"test.wait","params":{"gate":"never"}},{"jsonrpc":"2.0","method":"test.count"}]"#;
    let mut stream = TcpStream::connect(web.address).await.unwrap();
    stream.write_all(format!("{}{wait}", head(&web, wait.len())).as_bytes()).await.unwrap();
    let dropped = || web.house.app.dropped.load(Ordering::SeqCst);
    counted(&web, 1).await;
    assert_eq!(dropped(), 0);
    drop(stream);
    tokio::time::timeout(super::support::TIMEOUT, async {
        while dropped() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("it is noticed");
    web.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_its_id() {
    let web = Web::start().await;
    let beginning = r#"{"jsonrpc":"2.0","id":7,"method":"test.echo","params":{"value":""#;
    let body_text = format!("{beginning}{}\"}}}}", "x".repeat(33 << 20));
    let (status, answer) = web.post(&body_text).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["id"], &answer["error"]["data"]["kind"]), (200, &7.into(), &"too_large".into()));
    let last = format!(r#"{{"params":{{"value":"{}"}},"method":"test.echo","id":9,"jsonrpc":"2.0"}}"#, "x".repeat(33 << 20));
    assert!(web.post(&last).await.1.contains(r#""id":9,"#));
    assert_eq!(
        web.post("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.echo\"}").await.1,
        r#"{"jsonrpc":"2.0","id":1,"result":null}"#
    );
    // In chunks, without an announced length.
    let mut stream = TcpStream::connect(web.address).await.unwrap();
    let head = head(&web, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    stream.write_all(head.as_bytes()).await.unwrap();
    for chunk in body_text.as_bytes().chunks(1 << 20) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.unwrap();
        stream.write_all(chunk).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let text = rest(&mut stream).await;
    assert_eq!(crate::serve::web::tests::support::status(&text), 200);
    assert_eq!(serde_json::from_str::<Value>(body(&text)).unwrap(), answer);
    // One that just fits is answered.
    let whole = (32 << 20) - beginning.len() - 3;
    let (status, answer) = web.post(&format!("{beginning}{}\"}}}}", "x".repeat(whole - 100))).await;
    assert!(status == 200 && answer.starts_with(r#"{"jsonrpc":"2.0","id":7,"result":"xxx"#), "{answer:.200}");
    web.stop().await;
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let web = Web::start().await;
    let mut stream = TcpStream::connect(web.address).await.unwrap();
    let echo = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#;
    let request = format!("{}{echo}", head(&web, echo.len())).replace("Connection: close\r\n", "");
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut seen = String::new();
        while !seen.ends_with("\"result\":null}") {
            let mut bytes = [0; 1000];
            let length = stream.read(&mut bytes).await.unwrap();
            assert_ne!(length, 0, "{seen}");
            seen.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
        assert_eq!(status(&seen), 200);
    }
    assert!(web.house.app.counted.load(Ordering::SeqCst) == 0);
    web.stop().await;
}

#[tokio::test]
async fn a_daemon_that_stops_answers_first() {
    let web = Web::start().await;
    let count = r#"{"jsonrpc":"2.0","method":"test.count"}"#;
    let wait = |gate: &str| format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"test.wait","params":{{"gate":"{gate}"}}}},{count}]"#);
    let (quick, slow) = (wait("a"), wait("never"));
    let (quick, slow, ()) = tokio::join!(web.post(&quick), web.post(&slow), async {
        counted(&web, 2).await;
        web.house.tasks.cancel();
        web.house.app.open("a");
    });
    assert_eq!(quick, (200, r#"[{"jsonrpc":"2.0","id":1,"result":true}]"#.to_owned()));
    assert!(slow.0 == 200 && slow.1.contains("-32800"), "{slow:?}");
    web.stop().await;
}
