//! A client of the real executable: one JSON message a line, events kept apart from answers.

use std::{
    collections::{HashMap, VecDeque},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::{Notify, oneshot},
};

use super::fixture::Fixture;

/// Longer than anything here takes on the slowest machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<VecDeque<Value>>,
    arrived: Notify,
}

/// A running daemon and the client that started it.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    shared: Arc<Shared>,
    next: u64,
}

impl Client {
    /// Starts `polytree stdio --standalone` in the fixture's repository.
    pub fn start(fixture: &Fixture) -> Self {
        Self::start_in(fixture, "repo")
    }

    /// The same in another directory below the fixture's home.
    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    pub fn start_in(fixture: &Fixture, directory: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polytree"));
        command.args(["stdio", "--standalone"]);
        Self::run(command, fixture, directory)
    }

    /// The same as [`Client::start`] for [`Client::limit_files`]: a write over the limit fails and ends nothing.
    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    pub fn start_without_signal(fixture: &Fixture) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" stdio --standalone", env!("CARGO_BIN_EXE_polytree")]);
        Self::run(command, fixture, "repo")
    }

    fn run(mut command: Command, fixture: &Fixture, directory: &str) -> Self {
        command.current_dir(fixture.path(directory)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(fixture.environment());
        let mut child = command.spawn().unwrap();
        let shared = Arc::new(Shared::default());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON on stdout: {error}: {line}"));
                let waiter = message["id"].as_u64().and_then(|id| reader.answers.lock().unwrap().remove(&id));
                match waiter {
                    Some(waiter) => drop(waiter.send(message)),
                    None if message["method"] == "event" => reader.events.lock().unwrap().push_back(message["params"]["result"].clone()),
                    None => eprintln!("neither an event nor an answer: {message}"),
                }
                reader.arrived.notify_waiters();
            }
            reader.answers.lock().unwrap().clear();
        });
        Self { input: child.stdin.take(), child, shared, next: 0 }
    }

    /// Sends a line as it is.
    pub async fn send_line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    /// Sends a request; the answer comes later.
    pub async fn send(&mut self, method: &str, params: Value) -> Pending {
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.shared.answers.lock().unwrap().insert(self.next, sender);
        self.send_line(&json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params }).to_string()).await;
        Pending { id: self.next, receiver }
    }

    /// Calls a method and gives its result; fails on an error.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params).await.result().await
    }

    /// Calls a method that must fail and gives the error.
    pub async fn refused(&mut self, method: &str, params: Value) -> Value {
        let answer = self.send(method, params).await.answer().await;
        assert!(answer.get("error").is_some(), "{method} succeeded: {answer}");
        answer["error"].clone()
    }

    /// Opens a stream of events with the given filter.
    pub async fn subscribe(&mut self, filter: Value) -> u64 {
        self.call("event.subscribe", filter).await.as_u64().unwrap()
    }

    /// Waits for the next event that fits; those before it are dropped.
    pub async fn event(&self, fits: impl Fn(&Value) -> bool) -> Value {
        wait(async {
            loop {
                let arrived = self.shared.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                {
                    let mut events = self.shared.events.lock().unwrap();
                    while let Some(event) = events.pop_front() {
                        if fits(&event) {
                            return event;
                        }
                    }
                }
                arrived.await;
            }
        })
        .await
    }

    /// Waits for the next event of a type.
    pub async fn event_of(&self, kind: &str) -> Value {
        self.event(|event| event["type"] == kind).await
    }

    /// Every event up to and with the next one of a type.
    pub async fn events_until(&self, kind: &str) -> Vec<Value> {
        let seen = Mutex::new(Vec::new());
        self.event(|event| {
            seen.lock().unwrap().push(event.clone());
            event["type"] == kind
        })
        .await;
        seen.into_inner().unwrap()
    }

    /// A new session in the daemon's directory.
    pub async fn session(&mut self) -> String {
        self.call("session.create", json!({})).await["id"].as_str().unwrap().to_owned()
    }

    /// Prompts a session and waits for the end of the turn.
    pub async fn prompt(&mut self, session: &str, text: &str) -> Value {
        self.call("session.prompt", json!({ "sessionID": session, "parts": text })).await
    }

    /// Ends the input and waits for the process.
    pub async fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        wait(self.child.wait()).await.unwrap()
    }

    /// Kills the process as hard as it goes.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks the process to end, as a logout does, and waits for it.
    pub async fn terminate(mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(wait(self.child.wait()).await.unwrap().success());
    }

    /// Lets the daemon write no file beyond so many bytes, as if the disk were full; `None` takes that back.
    pub fn limit_files(&self, bytes: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }
}

/// A request on its way.
pub struct Pending {
    /// Its id.
    pub id: u64,
    receiver: oneshot::Receiver<Value>,
}

impl Pending {
    /// The whole answer.
    pub async fn answer(self) -> Value {
        wait(self.receiver).await.expect("the daemon ended before it answered")
    }

    /// The result; fails on an error.
    pub async fn result(self) -> Value {
        let answer = self.answer().await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }
}

async fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing came for a minute")
}

/// The parts of a type in a `{info, parts}`.
pub fn parts<'a>(message: &'a Value, kind: &str) -> Vec<&'a Value> {
    message["parts"].as_array().unwrap().iter().filter(|part| part["type"] == kind).collect()
}

/// The text of a `{info, parts}`.
pub fn text(message: &Value) -> String {
    parts(message, "text").iter().map(|part| part["text"].as_str().unwrap()).collect()
}
