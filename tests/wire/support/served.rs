//! A daemon in the foreground that listens on the network, and clients of it.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::fixture::Fixture;

/// A generous timeout, which only a hang reaches.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The executable in the fixture's repository, with only the fixture's variables.
#[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
pub fn command(fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polytree"));
    command.args(arguments).current_dir(fixture.path("repo")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.envs(fixture.environment()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command to its end: exit code and standard error.
pub async fn run(fixture: &Fixture, arguments: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = timeout(TIMEOUT, command(fixture, arguments).output()).await.expect("an end").unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// The rest of the lines with this prefix.
pub fn told<'a>(lines: &'a str, word: &'a str) -> Vec<&'a str> {
    lines.lines().filter_map(|line| line.strip_prefix(word)).collect()
}

/// A running `polytree serve`.
pub struct Served {
    child: Child,
    /// Its addresses.
    pub urls: Vec<String>,
    /// Its token.
    pub token: String,
}

impl Served {
    /// Starts `polytree serve` with these arguments, which must include a listener.
    pub async fn start(fixture: &Fixture, arguments: &[&str]) -> Self {
        Self::spawn(command(fixture, &[&["serve"], arguments].concat())).await
    }

    /// Starts such a command and waits until it is ready.
    pub async fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while told(&said, "token: ").is_empty() {
            let line = timeout(TIMEOUT, lines.next_line()).await.expect("a word in time").unwrap();
            said.push_str(&line.unwrap_or_else(|| panic!("it has ended: {said}")));
            said.push('\n');
        }
        let urls = told(&said, "listening on ").into_iter().map(ToOwned::to_owned).collect();
        Self { child, urls, token: told(&said, "token: ")[0].to_owned() }
    }

    /// Its first address, with the token.
    pub fn url(&self) -> String {
        format!("{}?token={}", self.urls[0], self.token)
    }

    /// Posts a body; returns status and answer.
    pub async fn post(&self, body: &str) -> (u16, String) {
        post(&self.url(), body).await
    }

    /// Opens a WebSocket at the first address.
    pub async fn connect(&self) -> Socket {
        Socket::open(&self.url(), &[]).await.unwrap()
    }

    /// The process.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    /// Terminates it and waits for its exit.
    pub async fn terminate(&mut self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        assert!(timeout(TIMEOUT, self.child.wait()).await.expect("an end").unwrap().success());
    }
}

/// Builds an HTTP client of a test.
pub fn http_client() -> reqwest::ClientBuilder {
    // Fails if one is already installed.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// Posts a body; returns status and answer.
pub async fn post(url: &str, body: &str) -> (u16, String) {
    let request = http_client().build().unwrap().post(url).header("content-type", "application/json").body(body.to_owned());
    let answer = timeout(TIMEOUT, request.send()).await.expect("an answer").unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A client on a WebSocket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
    /// Events that arrived while waiting for an answer.
    events: Vec<Value>,
}

impl Socket {
    /// Opens it; returns the status if it is refused.
    pub async fn open(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = url.replacen("http", "ws", 1).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        match timeout(TIMEOUT, connect_async(request)).await.expect("an answer") {
            Ok((stream, _)) => Ok(Self { stream, next: 0, events: Vec::new() }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// The next text message.
    pub async fn line(&mut self) -> String {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    /// Calls a method and returns the complete answer; keeps events that arrive meanwhile.
    pub async fn answer(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params }).to_string()).await;
        loop {
            let message: Value = serde_json::from_str(&self.line().await).unwrap();
            if message["method"] == "event" {
                self.events.push(message["params"]["result"].clone());
            } else {
                assert_eq!(message["id"], self.next, "{message}");
                return message;
            }
        }
    }

    /// Calls a method and returns its result.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// All events up to and including the next matching one.
    pub async fn events_until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = if self.events.is_empty() {
                let message: Value = serde_json::from_str(&self.line().await).unwrap();
                message["params"]["result"].clone()
            } else {
                self.events.remove(0)
            };
            let last = fits(&event);
            events.push(event);
            if last {
                return events;
            }
        }
    }

    /// The code and the reason of the server's close frame.
    pub async fn close_reason(&mut self) -> Option<(u16, String)> {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("an end in time") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
                Some(Ok(_)) => {}
                _ => return None,
            }
        }
    }
}
