//! Runs a call: in a log span, guarded against panics, counted, with a size limit of its result.

use std::{any::Any, fmt::Display, future::Future, io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument as _, Span};

use super::{
    connection::Connection,
    error::Error,
    handler::SubscriptionHandler,
    sink::{Outlet, Sink, Subscription},
    traffic::UnderWay,
};
use crate::{daemon::calls::Calls, jsonrpc::framing::MESSAGE_LIMIT, stdx::tasks::Tasks};

/// The size limit of an answer, in bytes.
pub const ANSWER_LIMIT: usize = MESSAGE_LIMIT;

/// The timeout of the last notifications of subscriptions when the daemon shuts down.
pub const LAST_NOTIFICATIONS_TIMEOUT: Duration = Duration::from_millis(200);

/// The initial capacity of the buffer of a result.
const RESULT_CAPACITY: usize = 128;

/// The outcome of a successful call.
pub enum Reply {
    /// A result.
    Result(Box<RawValue>),
    /// A subscription, whose id is the result.
    Subscription(Opened),
}

/// The input of a method.
pub(super) struct Request {
    pub connection: Arc<Connection>,
    pub params: Option<String>,
    /// For a method that opens a subscription.
    pub stream: Option<Stream>,
    pub tasks: Tasks,
    pub meter: Meter,
}

/// The destination of a subscription.
pub(super) struct Stream {
    pub subscription: Arc<Subscription>,
    pub outlet: Arc<dyn Outlet>,
    /// Counts against the limit of subscriptions of its connection.
    pub permit: OwnedSemaphorePermit,
}

/// Counts and logs one call.
pub(super) struct Meter {
    method: &'static str,
    connection: u64,
    span: Span,
    calls: Arc<Calls>,
    under_way: UnderWay,
}

impl Meter {
    pub fn new(method: &'static str, id: &dyn Display, connection: &Connection, calls: &Arc<Calls>) -> Self {
        let span = tracing::info_span!("request", method, %id, connection = connection.id());
        Self { method, connection: connection.id(), span, calls: Arc::clone(calls), under_way: connection.traffic().request() }
    }

    /// Runs a handler. A panic is an internal error of this call only.
    pub fn run(self, handler: impl Future<Output = Result<Reply, Error>> + Send + 'static) -> BoxFuture<'static, Result<Reply, Error>> {
        let Self { method, connection, span, calls, under_way } = self;
        let call = async move {
            let _under_way = under_way;
            let counted = calls.begin(method, connection);
            let result = guard(handler).await.inspect_err(Error::log);
            counted.end(result.as_ref().err().map(Error::kind));
            result
        };
        call.instrument(span).boxed()
    }
}

async fn guard<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| Err(Error::internal(format!("panic: {}", panic_text(&*panic)))))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

/// An open subscription that does not send yet. Dropping it closes the subscription.
pub struct Opened {
    subscription: Arc<Subscription>,
    connection: Arc<Connection>,
    tasks: Tasks,
    run: Option<BoxFuture<'static, ()>>,
}

impl Opened {
    /// Opens a subscription with the handler's prepared `feed`.
    pub(super) fn new<A, M: SubscriptionHandler<A>>(feed: M::Feed, stream: Stream, connection: Arc<Connection>, tasks: Tasks) -> Self {
        let Stream { subscription, outlet, permit } = stream;
        connection.add_subscription(Arc::clone(&subscription));
        let sink = Sink::new(Arc::clone(&subscription), M::NOTIFICATION, outlet);
        let token = tasks.token().clone();
        let run = async move {
            let _permit = permit;
            let run = guard(M::run(feed, sink.clone()).map(Ok));
            let stopped = async {
                token.cancelled().await;
                tokio::time::sleep(LAST_NOTIFICATIONS_TIMEOUT).await;
            };
            tokio::select! {
                ended = run => if let Err(error) = ended {
                    error.log();
                    sink.break_down(&error).await;
                },
                () = sink.closed() => {}
                () = stopped => {}
            }
        };
        Self { subscription, connection, tasks, run: Some(run.instrument(Span::current()).boxed()) }
    }

    /// The result of the call.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.subscription.id()
    }

    /// Starts sending notifications. To be called after the answer with the id was queued.
    pub fn start(mut self) {
        let Some(run) = self.run.take() else { return };
        let (connection, id) = (Arc::clone(&self.connection), self.id());
        let sent = async move {
            run.await;
            // Not closed: queued messages must still be written.
            connection.forget_subscription(id);
        };
        drop(self.tasks.spawn("subscription", sent));
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.run.is_some() {
            let _ = self.connection.unsubscribe(self.id());
        }
    }
}

/// A result as JSON. Writing stops at the limit.
pub(super) fn to_json(result: &impl Serialize) -> Result<Box<RawValue>, Error> {
    let mut text = Limited(Vec::with_capacity(RESULT_CAPACITY));
    match serde_json::to_writer(&mut text, result) {
        Ok(()) => String::from_utf8(text.0).map_err(Error::internal).and_then(|text| RawValue::from_string(text).map_err(Error::internal)),
        Err(error) if error.is_io() => Err(too_large(ANSWER_LIMIT)),
        Err(error) => Err(Error::internal(error)),
    }
}

/// The error of an answer over the limit.
#[must_use]
pub fn too_large(limit: usize) -> Error {
    Error::too_large("the answer is too large", limit as u64).hint("ask for less at once")
}

struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > ANSWER_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
