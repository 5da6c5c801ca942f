//! Sends notifications to a client. Closing a subscription is exact: once [`Subscription::close`] has returned, it queues
//! nothing more, so the client receives nothing of it after an answer that is queued later.

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

/// The subscription is closed, or its client has disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subscription is closed")]
pub struct Closed;

/// An open subscription.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    // Locked while a message is queued, which does not block, so that closing cannot overlap with it.
    open: Mutex<bool>,
    token: CancellationToken,
}

impl Subscription {
    #[must_use]
    pub fn new(id: u64) -> Arc<Self> {
        Arc::new(Self { id, open: Mutex::new(true), token: CancellationToken::new() })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Closes it.
    pub fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.token.cancel();
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it is closed.
    pub async fn closed(&self) {
        self.token.cancelled().await;
    }

    /// Runs `put` if the subscription is open, and keeps it open meanwhile.
    fn while_open<T>(&self, put: impl FnOnce() -> T) -> Result<T, Closed> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if *open { Ok(put()) } else { Err(Closed) }
    }
}

/// A door that can send its client messages that are not answers.
pub trait Notifier: Send + Sync {
    /// Sends a message without a subscription. Waits while the client reads too slowly.
    ///
    /// # Errors
    /// If the client has disconnected.
    fn send(&self, message: Box<RawValue>) -> BoxFuture<'_, Result<(), Closed>>;

    /// The queue for the messages of a subscription.
    fn outlet(&self, subscription: Arc<Subscription>) -> Arc<dyn Outlet>;
}

/// The queue of a door, as one subscription sees it.
pub trait Outlet: Send + Sync {
    /// Waits for space for a message of this size in bytes.
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Box<dyn Permit>, Closed>>;

    /// Waits until the client has disconnected.
    fn closed(&self) -> BoxFuture<'_, ()>;
}

/// Space for one message in the queue of a door.
pub trait Permit: Send {
    /// Queues the message without blocking.
    fn send(self: Box<Self>, message: Box<RawValue>);
}

/// Sends the notifications of a subscription's handler.
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
    /// A sink for the subscription with the door's queue.
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
    /// If the subscription is closed.
    pub async fn send(&self, event: &RawValue) -> Result<(), Closed> {
        self.notify(&ResultParams { subscription: self.subscription.id, result: event }).await
    }

    /// Sends an internal error as the last notification.
    ///
    /// # Errors
    /// If the subscription is closed.
    pub async fn fail(&self, error: &RawValue) -> Result<(), Closed> {
        self.notify(&ErrorParams { subscription: self.subscription.id, error }).await
    }

    /// Sends this error as the last notification.
    pub async fn break_down(&self, error: &Error) {
        let error = json!({ "code": error.kind().code(), "message": error.message(), "data": error.data() });
        if let Ok(error) = to_raw_value(&error) {
            // A closed subscription needs no error.
            let _ = self.fail(&error).await;
        }
    }

    /// Waits until the subscription is closed.
    pub async fn closed(&self) {
        tokio::select! {
            () = self.subscription.closed() => {}
            () = self.outlet.closed() => {}
        }
    }

    /// Whether the client has closed the subscription.
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
