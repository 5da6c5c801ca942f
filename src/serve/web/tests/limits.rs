//! Clients that would hold a listener up.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::support::{Web, limits, rest, status};
use crate::serve::web::site::Limits;

const ECHO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"test.echo"}"#;

#[tokio::test]
async fn who_does_not_say_what_it_wants_is_closed() {
    let web = Web::with(Limits { head: Duration::from_millis(200), body: Duration::from_millis(200), ..limits() }, |_| {}).await;
    let began = Instant::now();
    let silent = async {
        let mut stream = TcpStream::connect(web.address).await.unwrap();
        rest(&mut stream).await
    };
    // A byte now and then does not help.
    let dripping = async {
        let mut stream = TcpStream::connect(web.address).await.unwrap();
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        rest(&mut stream).await
    };
    let body = async {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\n{}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{",
            web.bearer()
        );
        let mut stream = TcpStream::connect(web.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        rest(&mut stream).await
    };
    let (_, _, body) = tokio::join!(silent, dripping, body);
    assert_eq!(status(&body), 408);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    web.stop().await;
}

#[tokio::test]
async fn heads_are_limited() {
    let web = Web::start().await;
    assert_eq!(web.request("GET /", &[&format!("X: {}", "x".repeat(20_000))], "").await.0, 431);
    let many: Vec<String> = (0..200).map(|number| format!("X-{number}: x")).collect();
    assert_eq!(web.request("GET /", &many.iter().map(String::as_str).collect::<Vec<_>>(), "").await.0, 431);
    assert_eq!(status(&web.raw("nonsense\r\n\r\n").await), 400);
    assert_eq!(web.request("GET /", &[], "").await.0, 200);
    web.stop().await;
}

#[tokio::test]
async fn connections_are_limited_and_a_place_is_free_when_one_ends() {
    let web = Web::with(Limits { connections: 3, ..limits() }, |_| {}).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(web.connect().await);
    }
    let answer = web.raw("").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("Retry-After"), "{answer}");
    for socket in &mut sockets {
        assert!(socket.ask(ECHO).await.contains("result"), "the others are not disturbed");
    }
    drop(sockets.pop());
    let began = Instant::now();
    while web.post(ECHO).await.0 != 200 {
        assert!(began.elapsed() < super::support::TIMEOUT);
    }
    web.stop().await;
}

#[tokio::test]
async fn wrong_tokens_wait_and_hold_nobody_up() {
    let web = Web::with(Limits { wrong_token: Duration::from_secs(1), ..limits() }, |_| {}).await;
    let json = ["Content-Type: application/json"];
    let began = Instant::now();
    let guesses = futures::future::join_all((0..30).map(|_| web.request("POST /?token=guess", &json, ECHO)));
    let right = async {
        let answer = web.post(ECHO).await;
        (answer.0, began.elapsed())
    };
    let (guesses, (status, after)) = tokio::join!(guesses, right);
    assert!(status == 200 && after < Duration::from_millis(900), "{status} {after:?}");
    assert_eq!(guesses.iter().filter(|(status, _)| *status == 401).count(), 16);
    assert_eq!(guesses.iter().filter(|(status, _)| *status == 429).count(), 14);
    assert!(began.elapsed() >= Duration::from_secs(1));
    web.stop().await;
}

#[tokio::test]
async fn the_token_is_asked_for_before_the_body_is_read() {
    let web = Web::start().await;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
    let mut stream = TcpStream::connect(web.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 401");
    web.stop().await;
}
