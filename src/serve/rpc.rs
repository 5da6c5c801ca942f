//! Every row of the table as a jsonrpsee callback, so that all doors share one behaviour: params rules, a span for
//! the log, a guard against panics, a limit for answers, and subscriptions that end exactly.

use std::{
    any::Any,
    collections::HashSet,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use jsonrpsee::{
    Extensions, MethodCallback, MethodResponse, MethodSink, Methods, ResponsePayload,
    core::traits::IdProvider,
    types::{Id, SubscriptionId},
};
use polytree_protocol::errors::ErrorKind;
use serde_json::value::{RawValue, to_raw_value};
use tracing::{Instrument as _, Span};

use super::{answer, outbox::Outbox, params};
use crate::{
    api::{
        Visitor,
        connection::Connection,
        error::Error,
        handler::{Context, Handler, SubscriptionHandler},
        sink::{Closed, Outlet, Room, Sink, Subscription},
        visit_all,
    },
    daemon::{Daemon, calls::Calls, clients::Clients, life::Life},
    jsonrpc::framing::MESSAGE_LIMIT,
    stdx::{nearest, tasks::Tasks},
};

/// The largest answer, in bytes.
pub const ANSWER_LIMIT: usize = MESSAGE_LIMIT;

/// How many subscriptions one connection may have open.
pub const SUBSCRIPTION_LIMIT: u32 = 64;

/// How long subscriptions may take to send their last when the daemon stops.
pub const LAST_NOTIFICATIONS: Duration = Duration::from_millis(200);

/// All methods, ready to be called. A callback finds its [`Connection`] as an `Arc` in the request's extensions.
#[derive(Clone)]
pub struct Rpc {
    methods: Methods,
    in_order: Arc<HashSet<&'static str>>,
    ids: SubscriptionIds,
    clients: Arc<Clients>,
    calls: Arc<Calls>,
    life: Arc<Life>,
}

impl Rpc {
    /// The methods of the contract, served by the daemon.
    #[must_use]
    pub fn new(daemon: Arc<Daemon>, tasks: &Tasks) -> Self {
        let (clients, calls, life) = (Arc::clone(&daemon.clients), Arc::clone(&daemon.calls), Arc::clone(&daemon.life));
        let mut registry = Registry::new(daemon, tasks);
        registry.calls = calls;
        visit_all(&mut registry);
        registry.finish(clients, life)
    }

    /// Where the doors enter their clients.
    #[must_use]
    pub fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// Where calls are counted; those that are refused before they reach their method are the doors' to count.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// What newcomers are told about, and asked of.
    #[must_use]
    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// The callbacks, for jsonrpsee's own servers.
    #[must_use]
    pub fn methods(&self) -> &Methods {
        &self.methods
    }

    /// Whether a call of the method is over before the connection is read any further.
    #[must_use]
    pub fn is_in_order(&self, method: &str) -> bool {
        self.in_order.contains(method)
    }

    /// Subscription ids, unique in the whole daemon.
    #[must_use]
    pub fn subscription_ids(&self) -> &SubscriptionIds {
        &self.ids
    }

    /// The refusal of a method that does not exist.
    #[must_use]
    pub fn unknown_method(&self, name: &str) -> Error {
        let error = Error::new(ErrorKind::MethodNotFound, format!("unknown method `{}`", crate::stdx::text::ellipsis(name, 100)));
        match nearest::one(name, self.methods.method_names()) {
            Some(near) if !name.starts_with("$/") => error.hint(format!("the nearest method is `{near}`")),
            _ => error,
        }
    }
}

/// Gives integers from 1 on.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionIds(Arc<AtomicU64>);

impl IdProvider for SubscriptionIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Num(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Collects methods.
pub struct Registry<A> {
    daemon: Arc<A>,
    tasks: Tasks,
    methods: Methods,
    in_order: HashSet<&'static str>,
    calls: Arc<Calls>,
}

impl<A: Send + Sync + 'static> Registry<A> {
    /// A registry without methods; subscriptions run below `tasks`.
    #[must_use]
    pub fn new(daemon: Arc<A>, tasks: &Tasks) -> Self {
        Self { daemon, tasks: tasks.child(), methods: Methods::new(), in_order: HashSet::new(), calls: Arc::default() }
    }

    /// Adds a method with one answer.
    ///
    /// # Panics
    /// When the name is taken: the table has no name twice.
    pub fn method<M: Handler<A>>(&mut self) {
        let (daemon, calls) = (self.daemon.clone(), self.calls.clone());
        let callback = MethodCallback::Async(Arc::new(move |id, params, _, limit, extensions| {
            let connection = extensions.get::<Arc<Connection>>().cloned();
            let span = span(M::NAME, &id, connection.as_deref());
            let (calls, number) = (calls.clone(), connection.as_ref().map_or(0, |connection| connection.id()));
            let under_way = connection.as_ref().map(|connection| connection.traffic().request());
            let (daemon, answer_id) = (daemon.clone(), id.clone());
            let call = async move {
                let context = context(daemon, connection)?;
                let parsed = params::parse::<M::Params>(params.as_str())?;
                drop(params);
                let result = M::handle(context, parsed).await?;
                Ok(answer::success(answer_id, result, limit))
            };
            async move {
                let _under_way = under_way;
                let counted = calls.begin(M::NAME, number);
                match guard(call).await {
                    Ok(response) => {
                        counted.end((!response.is_success()).then_some(ErrorKind::TooLarge));
                        response
                    }
                    Err(error) => {
                        counted.end(Some(error.kind()));
                        answer::failure(id, &error)
                    }
                }
            }
            .instrument(span)
            .boxed()
        }));
        self.methods.verify_and_insert(M::NAME, callback).expect("no name is twice in the table");
        if M::IN_ORDER {
            self.in_order.insert(M::NAME);
        }
    }

    /// Adds a method that opens a subscription.
    ///
    /// # Panics
    /// When the name is taken: the table has no name twice.
    pub fn subscribe<M: SubscriptionHandler<A>>(&mut self) {
        let (daemon, tasks, calls) = (self.daemon.clone(), self.tasks.clone(), self.calls.clone());
        let callback = MethodCallback::Subscription(Arc::new(move |id, params, sink, state, extensions| {
            let connection = extensions.get::<Arc<Connection>>().cloned();
            let span = span(M::NAME, &id, connection.as_deref());
            let (daemon, id, params) = (daemon.clone(), id.into_owned(), params.into_owned());
            let subscription = Subscription::new(match state.id_provider.next_id() {
                SubscriptionId::Num(number) => number,
                SubscriptionId::Str(text) => text.parse().unwrap_or_default(),
            });
            let way = Way::new(&extensions, sink);
            let (tasks, permit) = (tasks.clone(), state.subscription_permit);
            let open = {
                let connection = connection.clone();
                async move { M::open(context(daemon, connection)?, params::parse(params.as_str())?).await }
            };
            let calls = calls.clone();
            async move {
                let counted = calls.begin(M::NAME, connection.as_ref().map_or(0, |connection| connection.id()));
                let (feed, connection) = match (guard(open).await, connection) {
                    (Ok(feed), Some(connection)) => (feed, connection),
                    (Ok(_), None) => return way.refuse(id, &no_connection()).await,
                    (Err(error), _) => {
                        counted.end(Some(error.kind()));
                        return way.refuse(id, &error).await;
                    }
                };
                counted.end(None);
                let (payload, sent) = ResponsePayload::success(subscription.id()).notify_on_completion();
                let response = MethodResponse::subscription_response(id, payload, ANSWER_LIMIT);
                connection.add_subscription(subscription.clone());
                let sink = Sink::new(subscription.clone(), M::NOTIFICATION, way.outlet(&subscription));
                let by_us = way.answer(&response).await;
                let token = tasks.token().clone();
                let run = async move {
                    let _permit = permit;
                    // The first notification must come after the answer.
                    if by_us || sent.await.is_ok() {
                        let run = guard(M::run(feed, sink.clone()).map(Ok));
                        let stopped = async {
                            token.cancelled().await;
                            tokio::time::sleep(LAST_NOTIFICATIONS).await;
                        };
                        tokio::select! {
                            ended = run => if let Err(error) = ended { fail(&sink, &error).await },
                            () = sink.closed() => {}
                            () = stopped => {}
                        }
                    }
                    // Not closed: what it has queued is still to be written.
                    connection.forget_subscription(subscription.id());
                };
                drop(tasks.spawn("subscription", run.instrument(Span::current())));
                response
            }
            .instrument(span)
            .boxed()
        }));
        self.methods.verify_and_insert(M::NAME, callback).expect("no name is twice in the table");
    }

    /// The methods, for the clients that will be entered in the list of a daemon with this life.
    #[must_use]
    pub fn finish(self, clients: Arc<Clients>, life: Arc<Life>) -> Rpc {
        Rpc { methods: self.methods, in_order: Arc::new(self.in_order), ids: SubscriptionIds::default(), clients, life, calls: self.calls }
    }
}

impl Visitor for Registry<Daemon> {
    fn visit<M: Handler>(&mut self) {
        self.method::<M>();
    }

    fn subscription<M: SubscriptionHandler>(&mut self) {
        self.subscribe::<M>();
    }
}

fn span(method: &'static str, id: &Id<'_>, connection: Option<&Connection>) -> Span {
    tracing::info_span!("request", method, %id, connection = connection.map(Connection::id))
}

fn context<A>(daemon: Arc<A>, connection: Option<Arc<Connection>>) -> Result<Context<A>, Error> {
    Ok(Context { daemon, connection: connection.ok_or_else(no_connection)? })
}

fn no_connection() -> Error {
    Error::internal("the door gave no connection")
}

/// A panic is an internal error of this one call.
async fn guard<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| Err(Error::internal(format!("panic: {}", panic_text(&*panic)))))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

/// A subscription that breaks down says so; clients subscribe again from their cursor.
async fn fail(sink: &Sink, error: &Error) {
    answer::log(error);
    if let Ok(error) = to_raw_value(&answer::object(error)) {
        // When it is closed, nobody wants to know.
        let _ = sink.fail(&error).await;
    }
}

/// How answer and notifications of a subscription leave: through our own queue, whose door also sends the answer,
/// or through jsonrpsee's, where the callback must send it.
enum Way {
    Ours(Outbox),
    Jsonrpsee(MethodSink),
}

impl Way {
    fn new(extensions: &Extensions, sink: MethodSink) -> Self {
        extensions.get::<Outbox>().cloned().map_or(Self::Jsonrpsee(sink), Self::Ours)
    }

    fn outlet(&self, subscription: &Arc<Subscription>) -> Arc<dyn Outlet> {
        match self {
            Self::Ours(outbox) => outbox.outlet(subscription.clone()),
            Self::Jsonrpsee(sink) => Arc::new(SinkOutlet(sink.clone())),
        }
    }

    /// Tells whether the answer was sent here.
    async fn answer(&self, response: &MethodResponse) -> bool {
        match self {
            Self::Ours(_) => false,
            Self::Jsonrpsee(sink) => sink.send(response.to_json()).await.is_ok(),
        }
    }

    async fn refuse(&self, id: Id<'static>, error: &Error) -> MethodResponse {
        answer::log(error);
        let response = MethodResponse::subscription_error(id, answer::object(error));
        self.answer(&response).await;
        response
    }
}

struct SinkOutlet(MethodSink);

impl Outlet for SinkOutlet {
    fn room(&self, _: usize) -> BoxFuture<'_, Result<Box<dyn Room>, Closed>> {
        Box::pin(async move {
            self.0.has_capacity().await.map_err(|_| Closed)?;
            Ok(Box::new(SinkRoom(self.0.clone())) as Box<dyn Room>)
        })
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.closed())
    }
}

struct SinkRoom(MethodSink);

impl Room for SinkRoom {
    fn put(mut self: Box<Self>, message: Box<RawValue>) -> Result<(), Box<RawValue>> {
        if self.0.is_closed() {
            // Nobody will read it; whoever waits on the outlet learns that.
            return Ok(());
        }
        let copy = message.clone();
        self.0.try_send(message).map_err(|_| copy)
    }
}
