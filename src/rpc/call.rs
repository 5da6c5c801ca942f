//! A connection's access to the methods, within its limits. All doors call methods through it.

use std::{fmt::Display, sync::Arc};

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use super::run::{ANSWER_LIMIT, LAST_NOTIFICATIONS_TIMEOUT, Opened, Reply, too_large};
use super::{
    connection::Connection,
    error::Error,
    methods::Rpc,
    run::{Meter, Request, Stream},
    sink::Subscription,
};

/// The limit of requests in flight per connection.
pub const REQUEST_LIMIT: u32 = 1024;

/// The limit of open subscriptions per connection.
pub const SUBSCRIPTION_LIMIT: u32 = 64;

/// When a client may retry with the next daemon, in milliseconds.
const NEXT_DAEMON_RETRY_MS: u64 = 500;

/// The access of one connection to the methods, within its limits.
pub struct Caller {
    rpc: Rpc,
    connection: Arc<Connection>,
    requests: Arc<Semaphore>,
    subscriptions: Arc<Semaphore>,
}

/// A call that was admitted.
pub struct Call {
    /// Runs the call. Dropping it cancels the call.
    pub reply: BoxFuture<'static, Result<Reply, Error>>,
    /// Counts the call as in flight: to be held until the answer is queued for the client.
    pub slot: OwnedSemaphorePermit,
    /// Whether the call must end before the client's next message is processed.
    pub in_order: bool,
}

impl Caller {
    /// A connection without calls.
    #[must_use]
    pub fn new(rpc: Rpc, connection: Arc<Connection>) -> Self {
        let limit = |limit: u32| Arc::new(Semaphore::new(limit as usize));
        Self { rpc, connection, requests: limit(REQUEST_LIMIT), subscriptions: limit(SUBSCRIPTION_LIMIT) }
    }

    #[must_use]
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Admits a call, which runs when its reply is awaited. `params` is a JSON object, `id` names the request in the log.
    ///
    /// # Errors
    /// If the method does not exist, a limit is reached, or the daemon is not available.
    pub fn call(&self, method: &str, params: Option<&str>, id: &dyn Display) -> Result<Call, Error> {
        self.admit(method, params, id).map_err(|error| self.refuse(error))
    }

    /// Counts and logs a call that is refused before it runs.
    #[must_use]
    pub fn refuse(&self, error: Error) -> Error {
        self.rpc.calls().refused(error.kind());
        error.log();
        error
    }

    /// Waits until no call holds its slot.
    pub async fn idle(&self) {
        // The semaphore is never closed.
        let _ = self.requests.acquire_many(REQUEST_LIMIT).await;
    }

    fn admit(&self, name: &str, params: Option<&str>, id: &dyn Display) -> Result<Call, Error> {
        let method = self.rpc.method(name)?;
        if self.rpc.life().is_lost() && !name.starts_with("server.") {
            return Err(Error::unavailable(
                "the data directory or its database was removed or replaced while the daemon ran: it cannot store anything and shuts down",
            )
            .hint("send the request again: the next daemon uses the data directory as it is then")
            .retry_after(NEXT_DAEMON_RETRY_MS));
        }
        let slot = take(&self.requests).ok_or_else(|| {
            Error::overloaded(format!("too many requests at once on this connection; the limit is {REQUEST_LIMIT}"), REQUEST_LIMIT.into())
        })?;
        let stream = method.is_subscription().then(|| self.stream()).transpose()?;
        let connection = Arc::clone(&self.connection);
        let meter = Meter::new(method.name(), id, &connection, self.rpc.calls());
        let request = Request { connection, params: params.map(str::to_owned), stream, tasks: self.rpc.tasks().clone(), meter };
        Ok(Call { reply: method.start(request), slot, in_order: method.is_in_order() })
    }

    fn stream(&self) -> Result<Stream, Error> {
        let notifier = self.connection.notifier().ok_or_else(|| {
            Error::invalid_state("an HTTP request cannot carry a subscription").hint("open a WebSocket at the same address")
        })?;
        let permit = take(&self.subscriptions).ok_or_else(|| {
            Error::overloaded(
                format!("too many subscriptions on this connection; the limit is {SUBSCRIPTION_LIMIT}"),
                SUBSCRIPTION_LIMIT.into(),
            )
        })?;
        let subscription = Subscription::new(self.rpc.next_subscription());
        let outlet = notifier.outlet(Arc::clone(&subscription));
        Ok(Stream { subscription, outlet, permit })
    }
}

fn take(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).try_acquire_owned().ok()
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
