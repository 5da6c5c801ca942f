//! How notifications reach a client. Ending a subscription is exact: once [`Subscription::close`] has returned, nothing
//! more can enter the connection's queue, so an answer queued afterwards is the last that the client sees of it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use tokio_util::sync::CancellationToken;

use super::error::Error;

/// The subscription is over, or its client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subscription is closed")]
pub struct Closed;

/// An open subscription.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    // Held while a message is put into the queue, which never waits, so that closing cannot overlap with it.
    open: Mutex<bool>,
    token: CancellationToken,
}

impl Subscription {
    /// A new one.
    #[must_use]
    pub fn new(id: u64) -> Arc<Self> {
        Arc::new(Self { id, open: Mutex::new(true), token: CancellationToken::new() })
    }

    /// Its id on the wire.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Ends it.
    pub fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.token.cancel();
    }

    /// Whether it has been ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it has been ended.
    pub async fn closed(&self) {
        self.token.cancelled().await;
    }

    /// Runs `put` if the subscription is open and stays so meanwhile.
    fn while_open<T>(&self, put: impl FnOnce() -> T) -> Result<T, Closed> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if *open { Ok(put()) } else { Err(Closed) }
    }
}

/// A door that can send its client messages which are no answers.
pub trait Notifier: Send + Sync {
    /// Sends a message that belongs to no subscription. Waits while the client reads too slowly.
    ///
    /// # Errors
    /// When the client has gone.
    fn send(&self, message: Box<RawValue>) -> BoxFuture<'_, Result<(), Closed>>;

    /// Where the messages of a subscription go.
    fn outlet(&self, subscription: Arc<Subscription>) -> Arc<dyn Outlet>;
}

/// The queue of a door, as one subscription sees it.
pub trait Outlet: Send + Sync {
    /// Waits for room for a message of so many bytes.
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Box<dyn Permit>, Closed>>;

    /// Waits until the client has gone.
    fn closed(&self) -> BoxFuture<'_, ()>;
}

/// Room for one message in the queue of a door.
pub trait Permit: Send {
    /// Queues the message without waiting.
    fn send(self: Box<Self>, message: Box<RawValue>);
}

/// What a subscription's handler sends its notifications to.
#[derive(Clone)]
pub struct Sink {
    subscription: Arc<Subscription>,
    method: &'static str,
    outlet: Arc<dyn Outlet>,
}

#[derive(Serialize)]
struct Notification<'a, P> {
    jsonrpc: &'static str,
    method: &'static str,
    params: &'a P,
}

#[derive(Serialize)]
struct ResultParams<'a> {
    subscription: u64,
    result: &'a RawValue,
}

#[derive(Serialize)]
struct ErrorParams<'a> {
    subscription: u64,
    error: &'a RawValue,
}

impl Sink {
    /// A way out for the subscription through the door's queue.
    #[must_use]
    pub fn new(subscription: Arc<Subscription>, method: &'static str, outlet: Arc<dyn Outlet>) -> Self {
        Self { subscription, method, outlet }
    }

    /// The subscription.
    #[must_use]
    pub fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// Sends one event, given as JSON. Waits while the client reads too slowly; dropping the future then sends nothing.
    ///
    /// # Errors
    /// When the subscription is over.
    pub async fn send(&self, event: &RawValue) -> Result<(), Closed> {
        self.notify(&ResultParams { subscription: self.subscription.id, result: event }).await
    }

    /// Tells that the subscription has broken down; nothing may be sent after it.
    ///
    /// # Errors
    /// When the subscription is over.
    pub async fn fail(&self, error: &RawValue) -> Result<(), Closed> {
        self.notify(&ErrorParams { subscription: self.subscription.id, error }).await
    }

    /// Tells that the subscription has met this error; nothing may be sent after it.
    pub async fn break_down(&self, error: &Error) {
        let told = json!({ "code": error.kind().code(), "message": error.message(), "data": error.data() });
        if let Ok(told) = to_raw_value(&told) {
            // When it is closed, nobody wants to know.
            let _ = self.fail(&told).await;
        }
    }

    /// Waits until the subscription is over.
    pub async fn closed(&self) {
        tokio::select! {
            () = self.subscription.closed() => {}
            () = self.outlet.closed() => {}
        }
    }

    /// Whether the client has ended the subscription.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.subscription.is_closed()
    }

    async fn notify(&self, params: &(impl Serialize + Sync)) -> Result<(), Closed> {
        let message = to_raw_value(&Notification { jsonrpc: "2.0", method: self.method, params }).map_err(|_| Closed)?;
        let permit = tokio::select! {
            biased;
            () = self.subscription.closed() => return Err(Closed),
            permit = self.outlet.reserve(message.get().len()) => permit?,
        };
        self.subscription.while_open(|| permit.send(message))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("subscription", &self.subscription.id).field("method", &self.method).finish_non_exhaustive()
    }
}
