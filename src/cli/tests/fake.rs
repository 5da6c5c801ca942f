//! A daemon that plays a script, a person with a terminal, and the facts that both talk about.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    sync::mpsc,
};

use crate::{
    cli::{Args, Command, Daemon, Exit, Input, Interrupts, Output, Piped, Screen, Typed, run_client},
    jsonrpc::peer::Peer,
    stdx::{paths::AbsPath, tasks::Tasks},
    tool::test_host::subject,
};

const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5F";

/// An id of the given kind, identified by two letters.
pub fn id(kind: &str, letters: &str) -> String {
    format!("{kind}_{ULID}{letters}")
}

/// The session of all tests.
pub fn ses() -> String {
    id("ses", "AA")
}

/// What a script answers a call with, and the events that it sends then.
pub type Reply = (Result<Value, Value>, Vec<Value>);

/// A daemon's side of a test: from method and params to answer and events.
pub trait Script: FnMut(&str, &Value) -> Reply + Send + 'static {}
impl<T: FnMut(&str, &Value) -> Reply + Send + 'static> Script for T {}

/// What a person has and does.
#[derive(Default)]
pub struct Person {
    /// Both outputs are one terminal; otherwise they are files.
    pub terminal: bool,
    /// What is typed, line by line, when it is asked for; `None` is the end of input.
    pub types: Vec<Option<&'static str>>,
    /// Ctrl-C is pressed as soon as this is seen.
    pub interrupts_at: Vec<&'static str>,
    /// The standard output is closed after this was written to it.
    pub closes_at: Option<&'static str>,
    /// The standard input.
    pub pipe: Option<&'static str>,
}

impl Person {
    /// A person at a terminal.
    pub fn at_terminal() -> Self {
        Self { terminal: true, ..Self::default() }
    }
}

/// What came of a command.
pub struct Seen {
    pub exit: Exit,
    /// Everything on the terminal, or the standard output.
    pub out: String,
    /// The standard error, when it is not the same terminal.
    pub err: String,
    /// Every call with its params, in order.
    pub calls: Vec<(String, Value)>,
}

impl Seen {
    /// The params of the calls of a method.
    pub fn params(&self, method: &str) -> Vec<&Value> {
        self.calls.iter().filter(|(name, _)| name == method).map(|(_, params)| params).collect()
    }

    /// The names of the calls.
    pub fn methods(&self) -> String {
        self.calls.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Clone)]
struct Writer {
    text: Arc<Mutex<String>>,
    interrupts_at: Arc<Mutex<Vec<&'static str>>>,
    interrupt: mpsc::UnboundedSender<()>,
    closes_at: Option<&'static str>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut text = self.text.lock().unwrap();
        if self.closes_at.is_some_and(|end| text.contains(end)) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        text.push_str(std::str::from_utf8(bytes).unwrap());
        let plain = anstream::adapter::strip_str(&text).to_string();
        self.interrupts_at.lock().unwrap().retain(|wanted| {
            let seen = plain.contains(wanted);
            if seen {
                self.interrupt.send(()).unwrap();
            }
            !seen
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a command line against a daemon that plays the script.
pub async fn play(line: &[&str], person: Person, script: impl Script) -> Seen {
    let tasks = Tasks::new();
    let (near, far) = tokio::io::duplex(1 << 20);
    let calls = Arc::new(Mutex::new(Vec::new()));
    drop(tasks.spawn("script", serve(far, script, Arc::clone(&calls))));
    let (input, output) = tokio::io::split(near);
    let (peer, notifications) = Peer::start(input, output, &tasks);

    let mut seen = perform(line, person, Daemon { peer, notifications }, &AbsPath::new("/work/app").unwrap()).await;
    tasks.cancel();
    seen.calls.clone_from(&calls.lock().unwrap());
    if let Some(prompt) = seen.params("session.submit").first().and_then(|params| params["messageID"].as_str()).map(str::to_owned) {
        seen.out = seen.out.replace(&prompt, "msg_PROMPT");
        seen.err = seen.err.replace(&prompt, "msg_PROMPT");
    }
    seen
}

/// Runs a command line in a directory against a daemon.
pub async fn perform(line: &[&str], person: Person, daemon: Daemon, directory: &AbsPath) -> Seen {
    let (interrupt, interrupts) = mpsc::unbounded_channel();
    let (typist, typed) = mpsc::unbounded_channel();
    for line in &person.types {
        typist.send(line.map(|line| format!("{line}\n"))).unwrap();
    }
    let interrupts_at = Arc::new(Mutex::new(person.interrupts_at));
    let writer =
        |closes_at| Writer { text: Arc::default(), interrupts_at: Arc::clone(&interrupts_at), interrupt: interrupt.clone(), closes_at };
    let out = writer(person.closes_at);
    let err = if person.terminal { out.clone() } else { writer(None) };
    let stream = |writer: &Writer| Output::new(Box::new(writer.clone()), person.terminal, person.terminal);
    let screen = Screen::new(stream(&out), stream(&err), 80);
    let piped = person.pipe.map_or(Piped::Nothing, |text| Piped::Text(text.to_owned()));
    let input = Input { typed: person.terminal.then(|| Typed::scripted(typed)), piped, interrupts: Interrupts::Scripted(interrupts) };

    let args = <Args as clap::Parser>::try_parse_from(std::iter::once(&"polytree").chain(line)).unwrap();
    let Command::Client(command) = args.command else { panic!("{line:?} needs no daemon") };
    let exit = run_client(command, daemon, screen, input, directory).await;
    drop(typist);
    let readable = |writer: &Writer| anstream::adapter::strip_str(&writer.text.lock().unwrap()).to_string();
    let (out_text, err_text) = (readable(&out), if person.terminal { String::new() } else { readable(&err) });
    Seen { exit, out: out_text, err: err_text, calls: Vec::new() }
}

async fn serve(stream: tokio::io::DuplexStream, mut script: impl Script, calls: Arc<Mutex<Vec<(String, Value)>>>) {
    let (input, mut output) = tokio::io::split(stream);
    let mut lines = BufReader::new(input).lines();
    let mut cursor = 0;
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = serde_json::from_str(&line).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        calls.lock().unwrap().push((method.clone(), request["params"].clone()));
        let (answer, events) = script(&method, &request["params"]);
        let field = if answer.is_ok() { "result" } else { "error" };
        let mut messages = vec![json!({ "jsonrpc": "2.0", "id": request["id"], field: answer.unwrap_or_else(|error| error) })];
        let mut hang_up = false;
        for mut event in events {
            hang_up |= event == "hang up";
            if event.is_object() {
                cursor += 1;
                if event.get("cursor").is_none() {
                    event["cursor"] = cursor.into();
                }
                messages.push(json!({ "jsonrpc": "2.0", "method": "event", "params": { "subscription": 7, "result": event } }));
            }
        }
        for message in messages {
            if output.write_all(format!("{message}\n").as_bytes()).await.is_err() {
                return;
            }
        }
        if hang_up {
            return;
        }
    }
}

/// An error object of the contract.
pub fn error(code: i32, kind: &str, message: &str) -> Value {
    json!({ "code": code, "message": message, "data": { "kind": kind } })
}

/// An event.
pub fn event(kind: &str, properties: Value) -> Value {
    json!({ "time": 1, "type": kind, "sessionID": ses(), "properties": properties })
}

/// The session on the wire.
pub fn session(letters: &str, title: &str) -> Value {
    json!({
        "id": id("ses", letters), "projectID": id("prj", "AA"), "directory": "/work/app", "title": title, "version": "1", "cost": 0.0,
        "tokens": tokens(0, 0), "time": { "created": 1, "updated": 1 },
    })
}

fn tokens(input: u64, output: u64) -> Value {
    json!({ "input": input, "output": output, "reasoning": 0, "cache": { "read": 0, "write": 0 } })
}

/// The prompt's message.
pub fn user(prompt: &Value) -> Value {
    json!({ "id": prompt, "sessionID": ses(), "role": "user", "time": { "created": 1000 }, "agent": "build", "model": { "providerID": "local", "modelID": "small" } })
}

/// An answer to the prompt; with the time of its end it is complete.
pub fn assistant(letters: &str, prompt: &Value, end: Option<i64>, error: Value) -> Value {
    let mut message = json!({
        "id": id("msg", letters), "sessionID": ses(), "parentID": prompt, "role": "assistant", "time": { "created": 1000, "completed": end }, "agent": "build",
        "mode": "build", "providerID": "local", "modelID": "small", "path": { "cwd": "/work/app", "root": "/work/app" }, "cost": 0.0,
        "tokens": tokens(0, 0),
    });
    if end.is_some() {
        message["cost"] = json!(0.0012);
        message["tokens"] = tokens(1200, 34);
    }
    if !error.is_null() {
        message["error"] = error;
    }
    message
}

/// A part of the message with the given letters.
pub fn part(kind: &str, letters: &str, message: &str, more: Value) -> Value {
    let mut part = json!({ "id": id("prt", letters), "sessionID": ses(), "messageID": id("msg", message), "type": kind });
    for (name, value) in more.as_object().unwrap() {
        part[name] = value.clone();
    }
    part
}

/// The event of a message.
pub fn told(info: Value) -> Value {
    event("message.updated", json!({ "info": info }))
}

/// The event of a part.
pub fn told_part(part: Value) -> Value {
    event("message.part.updated", json!({ "part": part }))
}

/// The event that appends to a part.
pub fn delta(letters: &str, message: &str, field: &str, text: &str) -> Value {
    let ids = json!({ "sessionID": ses(), "messageID": id("msg", message), "partID": id("prt", letters), "field": field, "delta": text });
    event("message.part.delta", ids)
}

/// The events of a text that is streamed in pieces.
pub fn text(letters: &str, message: &str, pieces: &[&str]) -> Vec<Value> {
    let mut events = vec![told_part(part("text", letters, message, json!({ "text": "", "time": { "start": 1 } })))];
    events.extend(pieces.iter().map(|piece| delta(letters, message, "text", piece)));
    events.push(told_part(part("text", letters, message, json!({ "text": pieces.concat(), "time": { "start": 1, "end": 2 } }))));
    events
}

/// The event of a tool call in the given state.
pub fn tool(letters: &str, message: &str, tool: &str, status: &str, more: Value) -> Value {
    let mut state = json!({ "status": status, "input": {}, "time": { "start": 1 } });
    if status == "completed" {
        state["output"] = json!("");
        state["title"] = json!("");
        state["metadata"] = json!({});
    }
    for (name, value) in more.as_object().unwrap().iter().filter(|(name, _)| *name != "subject") {
        state[name] = value.clone();
    }
    let subject = more["subject"].as_str().map(str::to_owned).or_else(|| subject(tool, &state["input"], "/work/app"));
    told_part(part("tool", letters, message, json!({ "callID": "c", "tool": tool, "subject": subject, "state": state })))
}

/// The event that ends a turn.
pub fn idle() -> Value {
    event("session.idle", json!({ "sessionID": ses() }))
}

/// A question about a command.
pub fn question(letters: &str, command: &str) -> Value {
    json!({
        "id": id("per", letters), "sessionID": ses(), "messageID": id("msg", "BA"), "callID": "c", "type": "bash", "patterns": [command],
        "always": ["make *"], "title": command, "metadata": { "command": command }, "time": { "created": 1 },
    })
}

/// The event of an answered question.
pub fn replied(letters: &str, response: &str) -> Value {
    event("permission.replied", json!({ "sessionID": ses(), "permissionID": id("per", letters), "response": response }))
}

/// A script that knows how a run begins; `turn` makes the events of the turn, given the prompt's id.
pub fn turn(turn: impl Fn(&Value) -> Vec<Value> + Send + 'static) -> impl Script {
    move |method: &str, params: &Value| match method {
        "session.create" | "session.get" => (Ok(session("AA", "A title")), vec![]),
        "session.list" => (Ok(json!([session("AA", "A title")])), vec![]),
        "event.subscribe" => (Ok(json!(7)), vec![json!({ "time": 1, "type": "server.connected", "properties": {} })]),
        "permission.list" | "question.list" => (Ok(json!([])), vec![]),
        "session.submit" => {
            let prompt = &params["messageID"];
            let mut events = vec![told(user(prompt)), told(assistant("BA", prompt, None, Value::Null))];
            events.extend(turn(prompt));
            (Ok(json!({ "sessionID": ses(), "messageID": prompt, "queued": false })), events)
        }
        _ => (Err(error(-32601, "method_not_found", method)), vec![]),
    }
}

/// The script with more answers in front of it.
pub fn with(mut first: impl FnMut(&str, &Value) -> Option<Reply> + Send + 'static, mut rest: impl Script) -> impl Script {
    move |method: &str, params: &Value| first(method, params).unwrap_or_else(|| rest(method, params))
}
