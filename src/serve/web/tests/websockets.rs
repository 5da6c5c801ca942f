//! Conversations over WebSockets.

use std::{sync::atomic::Ordering, time::Duration};

use futures::SinkExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::support::{Web, limits};
use crate::serve::web::site::Limits;

const ECHO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#;
const ECHOED: &str = r#"{"jsonrpc":"2.0","id":1,"result":null}"#;

#[tokio::test]
async fn requests_run_at_once_and_can_be_cancelled() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    socket.request(1, "test.wait", &json!({"gate": "never"})).await;
    socket.request(2, "test.wait", &json!({"gate": "a"})).await;
    socket.send(r#"[{"jsonrpc":"2.0","id":3,"method":"test.wait","params":{"gate":"a"}},{"jsonrpc":"2.0","id":4,"method":"test.wait","params":{"gate":"b"}}]"#).await;
    assert_eq!(socket.ask(r#"{"jsonrpc":"2.0","id":5,"method":"test.echo"}"#).await, r#"{"jsonrpc":"2.0","id":5,"result":null}"#);
    let cancelled = socket.ask(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}"#).await;
    assert!(cancelled.starts_with(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32800"#), "{cancelled}");
    assert_eq!(web.house.app.dropped.load(Ordering::SeqCst), 1);
    web.house.app.open("a");
    assert_eq!(socket.line().await, r#"{"jsonrpc":"2.0","id":2,"result":true}"#);
    web.house.app.open("b");
    assert_eq!(socket.line().await, r#"[{"jsonrpc":"2.0","id":3,"result":true},{"jsonrpc":"2.0","id":4,"result":true}]"#);
    web.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_takes_its_requests_with_it() {
    let web = Web::start().await;
    for ends_properly in [true, false] {
        let mut socket = web.connect().await;
        socket.request(1, "test.wait", &json!({"gate": "never"})).await;
        socket.request(2, "test.stream", &json!({"count": 1_000_000})).await;
        socket.ask(ECHO).await;
        if ends_properly {
            socket.0.close(Some(CloseFrame { code: CloseCode::Away, reason: "bye".into() })).await.unwrap();
            assert_eq!(socket.close_reason().await.map(|(code, _)| code), Some(1001), "its code is said back");
        }
        drop(socket);
        tokio::time::timeout(super::support::TIMEOUT, async {
            while web.house.app.dropped.swap(0, Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("it is noticed");
    }
    web.stop().await;
}

#[tokio::test]
async fn what_is_no_text_closes_with_the_code_that_says_so() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    socket.0.send(Message::binary(vec![0; 100_000])).await.unwrap();
    assert_eq!(socket.close_reason().await.map(|(code, _)| code), Some(1003));
    let mut socket = web.connect().await;
    // A text frame with a byte that is no UTF-8, masked with zeros.
    socket.0.get_mut().write_all(&[0x81, 0x83, 0, 0, 0, 0, b'"', 0xff, b'"']).await.unwrap();
    assert_eq!(socket.close_reason().await.map(|(code, _)| code), Some(1007));
    let mut socket = web.connect().await;
    socket.0.get_mut().write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed]).await.unwrap();
    assert_eq!(socket.close_reason().await.map(|(code, _)| code), Some(1002), "1005 is never sent, nor said back");
    web.stop().await;
}

#[tokio::test]
async fn oversize_messages_are_refused_and_the_connection_goes_on() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    assert_eq!(socket.ask(&format!("\u{feff}{ECHO}")).await, ECHOED);
    let large = "x".repeat(33 << 20);
    let refusal: Value = serde_json::from_str(
        &socket.ask(&format!(r#"{{"jsonrpc":"2.0","id":2,"method":"test.echo","params":{{"value":"{large}"}}}}"#)).await,
    )
    .unwrap();
    assert_eq!((&refusal["id"], &refusal["error"]["data"]["kind"]), (&json!(2), &json!("too_large")));
    let answer = socket.ask(&format!(r#"{{"jsonrpc":"2.0","id":3,"method":"test.large","params":{{"bytes":{}}}}}"#, 33 << 20)).await;
    assert!(answer.starts_with(r#"{"jsonrpc":"2.0","id":3,"error":{"code":1008"#), "{answer:.200}");
    assert_eq!(socket.ask(ECHO).await, ECHOED);
    web.stop().await;
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let web = Web::start().await;
    // The client's own limit is lower than ours, so its messages are cut into frames, and ours must fit it.
    let mut socket = web.connect().await;
    let value = "y".repeat(10 << 20);
    let answer = socket.ask(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{{"value":"{value}"}}}}"#)).await;
    assert!(answer == format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{value}"}}"#));
    web.stop().await;
}

#[tokio::test]
async fn pings_are_answered() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    socket.0.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(socket.next().await, Some(Message::Pong("are you there".into())));
    assert_eq!(socket.ask(ECHO).await, ECHOED);
    web.stop().await;
}

#[tokio::test]
async fn who_gives_no_sign_of_life_is_gone_and_who_does_stays() {
    let quick = Limits { ping: Duration::from_millis(400), ..limits() };
    let web = Web::with(quick, |_| {}).await;
    let (mut alive, mut dead) = (web.connect().await, web.connect().await);
    let began = std::time::Instant::now();
    // Reads what comes and answers nothing, as a machine that has gone.
    let gone = async {
        let mut seen = Vec::new();
        let _ = dead.0.get_mut().read_to_end(&mut seen).await;
        (seen, began.elapsed())
    };
    let stays = async {
        while web.house.app.counted.load(Ordering::SeqCst) == 0 {
            if let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(20), alive.next()).await {
                assert!(matches!(message, Message::Ping(_)), "{message:?}");
            }
        }
    };
    let ((seen, after), ()) = tokio::join!(
        async {
            let gone = gone.await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            web.house.app.counted.store(1, Ordering::SeqCst);
            gone
        },
        stays
    );
    assert_eq!(seen, [&[0x89, 0, 0x89, 0, 0x88, 20, 0x03, 0xf0][..], b"no answer to pings"].concat(), "two pings, then the end");
    assert!(after >= Duration::from_millis(1150), "{after:?}");
    assert_eq!(alive.ask(ECHO).await, ECHOED);
    web.stop().await;
}

#[tokio::test]
async fn who_came_with_a_token_that_was_replaced_has_to_go() {
    let web = Web::with(Limits { ping: Duration::from_millis(50), ..limits() }, |_| {}).await;
    let mut socket = web.connect().await;
    web.house.tokens().replace().unwrap();
    assert_eq!(web.connect_to(&format!("/?token={}", web.token), &[]).await.err(), Some(401));
    assert_eq!(socket.close_reason().await, Some((1008, "the token was replaced".to_owned())));
    web.stop().await;
}

#[tokio::test]
async fn a_daemon_that_stops_answers_what_it_can_and_says_so() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    socket.request(1, "test.wait", &json!({"gate": "a"})).await;
    socket.request(2, "test.wait", &json!({"gate": "never"})).await;
    socket.ask(r#"{"jsonrpc":"2.0","id":3,"method":"test.echo"}"#).await;
    web.house.tasks.cancel();
    web.house.app.open("a");
    assert_eq!(socket.line().await, r#"{"jsonrpc":"2.0","id":1,"result":true}"#);
    assert!(socket.line().await.contains("-32800"));
    assert_eq!(socket.close_reason().await, Some((1001, "the daemon shuts down".to_owned())));
    web.stop().await;
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_and_closed() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    // Not masked.
    socket.0.get_mut().write_all(&[0x81, 1, b'x']).await.unwrap();
    assert_eq!(socket.close_reason().await, Some((1002, "frames of a client must be masked".to_owned())));
    for (lines, expected) in [
        (&["Sec-WebSocket-Version: 13"][..], 400),
        (&["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"], 400),
        (&["Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], 426),
    ] {
        let head = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let request = format!(
            "GET /?token={} HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n{head}\r\n",
            web.token
        );
        assert_eq!(super::support::status(&web.raw(&request).await), expected, "{lines:?}");
    }
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_waited_for_and_nothing_arrives_after_unsubscribing() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    socket.request(1, "test.stream", &json!({"count": 3000, "bytes": 20_000})).await;
    let subscription = socket.receive().await["result"].clone();
    let mut most = 0;
    for number in 0..1500 {
        most = most.max(web.house.app.sent.load(Ordering::SeqCst).saturating_sub(number));
        assert_eq!(socket.receive().await["params"]["result"][0], number);
    }
    // What the sockets of both sides hold, at most 1 MiB in our queue, and one batch of it being written.
    assert!(most < 700, "{most} events of 20 kB were ahead of the reader");
    socket.request(2, "event.unsubscribe", &json!({"subscription": subscription})).await;
    let mut next = 1500;
    loop {
        let message = socket.receive().await;
        if message["id"] == 2 {
            break;
        }
        assert_eq!(message["params"]["result"][0], next);
        next += 1;
    }
    assert_eq!(socket.ask(ECHO).await, ECHOED);
    web.stop().await;
}
