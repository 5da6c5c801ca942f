//! Handlers: functions from params to a result, with a context.

use std::{fmt, future::Future, sync::Arc};

use polytree_protocol::method::Method;

use super::{connection::Connection, error::Error, sink::Sink};
use crate::daemon::Daemon;

/// The daemon and the connection of a request. Has no state of its own.
///
/// Generic so that the doors can be tested without a daemon.
pub struct Context<A = Daemon> {
    pub daemon: Arc<A>,
    /// The connection of the request.
    pub connection: Arc<Connection>,
}

impl<A> Clone for Context<A> {
    fn clone(&self) -> Self {
        Self { daemon: self.daemon.clone(), connection: self.connection.clone() }
    }
}

impl<A> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// A method with one answer.
pub trait Handler<A = Daemon>: Method {
    /// Whether it takes effect before the client's next message is processed. Such a handler must answer quickly: its
    /// connection is not read meanwhile.
    const IN_ORDER: bool = false;

    /// Answers one request. The future may be dropped at any await: by `$/cancelRequest`, or with the connection.
    fn handle(context: Context<A>, params: Self::Params) -> impl Future<Output = Result<Self::Result, Error>> + Send;
}

/// A method whose answer is a subscription's id, followed by notifications.
pub trait SubscriptionHandler<A = Daemon>: Method {
    /// The method of the notifications.
    const NOTIFICATION: &'static str;

    /// The state that was prepared when the subscription was opened.
    type Feed: Send + 'static;

    /// Checks the params and prepares; an error is the answer to the request.
    fn open(context: Context<A>, params: Self::Params) -> impl Future<Output = Result<Self::Feed, Error>> + Send;

    /// Sends notifications after the answer. The future is dropped when the client unsubscribes or disconnects; when it
    /// returns, the subscription ends.
    fn run(feed: Self::Feed, sink: Sink) -> impl Future<Output = ()> + Send;
}
