//! A small application for tests of calls: methods that echo, wait, fail and stream.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use polytree_protocol::{
    id::ProjectId,
    method::{Method, Retry, Route, Selects},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::to_raw_value};
use tokio::sync::{Semaphore, watch};

use super::{
    Registry, Rpc,
    error::Error,
    handler::{Context, Handler, SubscriptionHandler},
    sink::Sink,
};
use crate::{
    daemon::life::{Life, Work},
    session::Load,
    stdx::tasks::Tasks,
    store::OwnerKind,
};

/// The state of the application.
#[derive(Default)]
pub struct App {
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Futures of `test.wait` that were dropped before their end.
    pub dropped: AtomicUsize,
    /// Calls of `test.count`.
    pub counted: AtomicUsize,
    /// Events that were sent.
    pub sent: AtomicUsize,
}

impl App {
    fn gate(&self, name: &str) -> Arc<Semaphore> {
        self.gates.lock().unwrap().entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
    }

    /// Opens the gate for all present and future waiters.
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
    Unsubscribe = "event.unsubscribe" UnsubscribeParams { subscription: u64 } -> bool;
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
        // An open gate is a closed semaphore, which never gives a permit.
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

impl Handler<App> for Unsubscribe {
    async fn handle(context: Context<App>, params: UnsubscribeParams) -> Result<bool, Error> {
        Ok(context.connection.unsubscribe(params.subscription))
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

/// The lifetime of an idle daemon in the foreground.
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
    Life::new(OwnerKind::Foreground, None, Arc::new(Nothing), nobody(), nobody())
}

/// The methods above, on the application.
pub fn rpc(app: &Arc<App>, tasks: &Tasks) -> Rpc {
    let mut registry = Registry::new(app.clone());
    registry.method::<Echo>();
    registry.method::<Wait>();
    registry.method::<Count>();
    registry.method::<Panic>();
    registry.method::<Large>();
    registry.subscribe::<Stream>();
    registry.method::<Unsubscribe>();
    registry.finish(tasks, Arc::default(), Arc::default(), testing_life())
}
