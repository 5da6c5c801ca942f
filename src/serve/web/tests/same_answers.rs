//! Whatever is sent is answered in the same words at every door.

use super::support::Web;
use crate::serve::testing::Client;

/// Messages with one answer each, from good to nonsense.
const MESSAGES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{"value":{"a":[1,"ä\u0000"]}}}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"test.echo"}"#,
    r#" {"jsonrpc":"2.0","id":2,"method":"test.echo","params":["a"]} "#,
    r#"{"jsonrpc":"2.0","id":3,"method":"test.echo","params":{"valeu":1}}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"test.wait","params":{"gate":7}}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"test.ecko"}"#,
    r#"{"jsonrpc":"2.0","id":5,"method":"$/echo"}"#,
    r#"{"jsonrpc":"2.0","id":5,"method":"$/cancelRequest","params":{"id":1}}"#,
    r#"{"id":6,"method":"test.echo"}"#,
    r#"{"jsonrpc":"1.0","id":6,"method":"test.echo"}"#,
    r#"{"jsonrpc":"2.0","id":null,"method":"test.echo"}"#,
    r#"{"jsonrpc":"2.0","id":-1,"method":"test.echo"}"#,
    r#"{"jsonrpc":"2.0","id":1.5,"method":"test.echo"}"#,
    r#"{"jsonrpc":"2.0","id":9007199254740992,"method":"test.echo"}"#,
    r#"{"jsonrpc":"2.0","id":7"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"test.echo"} x"#,
    "7",
    "null",
    "not json",
    r#""text""#,
    "{}",
    r#"{"jsonrpc":"2.0","id":8,"method":"test.panic"}"#,
    r#"{"jsonrpc":"2.0","id":10,"method":"event.unsubscribe","params":{"subscription":77}}"#,
    "[]",
    "[1,{}]",
    "[[]]",
    r#"[{"jsonrpc":"2.0","id":1,"method":"test.echo","params":{"value":1}},{"jsonrpc":"2.0","method":"test.count"},{"jsonrpc":"2.0","id":2,"method":"nope"},{"jsonrpc":"2.0","id":1,"method":"test.count"}]"#,
];

#[tokio::test]
async fn a_message_is_answered_alike_on_a_stream_a_websocket_and_by_http() {
    let web = Web::start().await;
    let (mut stream, mut socket) = (Client::new(), web.connect().await);
    // So that nonsense cannot choose the framing.
    stream.ask(MESSAGES[1]).await;
    let too_many = format!("[{}]", vec!["{}"; 101].join(","));
    for message in MESSAGES.iter().copied().chain([too_many.as_str()]) {
        let expected = stream.ask(message).await;
        assert_eq!(socket.ask(message).await, expected, "{message}");
        assert_eq!(web.post(message).await, (200, expected), "{message}");
    }
    // A stream skips empty lines; where messages have frames of their own, an empty one is no JSON.
    let empty = socket.ask("").await;
    assert!(empty.contains("-32700"), "{empty}");
    assert_eq!(web.post("").await, (200, empty));
    web.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_answered_alike_but_for_a_websocket_which_they_end() {
    use tokio::io::AsyncWriteExt as _;
    let web = Web::start().await;
    let bytes = b"{\"a\":\"\xff\"}";
    let mut stream = Client::new();
    stream.output.write_all(&[bytes, &b"\n"[..]].concat()).await.unwrap();
    let expected = stream.line().await;
    assert!(expected.contains("-32700"), "{expected}");
    let mut posted = tokio::net::TcpStream::connect(web.address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        web.bearer(),
        bytes.len()
    );
    posted.write_all(&[head.as_bytes(), bytes].concat()).await.unwrap();
    assert_eq!(super::support::body(&super::support::rest(&mut posted).await), expected);
    // A client library would not send this, so the frame is made by hand; the mask is zero.
    let mut socket = web.connect().await;
    let raw = socket.0.get_mut();
    raw.write_all(&[&[0x81, 0x80 | 9, 0, 0, 0, 0], &bytes[..]].concat()).await.unwrap();
    // As RFC 6455 demands, 8.1.
    assert_eq!(socket.close_reason().await.map(|(code, _)| code), Some(1007));
    web.stop().await;
}

#[tokio::test]
async fn notifications_are_executed_and_not_answered() {
    let web = Web::start().await;
    let mut socket = web.connect().await;
    for (notifications, counted) in [
        (r#"{"jsonrpc":"2.0","method":"test.count"}"#, 1),
        (r#"[{"jsonrpc":"2.0","method":"test.count"},{"jsonrpc":"2.0","method":"test.count"}]"#, 2),
        (r#"{"jsonrpc":"2.0","method":"test.count","params":[]}"#, 0),
        (r#"{"jsonrpc":"2.0","method":"nope"}"#, 0),
        (r#"{"jsonrpc":"2.0","method":"test.panic"}"#, 0),
        (r#"{"jsonrpc":"2.0","method":"test.stream"}"#, 0),
        (r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":{}}}"#, 0),
    ] {
        let count = || web.house.app.counted.swap(0, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(web.post(notifications).await, (204, String::new()), "{notifications}");
        assert_eq!(count(), counted, "{notifications}");
        socket.send(notifications).await;
        assert_eq!(socket.ask(MESSAGES[1]).await, r#"{"jsonrpc":"2.0","id":"x","result":null}"#);
        assert_eq!(count(), counted, "{notifications}");
    }
    web.stop().await;
}
