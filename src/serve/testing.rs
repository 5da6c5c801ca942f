//! A small application for testing the doors: methods that echo, wait, break and stream; and a client on a pipe.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use polytree_protocol::{
    id::ProjectId,
    method::{Method, Retry, Route, Selects},
    methods::EventUnsubscribe,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::to_raw_value};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    connection::{End, Engine},
    rpc::{Registry, Rpc},
};
use crate::{
    api::{
        connection::{Connection, Door},
        error::Error,
        handler::{Context, Handler, SubscriptionHandler},
        sink::Sink,
    },
    daemon::life::{Life, Work},
    jsonrpc::framing::Decoder,
    session::Load,
    stdx::tasks::Tasks,
    store::Kind,
};

/// What the methods act on.
#[derive(Default)]
pub struct App {
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Futures of `test.wait` that were dropped before their end.
    pub dropped: AtomicUsize,
    /// Calls of `test.count`.
    pub counted: AtomicUsize,
    /// Events given to a sink.
    pub sent: AtomicUsize,
}

impl App {
    fn gate(&self, name: &str) -> Arc<Semaphore> {
        self.gates.lock().unwrap().entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
    }

    /// Lets everything pass that waits, or will wait, at the gate.
    pub fn open(&self, name: &str) {
        self.gate(name).close();
    }
}

macro_rules! test_methods {
    ($($name:ident = $wire:literal $params:ident { $($field:ident : $type:ty),* } -> $result:ty;)*) => {
        $(
            #[derive(Debug, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $params { $(#[serde(default)] $field: $type,)* }

            impl Selects for $params {
                fn directory(&self) -> Option<&str> {
                    None
                }
                fn project_id(&self) -> Option<&ProjectId> {
                    None
                }
            }

            pub enum $name {}

            impl Method for $name {
                const NAME: &'static str = $wire;
                const SUMMARY: &'static str = "";
                const ROUTE: Option<Route> = None;
                const RETRY: Retry = Retry::Never;
                type Params = $params;
                type Result = $result;
            }
        )*
    };
}

test_methods! {
    Echo = "test.echo" EchoParams { value: Value } -> Value;
    Wait = "test.wait" WaitParams { gate: String } -> bool;
    Count = "test.count" CountParams {} -> bool;
    Panic = "test.panic" PanicParams {} -> bool;
    Large = "test.large" LargeParams { bytes: usize } -> String;
    Stream = "test.stream" StreamParams { count: usize, bytes: usize, refuse: bool, panic: bool } -> Value;
}

impl Handler<App> for Echo {
    async fn handle(_: Context<App>, params: EchoParams) -> Result<Value, Error> {
        Ok(params.value)
    }
}

impl Handler<App> for Wait {
    async fn handle(context: Context<App>, params: WaitParams) -> Result<bool, Error> {
        struct Dropped<'a>(&'a AtomicUsize);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let guard = Dropped(&context.daemon.dropped);
        let gate = context.daemon.gate(&params.gate);
        // An open gate is a closed semaphore: nobody ever gets a permit.
        assert!(gate.acquire().await.is_err());
        std::mem::forget(guard);
        Ok(true)
    }
}

impl Handler<App> for Count {
    async fn handle(context: Context<App>, _: CountParams) -> Result<bool, Error> {
        context.daemon.counted.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }
}

impl Handler<App> for Panic {
    async fn handle(_: Context<App>, _: PanicParams) -> Result<bool, Error> {
        panic!("secret text")
    }
}

impl Handler<App> for Large {
    async fn handle(_: Context<App>, params: LargeParams) -> Result<String, Error> {
        Ok("x".repeat(params.bytes))
    }
}

impl SubscriptionHandler<App> for Stream {
    const NOTIFICATION: &'static str = "event";
    type Feed = (Context<App>, StreamParams);

    async fn open(context: Context<App>, params: StreamParams) -> Result<Self::Feed, Error> {
        if params.refuse {
            return Err(Error::invalid_state("refused"));
        }
        Ok((context, params))
    }

    async fn run((context, params): Self::Feed, sink: Sink) {
        let padding = "x".repeat(params.bytes);
        for number in 0..params.count {
            let event = to_raw_value(&if params.bytes == 0 { json!(number) } else { json!([number, padding]) }).unwrap();
            if sink.send(&event).await.is_err() {
                return;
            }
            context.daemon.sent.fetch_add(1, Ordering::SeqCst);
        }
        assert!(!params.panic, "secret text");
        sink.closed().await;
    }
}

/// The life of a daemon that runs in the foreground and has nothing to do.
fn testing_life() -> Arc<Life> {
    struct Nothing;
    impl Work for Nothing {
        fn load(&self) -> Load {
            Load::default()
        }
        fn close_if_idle(&self) -> bool {
            true
        }
        fn close(&self) {}
        fn changed(&self) -> watch::Receiver<()> {
            watch::Sender::default().subscribe()
        }
    }
    let nobody = || watch::Sender::new(0).subscribe();
    Life::new(Kind::Foreground, None, Arc::new(Nothing), nobody(), nobody())
}

/// The methods above, on the application.
pub fn rpc(app: &Arc<App>, tasks: &Tasks) -> Rpc {
    let mut registry = Registry::new(app.clone(), tasks);
    registry.method::<Echo>();
    registry.method::<Wait>();
    registry.method::<Count>();
    registry.method::<Panic>();
    registry.method::<Large>();
    registry.subscribe::<Stream>();
    registry.method::<EventUnsubscribe>();
    registry.finish(Arc::default(), testing_life())
}

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

    /// Writes the text as it is.
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

    /// Ends the input and gives what is still sent, and why the connection ended.
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
