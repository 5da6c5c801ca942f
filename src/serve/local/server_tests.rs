//! Real sockets in a temporary directory.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};

use expect_test::expect;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    jsonrpc::peer::{self, Peer},
    serve::{
        local::{connect, same_user::is_user},
        testing::{App, rpc},
    },
    stdx::paths::AbsPath,
};

struct Server {
    app: Arc<App>,
    tasks: Tasks,
    address: Address,
    served: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        let address = Address::candidates(&root.join("runtime"), &root.join("data")).remove(0);
        let (app, tasks) = (Arc::new(App::default()), Tasks::new());
        let listener = Listener::bind(address.clone()).await.unwrap();
        let rpc = rpc(&app, &tasks);
        let inner = tasks.clone();
        let served = tasks.spawn("listener", async move { listener.serve(&rpc, &inner).await });
        Self { app, tasks, address, served, _directory: directory }
    }

    async fn stop(self) {
        self.tasks.cancel();
        self.served.await.unwrap();
        timeout(Duration::from_secs(30), self.tasks.finished()).await.expect("no task is left");
        assert!(!self.address.path().as_path().exists(), "the socket's file is removed");
    }

    /// Sends the text as a whole and reads until the end.
    async fn exchange(&self, text: &str) -> String {
        let (mut reader, mut writer) = split(LocalSocketStream::connect(self.address.name().unwrap()).await.unwrap());
        // A refusal may arrive before everything is written.
        let _ = writer.write_all(text.as_bytes()).await;
        let _ = writer.shutdown().await;
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn hello() -> Hello {
    Hello::new(AbsPath::new("/").as_ref(), BTreeMap::new())
}

#[tokio::test]
async fn nobody_else_can_reach_it() {
    let server = Server::start().await;
    let mode = |path: &AbsPath| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.address.path()), 0o600);
    assert_eq!(mode(&server.address.path().parent().unwrap()), 0o700);
    assert!(is_user(Some(5), 5) && !is_user(Some(0), 5) && !is_user(Some(6), 5) && !is_user(None, 5));
    server.stop().await;
}

#[tokio::test]
async fn a_client_calls_and_listens() {
    let server = Server::start().await;
    let (reader, writer) = connect(&server.address, &hello()).await.unwrap();
    let tasks = Tasks::new();
    let (peer, mut notifications) = Peer::start(reader, writer, &tasks);
    assert_eq!(peer.call("test.echo", serde_json::json!({"value": 5})).await.unwrap(), 5);
    match peer.call("nope", serde_json::json!({})).await {
        Err(peer::Error::Refused(error)) => assert_eq!((error.code, error.kind()), (-32601, Some("method_not_found"))),
        other => panic!("{other:?}"),
    }
    peer.notify("test.count", serde_json::json!({})).unwrap();
    let subscription = peer.call("test.stream", serde_json::json!({"count": 3})).await.unwrap();
    for number in 0..3 {
        let notification = notifications.recv().await.unwrap();
        assert_eq!(notification.method, "event");
        assert_eq!(notification.params, serde_json::json!({"subscription": subscription, "result": number}));
    }
    // A dropped call is cancelled.
    let waiting = peer.call("test.wait", serde_json::json!({"gate": "never"}));
    assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
    assert_eq!(peer.call("test.echo", serde_json::json!({})).await.unwrap(), serde_json::Value::Null);
    assert_eq!(server.app.counted.load(std::sync::atomic::Ordering::SeqCst), 1);
    server.stop().await;
    assert!(notifications.recv().await.is_none());
    assert!(matches!(peer.call("test.echo", serde_json::json!({})).await, Err(peer::Error::Closed)));
    assert!(peer.closed().await.is_none());
    tasks.cancel();
    tasks.finished().await;
}

#[tokio::test]
async fn a_client_that_has_ended_its_input_gets_its_answers() {
    let server = Server::start().await;
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"test.wait","params":{"gate":"a"}}"#;
    // With the byte order marks that some programs write before each line.
    let text = format!("\u{feff}{}\n\u{feff}{request}", hello().line());
    let (answer, ()) = tokio::join!(server.exchange(&text), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.app.open("a");
    });
    assert_eq!(answer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}\n");
    server.stop().await;
}

#[tokio::test]
async fn a_daemon_that_stops_answers_first() {
    let server = Server::start().await;
    let (reader, mut writer) = connect(&server.address, &hello()).await.unwrap();
    writer.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.wait\",\"params\":{\"gate\":\"a\"}}\n").await.unwrap();
    writer.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.echo\"}\n").await.unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(reader));
    assert!(lines.next_line().await.unwrap().unwrap().contains("\"id\":2"));
    server.tasks.cancel();
    server.app.open("a");
    assert_eq!(lines.next_line().await.unwrap().unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":true}"#);
    assert_eq!(lines.next_line().await.unwrap(), None);
    server.stop().await;
}

#[tokio::test]
async fn without_a_hello_there_is_no_connection() {
    let server = Server::start().await;
    assert_eq!(server.exchange("").await, "");
    let echo = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#;
    expect![[r#"
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the first line must be {\"hello\": {directory, protocolVersion, executableVersion, environment}}","data":{"kind":"invalid_request"}}}
    "#]].assert_eq(&server.exchange(echo).await);
    let refused = server.exchange(&format!("{{\"hello\":{{\"protocolVersion\":2}}}}\n{echo}\n")).await;
    let pid = std::process::id();
    expect![[r#"
        {"jsonrpc":"2.0","id":null,"error":{"code":1012,"message":"protocol version 2 is not supported","data":{"kind":"unsupported_version","hint":"the daemon (process 1) is polytree 0.1.0: use a program that goes with it","supported":[1],"pid":1}}}
    "#]].assert_eq(&refused.replace(&format!("process {pid})"), "process 1)").replace(&format!("\"pid\":{pid}}}"), "\"pid\":1}"));
    expect![[r#"
        {"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"field `hello.directory`: \"x\" is not an absolute path","data":{"kind":"invalid_params"}}}
    "#]].assert_eq(&server.exchange("{\"hello\":{\"protocolVersion\":1,\"directory\":\"x\"}}\n").await);
    expect![[r#"
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"messages on this socket are lines","data":{"kind":"invalid_request"}}}
    "#]]
    .assert_eq(&server.exchange("Content-Length: 20\r\n\r\n").await);
    expect![[r#"
        {"jsonrpc":"2.0","id":null,"error":{"code":1008,"message":"the hello is too large; the limit is 8388608","data":{"kind":"too_large","limit":8388608}}}
    "#]].assert_eq(&server.exchange(&"x".repeat(HELLO_LIMIT + 1)).await);
    server.stop().await;
}

#[tokio::test]
async fn a_dead_daemon_gives_way_and_a_living_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let root = AbsPath::new(directory.path()).unwrap();
    let address = Address::candidates(&root, &root.join("data")).remove(0);
    drop(std::os::unix::net::UnixListener::bind(address.path()).unwrap());
    let listener = Listener::bind(address.clone()).await.unwrap();
    assert!(connect(&address, &hello()).await.is_ok());
    assert!(matches!(Listener::bind(address.clone()).await, Err(Error::Occupied { .. })));
    drop(listener);

    std::fs::write(address.path(), "precious").unwrap();
    assert!(matches!(Listener::bind(address.clone()).await, Err(Error::Occupied { .. })));
    assert_eq!(std::fs::read_to_string(address.path()).unwrap(), "precious");
}

#[tokio::test]
async fn a_long_runtime_directory_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let long = AbsPath::new(directory.path()).unwrap().join("x".repeat(120));
    let listener = Listener::bind_first(&Address::candidates(&long, &long.join("data"))).await.unwrap();
    assert!(connect(listener.address(), &hello()).await.is_ok());
}
