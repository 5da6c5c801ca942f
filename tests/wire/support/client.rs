//! A client of the real executable: one JSON message per line; events and answers are separated.

use std::{
    collections::{HashMap, VecDeque},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use polytree::{
    serve::local::{Address, Greeted, Hello, NotGreeted, greet},
    stdx::paths::AbsPath,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    sync::{Notify, oneshot, watch},
    task::JoinHandle,
};

use super::fixture::Fixture;

/// A generous timeout, which only a hang reaches.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<VecDeque<Value>>,
    arrived: Notify,
    has_ended: watch::Sender<bool>,
    pauses: watch::Sender<bool>,
}

/// A client, and the daemon if it has started one.
pub struct Client {
    child: Option<Child>,
    input: Option<Box<dyn AsyncWrite + Unpin + Send>>,
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
    next: u64,
}

impl Client {
    /// Starts `polytree stdio --standalone` in the fixture's repository.
    pub fn start(fixture: &Fixture) -> Self {
        Self::start_in(fixture, "repo")
    }

    /// In another directory below the fixture's home.
    pub fn start_in(fixture: &Fixture, directory: &str) -> Self {
        Self::spawn(fixture, directory, &["stdio", "--standalone"], &[])
    }

    /// Starts `polytree stdio`, as an editor does, with additional variables.
    pub fn relay(fixture: &Fixture, variables: &[(&str, &str)]) -> Self {
        Self::spawn(fixture, "repo", &["stdio"], variables)
    }

    /// With another copy of the executable.
    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    pub fn relay_of(executable: &std::path::Path, fixture: &Fixture) -> Self {
        let mut command = Command::new(executable);
        command.arg("stdio");
        Self::run(command, fixture, "repo", &[])
    }

    /// Starts `polytree stdio --standalone` with additional variables.
    pub fn start_with(fixture: &Fixture, directory: &str, variables: &[(&str, &str)]) -> Self {
        Self::spawn(fixture, directory, &["stdio", "--standalone"], variables)
    }

    /// With the most verbose log level.
    pub fn start_talkative(fixture: &Fixture, variables: &[(&str, &str)]) -> Self {
        Self::spawn(fixture, "repo", &["stdio", "--standalone", "--log-level", "trace"], variables)
    }

    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    fn spawn(fixture: &Fixture, directory: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polytree"));
        command.args(arguments);
        Self::run(command, fixture, directory, variables)
    }

    /// Like [`Client::start`], for [`Client::limit_files`]: a write over the limit fails without a signal.
    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    pub fn start_without_signal(fixture: &Fixture) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" stdio --standalone", env!("CARGO_BIN_EXE_polytree")]);
        Self::run(command, fixture, "repo", &[])
    }

    /// Like [`Client::start`], after a shell command that sets limits, such as `ulimit -n 64`.
    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    pub fn start_within(fixture: &Fixture, limits: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits}; exec \"$0\" stdio --standalone"), env!("CARGO_BIN_EXE_polytree")]);
        Self::run(command, fixture, "repo", &[])
    }

    /// Starts `polytree stdio --standalone`, optionally as another user.
    #[expect(clippy::disallowed_methods, reason = "tests start the real executable")]
    pub fn start_as(fixture: &Fixture, directory: &str, uid: Option<u32>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polytree"));
        command.args(["stdio", "--standalone"]);
        if let Some(uid) = uid {
            // The build directory may be accessible only to root.
            let executable = fixture.path("polytree");
            if std::fs::hard_link(env!("CARGO_BIN_EXE_polytree"), &executable).is_err() {
                std::fs::copy(env!("CARGO_BIN_EXE_polytree"), &executable).unwrap();
            }
            command = Command::new(&executable);
            command.args(["stdio", "--standalone"]).uid(uid).gid(uid);
        }
        Self::run(command, fixture, directory, &[])
    }

    fn run(mut command: Command, fixture: &Fixture, directory: &str, variables: &[(&str, &str)]) -> Self {
        command.current_dir(fixture.path(directory)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(fixture.environment()).envs(variables.iter().copied());
        let mut child = command.spawn().unwrap();
        let (output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        Self { child: Some(child), ..Self::over(output, input) }
    }

    /// Connects to the daemon that runs in the fixture's home.
    pub async fn connect(fixture: &Fixture) -> Self {
        let directory = AbsPath::new(fixture.path("repo")).unwrap();
        let environment = fixture.environment().into_iter().map(|(name, value)| (name.to_owned(), value.to_str().unwrap().to_owned()));
        Self::greet(fixture, &Hello::new(Some(&directory), environment.collect())).await.unwrap()
    }

    /// With this hello.
    pub async fn greet(fixture: &Fixture, hello: &Hello) -> Result<Self, NotGreeted> {
        let [runtime, data] = ["run", "data"].map(|name| AbsPath::new(fixture.path(name)).unwrap());
        let Greeted { input, output, .. } = wait(greet(&Address::candidates(&runtime, &data)[0], hello)).await?;
        Ok(Self::over(input, output))
    }

    #[expect(clippy::disallowed_methods, reason = "the reader ends with the daemon")]
    fn over(output: impl AsyncRead + Unpin + Send + 'static, input: impl AsyncWrite + Unpin + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let mut lines = BufReader::new(output).lines();
        let inbox = Arc::clone(&shared);
        let reader = tokio::spawn(async move {
            let mut pauses = inbox.pauses.subscribe();
            while let Ok(Some(line)) = lines.next_line().await {
                let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON on stdout: {error}: {line}"));
                let waiter = message["id"].as_u64().and_then(|id| inbox.answers.lock().unwrap().remove(&id));
                match waiter {
                    Some(waiter) => drop(waiter.send(message)),
                    None if message["method"] == "event" => inbox.events.lock().unwrap().push_back(message["params"]["result"].clone()),
                    // With its number, or with the error that ended it.
                    None if message["method"] == "text.match" => inbox.events.lock().unwrap().push_back(message["params"].clone()),
                    None => eprintln!("neither an event nor an answer: {message}"),
                }
                inbox.arrived.notify_waiters();
                // The sender lives as long as this task.
                let _ = pauses.wait_for(|pauses| !*pauses).await;
            }
            inbox.answers.lock().unwrap().clear();
            inbox.has_ended.send_replace(true);
        });
        Self { input: Some(Box::new(input)), child: None, shared, reader, next: 0 }
    }

    /// Sends a line unchanged.
    pub async fn send_line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    /// Sends a request without waiting for the answer.
    pub async fn send(&mut self, method: &str, params: Value) -> Pending {
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.shared.answers.lock().unwrap().insert(self.next, sender);
        self.send_line(&json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params }).to_string()).await;
        Pending { id: self.next, receiver }
    }

    /// Calls a method and returns its result; panics on an error.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params).await.result().await
    }

    /// Calls a method that must fail and returns the error.
    pub async fn refused(&mut self, method: &str, params: Value) -> Value {
        let answer = self.send(method, params).await.answer().await;
        assert!(answer.get("error").is_some(), "{method} succeeded: {answer}");
        answer["error"].clone()
    }

    /// Opens a stream of events with the given filter.
    pub async fn subscribe(&mut self, filter: Value) -> u64 {
        self.call("event.subscribe", filter).await.as_u64().unwrap()
    }

    /// Waits for the next matching event; drops those before it.
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

    /// All events up to and including the next one of a type.
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
        wait(self.child().wait()).await.unwrap()
    }

    /// Stops reading after at most one more message.
    pub fn pause(&self) {
        self.shared.pauses.send_replace(true);
    }

    /// Starts reading again.
    pub fn go_on(&self) {
        self.shared.pauses.send_replace(false);
    }

    /// Stops reading without ending the input, and waits for the process.
    pub async fn stop_reading(mut self) -> ExitStatus {
        self.reader.abort();
        wait(self.child().wait()).await.unwrap()
    }

    /// Kills the process with SIGKILL.
    pub async fn kill(mut self) {
        self.child().kill().await.unwrap();
    }

    /// Sends the process SIGKILL, and does not wait for its end.
    pub fn kill_now(&mut self) {
        self.child().start_kill().unwrap();
    }

    /// Terminates the process with a signal, as a logout does, and waits for it.
    pub async fn terminate(mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(wait(self.child().wait()).await.unwrap().success());
    }

    /// Limits the file size of the daemon, as if the disk were full; `None` removes the limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// Limits the daemon to its present file descriptors; `false` removes the limit.
    pub fn exhaust_descriptors(&self, exhaust: bool) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let current = if exhaust { Some(3) } else { maximum };
        prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).unwrap();
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap()
    }

    /// Waits until the daemon closes the connection.
    pub async fn ended(&self) {
        wait(self.shared.has_ended.subscribe().wait_for(|ended| *ended)).await.unwrap();
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("the client has started a daemon")
    }
}

/// A request in flight.
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
    tokio::time::timeout(TIMEOUT, future).await.expect("nothing came for a minute")
}

/// The parts of a type in a `{info, parts}`.
pub fn parts<'a>(message: &'a Value, kind: &str) -> Vec<&'a Value> {
    message["parts"].as_array().unwrap().iter().filter(|part| part["type"] == kind).collect()
}

/// The text of a `{info, parts}`.
pub fn text(message: &Value) -> String {
    parts(message, "text").iter().map(|part| part["text"].as_str().unwrap()).collect()
}
