//! Small requests over WebSockets, compared with an echo server on the same library and with the same client; and the memory
//! of an idle connection.
//!
//! ```text
//! cargo bench --profile dist --bench websocket [-- --rate N --seconds N --connections N --idle N --binary PATH]
//! ```
//!
//! Requests are sent when they are due, whether earlier ones are answered or not; a latency counts from then on. The
//! method is `server.info`. With a build for release it fails when a figure is worse than it should be.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The maximum ratio of the 99th percentile to that of the echo server.
const P99: Duration = Duration::from_millis(10);

/// The memory limit of all idle connections together, in bytes.
const IDLE: u64 = 10 << 20;

/// The timeout of answers after the last request.
const TIMEOUT: Duration = Duration::from_secs(10);

struct Settings {
    rate: u32,
    seconds: u32,
    connections: usize,
    idle: usize,
    binary: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--echo") {
        echo::serve();
    }
    let value = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, default: u32| value(name).map_or(default, |text| text.parse().expect("a number"));
    // Without optimisation the figures are meaningless; it only checks that the benchmark runs.
    let quick = cfg!(debug_assertions);
    let settings = Settings {
        rate: number("--rate", if quick { 1000 } else { 20_000 }),
        seconds: number("--seconds", if quick { 1 } else { 10 }),
        connections: number("--connections", 16) as usize,
        idle: number("--idle", 200) as usize,
        binary: value("--binary").map_or(env!("CARGO_BIN_EXE_polytree"), String::as_str).to_owned(),
    };
    if run(&settings) || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checks the figures.
fn run(settings: &Settings) -> bool {
    let home = tempfile::tempdir().expect("a home");
    let echo = Server::echo();
    let polytree = Server::polytree(&settings.binary, home.path());
    say(&format!("{} requests a second over {} connections, {} s", settings.rate, settings.connections, settings.seconds));
    let control = load(&echo.target, settings).show("echo");
    let ours = load(&polytree.target, settings).show("polytree");
    let keeps_up = ours.answered == ours.sent && ours.seconds < f64::from(settings.seconds) + 1.0;
    let added = ours.p99.saturating_sub(control.p99);
    say(&format!("p99 over the echo: {:.2} ms (at most {} ms)", milliseconds(added), P99.as_millis()));

    let before = polytree.memory();
    let sockets: Vec<Socket> = (0..settings.idle)
        .map(|_| {
            let mut socket = Socket::open(&polytree.target);
            socket.write(&frame(&request(0)));
            socket.answer();
            socket
        })
        .collect();
    // Memory of the last answers is given back.
    thread::sleep(Duration::from_secs(1));
    let added_bytes = polytree.memory().saturating_sub(before);
    let (all, each) = (added_bytes >> 10, (added_bytes >> 10) / settings.idle.max(1) as u64);
    say(&format!("{} idle connections: {all} KiB (at most {} KiB), {each} KiB each", sockets.len(), IDLE >> 10));
    drop(sockets);
    keeps_up && added <= P99 && added_bytes <= IDLE
}

/// The address of a server.
#[derive(Clone)]
struct Target {
    address: String,
    path: String,
}

/// A server in a separate process, which is killed when this value is dropped.
struct Server {
    child: Child,
    target: Target,
}

impl Server {
    fn echo() -> Self {
        let program = std::env::current_exe().expect("this program");
        let (child, said) = spawn(command(program.to_str().expect("a path of text")).arg("--echo").stdout(Stdio::piped()), "listening on ");
        let address = said.last().expect("an address").clone();
        Self { child, target: Target { address, path: "/".to_owned() } }
    }

    fn polytree(binary: &str, home: &Path) -> Self {
        let mut command = command(binary);
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(home).env_clear().env("HOME", home);
        let (child, said) = spawn(command.stderr(Stdio::piped()), "token: ");
        let find = |word: &str| said.iter().find_map(|line| line.strip_prefix(word)).expect("a line").to_owned();
        let address = find("listening on http://").trim_end_matches('/').to_owned();
        Self { child, target: Target { address, path: format!("/?token={}", find("token: ")) } }
    }

    /// The proportional set size in bytes; shared pages are counted in part.
    fn memory(&self) -> u64 {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark starts the program that it measures")]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// Starts it and reads its output up to the line with this prefix; returns the rest of that line.
fn spawn(command: &mut Command, last: &str) -> (Child, Vec<String>) {
    let mut child = command.stdin(Stdio::null()).spawn().expect("it starts");
    let output: Box<dyn std::io::Read + Send> = match (child.stdout.take(), child.stderr.take()) {
        (Some(output), _) => Box::new(output),
        (None, Some(output)) => Box::new(output),
        (None, None) => unreachable!("one of them is a pipe"),
    };
    let mut said = Vec::new();
    let mut lines = BufReader::new(output).lines();
    while let Some(Ok(line)) = lines.next() {
        let is_last = line.starts_with(last);
        said.push(if last.starts_with("listening") { line.trim_start_matches(last).to_owned() } else { line });
        if is_last {
            break;
        }
    }
    // Further output is ignored.
    thread::spawn(move || lines.for_each(drop));
    (child, said)
}

/// A minimal client: its frames are written by hand, masked with zeros.
struct Socket {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Socket {
    fn open(target: &Target) -> Self {
        let mut stream = TcpStream::connect(&target.address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            target.path, target.address
        );
        stream.write_all(head.as_bytes()).expect("a handshake");
        let mut socket = Self { stream, bytes: Vec::new() };
        let end = loop {
            if let Some(end) = socket.bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(socket.fill(), "the server closed during the handshake");
        };
        assert!(socket.bytes.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&socket.bytes));
        socket.bytes.drain(..end);
        socket
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("a request");
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let length = self.stream.read(&mut chunk).unwrap_or_default();
        self.bytes.extend_from_slice(&chunk[..length]);
        length > 0
    }

    /// Takes the complete text messages, by their ids.
    fn ids(&mut self, mut take: impl FnMut(u64)) {
        let mut start = 0;
        while let Some(&[first, second]) = self.bytes.get(start..start + 2) {
            let (head, length) = match second {
                126 => match self.bytes.get(start + 2..start + 4) {
                    Some(length) => (4, usize::from(u16::from_be_bytes([length[0], length[1]]))),
                    None => break,
                },
                127 => panic!("an answer of that size is not small"),
                length => (2, usize::from(length)),
            };
            let Some(payload) = self.bytes.get(start + head..start + head + length) else { break };
            start += head + length;
            if first == 0x81 {
                let text = std::str::from_utf8(payload).expect("text");
                let digits = text.split("\"id\":").nth(1).expect("an id").split(|c: char| !c.is_ascii_digit()).next();
                assert!(!text.contains("\"error\""), "{text}");
                take(digits.and_then(|digits| digits.parse().ok()).expect("a number"));
            }
        }
        self.bytes.drain(..start);
    }

    fn answer(&mut self) {
        let mut answers = 0;
        while answers == 0 {
            assert!(self.fill(), "the server closed");
            self.ids(|_| answers += 1);
        }
    }
}

fn request(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"server.info"}}"#)
}

fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("a small request");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// The result of a load.
struct Figures {
    sent: usize,
    answered: usize,
    seconds: f64,
    p50: Duration,
    p99: Duration,
    worst: Duration,
}

impl Figures {
    fn show(self, name: &str) -> Self {
        let rate = f64::from(u32::try_from(self.answered).expect("it fits")) / self.seconds;
        let [p50, p99, worst] = [self.p50, self.p99, self.worst].map(milliseconds);
        say(&format!(
            "{name:10} {rate:>8.0} answers/s   p50 {p50:6.2} ms   p99 {p99:6.2} ms   worst {worst:6.2} ms   ({} of {} answered)",
            self.answered, self.sent
        ));
        self
    }
}

fn say(line: &str) {
    // The receiver may have ended.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn load(target: &Target, settings: &Settings) -> Figures {
    let mut sockets: Vec<Socket> = (0..settings.connections).map(|_| Socket::open(target)).collect();
    for socket in &mut sockets {
        for _ in 0..100 {
            socket.write(&frame(&request(0)));
            socket.answer();
        }
    }
    let interval = Duration::from_secs(1) / settings.rate;
    let total = u64::from(settings.rate) * u64::from(settings.seconds);
    let mut writers: Vec<TcpStream> = sockets.iter().map(|socket| socket.stream.try_clone().expect("a socket")).collect();
    let began = Instant::now() + Duration::from_millis(50);
    let due = move |id: u64| began + interval * u32::try_from(id).expect("it fits");
    let readers: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(number, mut socket)| {
            let (all, each) = (settings.connections as u64, number as u64);
            let mine = total / all + u64::from(each < total % all);
            socket.stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
            thread::spawn(move || {
                let mut latencies = Vec::with_capacity(usize::try_from(mine).expect("it fits"));
                while (latencies.len() as u64) < mine && socket.fill() {
                    let now = Instant::now();
                    socket.ids(|id| latencies.push(now.saturating_duration_since(due(id))));
                }
                (latencies, Instant::now())
            })
        })
        .collect();
    let mut id = 0;
    while id < total {
        while id < total && due(id) <= Instant::now() {
            let connection = usize::try_from(id).expect("it fits") % writers.len();
            writers[connection].write_all(&frame(&request(id))).expect("a request");
            id += 1;
        }
        thread::sleep(Duration::from_micros(200));
    }
    let (mut latencies, mut ended) = (Vec::new(), began);
    for reader in readers {
        let (some, end) = reader.join().expect("a reader");
        latencies.extend(some);
        ended = ended.max(end);
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).or(latencies.last()).copied().unwrap_or(Duration::MAX);
    Figures {
        sent: usize::try_from(total).expect("it fits"),
        answered: latencies.len(),
        seconds: ended.duration_since(began).as_secs_f64(),
        p50: at(50),
        p99: at(99),
        worst: at(100),
    }
}

/// The control: a minimal WebSocket server, on the same library and number of threads.
mod echo {
    use soketto::handshake::{Server, server::Response};
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    pub fn serve() -> ! {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            super::say(&format!("listening on {}", listener.local_addr().expect("an address")));
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                stream.set_nodelay(true).expect("a socket");
                #[expect(clippy::disallowed_methods, reason = "this server is not the daemon")]
                drop(tokio::spawn(echo(stream)));
            }
        })
    }

    async fn echo(stream: tokio::net::TcpStream) -> Option<()> {
        let stream = futures::io::BufReader::new(futures::io::BufWriter::new(stream.compat()));
        let mut server = Server::new(stream);
        let key = server.receive_request().await.ok()?.key();
        server.send_response(&Response::Accept { key, protocol: None }).await.ok()?;
        let (mut sender, mut receiver) = server.into_builder().finish();
        let mut message = Vec::new();
        loop {
            message.clear();
            receiver.receive_data(&mut message).await.ok()?;
            sender.send_text(std::str::from_utf8(&message).ok()?).await.ok()?;
            sender.flush().await.ok()?;
        }
    }
}
