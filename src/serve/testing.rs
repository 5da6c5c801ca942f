//! A client on a pipe, for tests of the doors.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf},
    task::JoinHandle,
    time::timeout,
};

use super::engine::{End, Engine};
pub use crate::rpc::testing::{App, rpc};
use crate::{
    jsonrpc::framing::Decoder,
    rpc::connection::{Connection, Door},
    stdx::tasks::Tasks,
};

/// A client on a pipe of 64 KiB, with an application of its own behind it.
pub struct Client {
    pub app: Arc<App>,
    pub tasks: Tasks,
    pub input: BufReader<ReadHalf<DuplexStream>>,
    pub output: WriteHalf<DuplexStream>,
    pub served: JoinHandle<End>,
}

impl Client {
    pub fn new() -> Self {
        let (app, tasks) = (Arc::new(App::default()), Tasks::new());
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(ours);
        let rpc = rpc(&app, &tasks);
        let inner = tasks.clone();
        let served = tasks.spawn("connection", async move {
            let connection = Arc::new(Connection::new(Door::Local, None, Arc::new(BTreeMap::new())));
            let (mut reader, writer) = tokio::io::split(theirs);
            let engine = Engine::start(&rpc, connection, &inner, writer);
            let end = engine.read(&mut Decoder::default(), &mut reader).await;
            engine.idle().await;
            engine.close().await;
            end
        });
        Self { app, tasks, input: BufReader::new(input), output, served }
    }

    /// Writes the text unchanged.
    pub async fn write(&mut self, text: &str) {
        self.output.write_all(text.as_bytes()).await.unwrap();
    }

    /// Writes a line.
    pub async fn send(&mut self, line: &str) {
        self.write(&format!("{line}\n")).await;
    }

    /// Writes a request.
    pub async fn request(&mut self, id: usize, method: &str, params: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
    }

    /// Reads a line; empty at the end.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(Duration::from_secs(30), self.input.read_line(&mut line)).await.expect("a line in time").unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// Reads a message.
    pub async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// Sends a line and reads a line.
    pub async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.line().await
    }

    /// Ends the input; returns the remaining output, and why the connection ended.
    pub async fn end(mut self) -> (Vec<String>, End) {
        self.output.shutdown().await.unwrap();
        let mut rest = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                break;
            }
            rest.push(line);
        }
        let end = self.served.await.unwrap();
        self.tasks.cancel();
        timeout(Duration::from_secs(30), self.tasks.finished()).await.expect("no task is left");
        (rest, end)
    }
}
