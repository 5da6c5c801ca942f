//! A listener with an application of its own, and clients that can say anything to it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures::{SinkExt as _, StreamExt as _};
use polytree_protocol::listen::ServerListenParams;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, handshake::client::Response, http::HeaderValue},
};

use crate::{
    daemon::listeners::Listeners,
    serve::{
        testing::{App, rpc},
        web::{NetworkListeners, TokenFile, site::Limits},
    },
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// Longer than anything here takes; only a hang reaches it.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// NetworkListeners with an application, below a data directory of their own.
pub struct House {
    pub app: Arc<App>,
    pub tasks: Tasks,
    pub listeners: Arc<Listeners>,
    pub doors: NetworkListeners,
    pub data: AbsPath,
    _directory: tempfile::TempDir,
}

impl House {
    pub fn new(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = AbsPath::new(directory.path().canonicalize().unwrap()).unwrap();
        let (app, tasks, listeners) = (Arc::new(App::default()), Tasks::new(), Arc::new(Listeners::default()));
        let doors = NetworkListeners::new(rpc(&app, &tasks), &tasks, Arc::clone(&listeners), &data).with_limits(limits);
        Self { app, tasks, listeners, doors, data, _directory: directory }
    }

    pub fn tokens(&self) -> TokenFile {
        TokenFile::new(&self.data)
    }
}

/// One open listener.
pub struct Web {
    pub house: House,
    pub address: SocketAddr,
    pub url: String,
    pub token: String,
}

/// Limits that no test reaches unless it wants to.
pub fn limits() -> Limits {
    Limits { wrong_token: Duration::from_millis(1), ..Limits::default() }
}

impl Web {
    pub async fn start() -> Self {
        Self::with(limits(), |_| {}).await
    }

    pub async fn with(limits: Limits, change: impl FnOnce(&mut ServerListenParams)) -> Self {
        let mut params = ServerListenParams { address: "127.0.0.1:0".into(), ..ServerListenParams::default() };
        change(&mut params);
        let mut house = House::new(limits);
        let url = house.doors.open(&params, Arc::new(BTreeMap::new())).await.unwrap().url;
        let token = house.tokens().current().unwrap().reveal().to_owned();
        let address = url.split('/').nth(2).unwrap().parse().unwrap();
        Self { house, address, url, token }
    }

    /// Sends the text and reads until the listener closes.
    pub async fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// Sends one request with these headers, in addition to `Host` and `Connection`; returns the status and the complete answer.
    pub async fn request(&self, line: &str, lines: &[&str], body: &str) -> (u16, String) {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let answer = self
            .raw(&format!(
                "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{lines}\r\n{body}",
                self.address,
                body.len()
            ))
            .await;
        (status(&answer), answer)
    }

    /// Posts a message; returns the status and the body.
    pub async fn post(&self, body: &str) -> (u16, String) {
        let (status, answer) = self.request("POST /", &[&self.bearer(), "Content-Type: application/json"], body).await;
        (status, self::body(&answer).to_owned())
    }

    pub fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    /// Opens a WebSocket with the token in the query.
    pub async fn connect(&self) -> Socket {
        self.connect_to(&format!("/?token={}", self.token), &[]).await.unwrap().0
    }

    /// Opens a WebSocket at this path with these headers.
    pub async fn connect_to(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<(Socket, Response), u16> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        match client_async(request, stream).await {
            Ok((stream, response)) => Ok((Socket(stream), response)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Stops the daemon and waits for everything that it has begun.
    pub async fn stop(self) {
        self.house.tasks.cancel();
        timeout(TIMEOUT, self.house.tasks.finished()).await.expect("no task is left");
        assert!(self.house.listeners.list().is_empty());
    }
}

/// Reads until the end.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset has said what it had to say.
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("an end in time");
    String::from_utf8(answer).unwrap()
}

pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A WebSocket client: another implementation than the server's.
pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    pub async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub async fn request(&mut self, id: usize, method: &str, params: &Value) {
        self.send(&serde_json::json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
    }

    /// What comes next; answers pings on the way.
    pub async fn next(&mut self) -> Option<Message> {
        timeout(TIMEOUT, self.0.next()).await.expect("something in time").and_then(Result::ok)
    }

    pub async fn line(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return text.to_string(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    pub async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    pub async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.line().await
    }

    /// The code and the reason with which it ends; what comes before is skipped.
    pub async fn close_reason(&mut self) -> Option<(u16, String)> {
        let ended = async {
            loop {
                match self.next().await {
                    Some(Message::Close(frame)) => return frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        timeout(TIMEOUT, ended).await.expect("an end in time")
    }
}
