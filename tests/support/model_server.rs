//! A model service on loopback for tests: real HTTP/1.1 over TCP, with chunked event streams as `OpenAI` Chat
//! Completions and Anthropic Messages send them. It answers what was pushed, in order, and records every request.
#![allow(dead_code, reason = "included by several test programs, each of which uses another part")]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// How long a client may take to ask.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The JSON body; null when it is none.
    pub body: Value,
    /// Which TCP connection carried it, from 0.
    pub connection: usize,
}

impl Recorded {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Bytes(Vec<u8>),
    Pause(Duration),
    Wait(Arc<Notify>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// The last chunk, as it should be.
    Clean,
    /// The connection is dropped before the last chunk.
    Cut,
    /// Nothing more comes, the connection stays open.
    Hang,
}

/// One answer of the server.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    steps: Vec<Step>,
    end: End,
}

impl Answer {
    /// An event stream of the given frames, each sent at once.
    pub fn sse<T: AsRef<str>>(frames: impl IntoIterator<Item = T>) -> Self {
        let steps = frames.into_iter().map(|frame| Step::Bytes(frame.as_ref().as_bytes().to_vec())).collect();
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        Self { status: 200, headers, steps, end: End::Clean }
    }

    /// A JSON body with the given status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::body(status, "application/json", &body.to_string())
    }

    /// Any body.
    pub fn body(status: u16, mime: &str, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), mime.to_owned())];
        Self { status, headers, steps: vec![Step::Bytes(body.as_bytes().to_vec())], end: End::Clean }
    }

    /// Chat Completions: the text in one delta, a finish and the usage.
    pub fn openai_text(text: &str) -> Self {
        Self::sse([openai::text(text), openai::finish("stop"), openai::usage(10, 5), openai::DONE.to_owned()])
    }

    /// Chat Completions: calls of tools (id, name, arguments), each in one fragment.
    pub fn openai_calls(calls: &[(&str, &str, Value)]) -> Self {
        let mut frames: Vec<_> =
            calls.iter().enumerate().map(|(index, (id, name, arguments))| openai::call(index, id, name, &arguments.to_string())).collect();
        frames.extend([openai::finish("tool_calls"), openai::usage(10, 5), openai::DONE.to_owned()]);
        Self::sse(frames)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds bytes of any kind.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Bytes(bytes.to_vec()));
        self
    }

    /// Drops the connection after the frames, without the last chunk.
    pub fn cut(mut self) -> Self {
        self.end = End::Cut;
        self
    }

    /// Sends nothing more after the frames and keeps the connection open.
    pub fn hang(mut self) -> Self {
        self.end = End::Hang;
        self
    }

    /// Sends everything in pieces of `size` bytes, splitting frames and characters wherever it falls.
    pub fn trickle(mut self, size: usize) -> Self {
        self.steps = self
            .steps
            .into_iter()
            .flat_map(|step| match step {
                Step::Bytes(bytes) => bytes.chunks(size).map(|piece| Step::Bytes(piece.to_vec())).collect(),
                other => vec![other],
            })
            .collect();
        self
    }

    /// Waits between any two frames.
    pub fn pace(mut self, pause: Duration) -> Self {
        self.steps = self.steps.into_iter().flat_map(|step| [step, Step::Pause(pause)]).collect();
        self
    }

    /// Waits before frame `index` (from 0) until the gate is opened by `notify_one`.
    pub fn gate(mut self, index: usize, gate: &Arc<Notify>) -> Self {
        self.steps.insert(index, Step::Wait(Arc::clone(gate)));
        self
    }
}

type Rule = Box<dyn Fn(&Recorded) -> Option<Answer> + Send>;

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    rules: Vec<Rule>,
    requests: Vec<Recorded>,
    connections: usize,
    closed: usize,
}

/// The server; it ends when dropped.
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Listens on a free port of loopback.
    #[expect(clippy::disallowed_methods, reason = "a test's server lives as long as its value")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let changed = Arc::new(Notify::new());
        let (shared, notify) = (Arc::clone(&state), Arc::clone(&changed));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut state = shared.lock().unwrap();
                    state.connections += 1;
                    state.connections - 1
                };
                let (state, notify) = (Arc::clone(&shared), Arc::clone(&notify));
                connections.spawn(async move {
                    // A client may leave whenever it likes.
                    let _ = serve(stream, number, &state, &notify).await;
                    state.lock().unwrap().closed += 1;
                    notify.notify_waiters();
                });
            }
        });
        Self { address, state, changed, task }
    }

    /// The base address as settings name it, such as `http://127.0.0.1:1234/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Queues an answer; without one a request gets status 500.
    pub fn push(&self, answer: Answer) {
        self.state.lock().unwrap().answers.push_back(answer);
    }

    /// Answers requests for which the rule gives something, before the queue is asked.
    pub fn rule(&self, rule: impl Fn(&Recorded) -> Option<Answer> + Send + 'static) {
        self.state.lock().unwrap().rules.push(Box::new(rule));
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The only request; fails when there were none or several.
    pub fn request(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Waits until at least `count` requests have arrived.
    pub async fn arrived(&self, count: usize) {
        self.reached(|state| state.requests.len() >= count).await;
    }

    /// Waits until at least `count` connections have ended.
    pub async fn left(&self, count: usize) {
        self.reached(|state| state.closed >= count).await;
    }

    async fn reached(&self, is_reached: impl Fn(&State) -> bool) {
        let reached = async {
            loop {
                let notified = self.changed.notified();
                if is_reached(&self.state.lock().unwrap()) {
                    return;
                }
                notified.await;
            }
        };
        // Whoever should have asked may have failed: the test must end and say so.
        tokio::time::timeout(TIMEOUT, reached).await.expect("nobody asked the model for a minute");
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, connection: usize, state: &Mutex<State>, changed: &Notify) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, connection).await? {
        let answer = {
            let mut state = state.lock().unwrap();
            let ruled = state.rules.iter().find_map(|rule| rule(&request));
            state.requests.push(request);
            ruled.or_else(|| state.answers.pop_front())
        };
        changed.notify_waiters();
        let missing = || Answer::json(500, &json!({"error": {"message": "no answer was pushed"}}));
        if !write_answer(&mut stream, answer.unwrap_or_else(missing)).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> std::io::Result<Option<Recorded>> {
    let head_end = loop {
        if let Some(position) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break position;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: Vec<_> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let body_start = head_end + 4;
    while buffer.len() < body_start + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = serde_json::from_slice(&buffer[body_start..body_start + length]).unwrap_or_default();
    buffer.drain(..body_start + length);
    Ok(Some(Recorded { path, headers, body, connection }))
}

/// Says whether the connection can carry another request.
async fn write_answer(stream: &mut TcpStream, answer: Answer) -> std::io::Result<bool> {
    let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let head = format!("HTTP/1.1 {} Status\r\ntransfer-encoding: chunked\r\n{headers}\r\n", answer.status);
    stream.write_all(head.as_bytes()).await?;
    let last = answer.steps.len().saturating_sub(1);
    let ends_with_bytes = answer.end == End::Clean && matches!(answer.steps.last(), Some(Step::Bytes(bytes)) if !bytes.is_empty());
    for (place, step) in answer.steps.into_iter().enumerate() {
        match step {
            Step::Bytes(bytes) if bytes.is_empty() => {}
            Step::Bytes(bytes) => {
                let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                chunk.extend_from_slice(&bytes);
                chunk.extend_from_slice(b"\r\n");
                if ends_with_bytes && place == last {
                    // In one write with the last bytes, so that a client that stops reading there has seen the end.
                    chunk.extend_from_slice(b"0\r\n\r\n");
                }
                stream.write_all(&chunk).await?;
                stream.flush().await?;
            }
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Wait(gate) => gate.notified().await,
        }
    }
    match answer.end {
        End::Clean if ends_with_bytes => Ok(true),
        End::Clean => stream.write_all(b"0\r\n\r\n").await.map(|()| true),
        End::Cut => Ok(false),
        End::Hang => {
            // Until the client leaves.
            let mut byte = [0];
            while stream.read(&mut byte).await? > 0 {}
            Ok(false)
        }
    }
}

/// Frames of `OpenAI` Chat Completions.
pub mod openai {
    use serde_json::{Value, json};

    /// The end of a stream.
    pub const DONE: &str = "data: [DONE]\n\n";

    /// A chunk with the given delta and finish reason.
    pub fn chunk(delta: &Value, finish: Option<&str>) -> String {
        frame(&json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": null}))
    }

    /// Any JSON as a frame.
    pub fn frame(value: &Value) -> String {
        format!("data: {value}\n\n")
    }

    /// Text.
    pub fn text(text: &str) -> String {
        chunk(&json!({"content": text}), None)
    }

    /// Thinking, as many compatible services send it.
    pub fn reasoning(text: &str) -> String {
        chunk(&json!({"reasoning_content": text}), None)
    }

    /// The first fragment of a call.
    pub fn call(index: usize, id: &str, name: &str, arguments: &str) -> String {
        chunk(
            &json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}),
            None,
        )
    }

    /// A further fragment of a call.
    pub fn arguments(index: usize, piece: &str) -> String {
        chunk(&json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), None)
    }

    /// The finish reason.
    pub fn finish(reason: &str) -> String {
        chunk(&json!({}), Some(reason))
    }

    /// The usage chunk.
    pub fn usage(input: u64, output: u64) -> String {
        usage_of(&json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}))
    }

    /// A usage chunk with everything in it.
    pub fn usage_of(usage: &Value) -> String {
        frame(&json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}))
    }
}

/// Frames of Anthropic Messages.
pub mod anthropic {
    use serde_json::{Value, json};

    /// Any event.
    pub fn event(name: &str, data: &Value) -> String {
        format!("event: {name}\ndata: {data}\n\n")
    }

    /// The start of a message with its usage so far.
    pub fn start(usage: &Value) -> String {
        let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage});
        event("message_start", &json!({"type": "message_start", "message": message}))
    }

    /// The start of a block.
    pub fn block(index: usize, block: &Value) -> String {
        event("content_block_start", &json!({"type": "content_block_start", "index": index, "content_block": block}))
    }

    /// A delta of a block.
    pub fn delta(index: usize, delta: &Value) -> String {
        event("content_block_delta", &json!({"type": "content_block_delta", "index": index, "delta": delta}))
    }

    /// The end of a block.
    pub fn stop(index: usize) -> String {
        event("content_block_stop", &json!({"type": "content_block_stop", "index": index}))
    }

    /// A text block, a delta for each piece.
    pub fn text(index: usize, pieces: &[&str]) -> Vec<String> {
        let deltas = pieces.iter().map(|piece| delta(index, &json!({"type": "text_delta", "text": piece})));
        std::iter::once(block(index, &json!({"type": "text", "text": ""}))).chain(deltas).chain([stop(index)]).collect()
    }

    /// A thinking block with its signature.
    pub fn thinking(index: usize, pieces: &[&str], signature: &str) -> Vec<String> {
        let deltas = pieces.iter().map(|piece| delta(index, &json!({"type": "thinking_delta", "thinking": piece})));
        std::iter::once(block(index, &json!({"type": "thinking", "thinking": "", "signature": ""})))
            .chain(deltas)
            .chain([delta(index, &json!({"type": "signature_delta", "signature": signature})), stop(index)])
            .collect()
    }

    /// A call, its arguments in pieces.
    pub fn call(index: usize, id: &str, name: &str, pieces: &[&str]) -> Vec<String> {
        let deltas = pieces.iter().map(|piece| delta(index, &json!({"type": "input_json_delta", "partial_json": piece})));
        std::iter::once(block(index, &json!({"type": "tool_use", "id": id, "name": name, "input": {}})))
            .chain(deltas)
            .chain([stop(index)])
            .collect()
    }

    /// The end of a message: reason and usage, then the stop event.
    pub fn end(reason: &str, usage: &Value) -> Vec<String> {
        let delta = json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage});
        vec![event("message_delta", &delta), event("message_stop", &json!({"type": "message_stop"}))]
    }

    /// An error in mid-stream.
    pub fn error(kind: &str, message: &str) -> String {
        event("error", &json!({"type": "error", "error": {"type": kind, "message": message}}))
    }
}
