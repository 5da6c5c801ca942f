//! What a handler is: a function from params to a result, given its context.

use std::{fmt, future::Future, sync::Arc};

use polytree_protocol::method::Method;

use super::{connection::Connection, error::Error, sink::Sink};
use crate::daemon::Daemon;

/// Who is asked, and by whom. It gives access to owners and holds no state of its own.
///
/// Generic so that the doors can be tested without a daemon.
pub struct Context<A = Daemon> {
    /// The daemon.
    pub daemon: Arc<A>,
    /// The connection that the request came by.
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
    /// Whether it has its effect before any request that the same client sends after it is looked at. Such a handler
    /// answers at once: it keeps its connection from being read.
    const IN_ORDER: bool = false;

    /// Answers one request. The future may be dropped at any await: by `$/cancelRequest`, or with the connection.
    fn handle(context: Context<A>, params: Self::Params) -> impl Future<Output = Result<Self::Result, Error>> + Send;
}

/// A method whose answer is a subscription's id, followed by notifications.
pub trait SubscriptionHandler<A = Daemon>: Method {
    /// The method of the notifications.
    const NOTIFICATION: &'static str;

    /// What was prepared when the subscription was opened.
    type Feed: Send + 'static;

    /// Checks the params and prepares; an error here is the answer to the request.
    fn open(context: Context<A>, params: Self::Params) -> impl Future<Output = Result<Self::Feed, Error>> + Send;

    /// Sends notifications, from after the answer until the subscription's end. The future is dropped when the
    /// client unsubscribes or goes; when it returns, the subscription is over.
    fn run(feed: Self::Feed, sink: Sink) -> impl Future<Output = ()> + Send;
}
