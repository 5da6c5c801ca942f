//! The methods by name, bound to the application.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;
use polytree_protocol::errors::ErrorKind;

use super::{
    error::Error,
    handler::{Context, Handler, SubscriptionHandler},
    params,
    run::{Opened, Reply, Request, to_json},
};
use crate::{
    daemon::{calls::Calls, clients::Clients, life::Life},
    stdx::{nearest, tasks::Tasks, text},
};

/// All methods, and the state that connections share. Clones are cheap.
#[derive(Clone)]
pub struct Rpc(Arc<Shared>);

struct Shared {
    methods: HashMap<&'static str, Method>,
    tasks: Tasks,
    last_subscription: AtomicU64,
    calls: Arc<Calls>,
    clients: Arc<Clients>,
    life: Arc<Life>,
}

impl Rpc {
    /// The method with this name.
    ///
    /// # Errors
    /// `method_not_found`, with the nearest name.
    pub fn method(&self, name: &str) -> Result<&Method, Error> {
        let methods = &self.0.methods;
        methods.get(name).ok_or_else(|| {
            let error = Error::new(ErrorKind::MethodNotFound, format!("unknown method `{}`", text::ellipsis(name, 100)));
            match nearest::one(name, methods.keys().copied()) {
                Some(near) if !name.starts_with("$/") => error.hint(format!("the nearest method is `{near}`")),
                _ => error,
            }
        })
    }

    /// The connected clients; doors register theirs here.
    #[must_use]
    pub fn clients(&self) -> &Arc<Clients> {
        &self.0.clients
    }

    #[must_use]
    pub fn calls(&self) -> &Arc<Calls> {
        &self.0.calls
    }

    /// The daemon's lifetime.
    #[must_use]
    pub fn life(&self) -> &Arc<Life> {
        &self.0.life
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// The next id of a subscription, from 1, unique in the daemon.
    pub(super) fn next_subscription(&self) -> u64 {
        self.0.last_subscription.fetch_add(1, Ordering::Relaxed) + 1
    }
}

type Start = dyn Fn(Request) -> BoxFuture<'static, Result<Reply, Error>> + Send + Sync;

/// A method, bound to the application.
pub struct Method {
    name: &'static str,
    is_subscription: bool,
    is_in_order: bool,
    start: Box<Start>,
}

impl Method {
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its answer is the id of a subscription.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.is_subscription
    }

    /// Whether a call must end before the client's next message is processed.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.is_in_order
    }

    pub(super) fn start(&self, request: Request) -> BoxFuture<'static, Result<Reply, Error>> {
        (self.start)(request)
    }
}

/// Collects the methods of an application.
pub struct Registry<A> {
    application: Arc<A>,
    methods: HashMap<&'static str, Method>,
}

impl<A: Send + Sync + 'static> Registry<A> {
    /// A registry without methods.
    #[must_use]
    pub fn new(application: Arc<A>) -> Self {
        Self { application, methods: HashMap::new() }
    }

    /// Adds a method with one answer.
    pub fn method<M: Handler<A>>(&mut self) {
        let application = Arc::clone(&self.application);
        self.insert(Method {
            name: M::NAME,
            is_subscription: false,
            is_in_order: M::IN_ORDER,
            start: Box::new(move |Request { connection, params, meter, .. }| {
                let context = Context { daemon: Arc::clone(&application), connection };
                meter.run(async move {
                    let parsed = params::parse::<M::Params>(params.as_deref())?;
                    drop(params);
                    to_json(&M::handle(context, parsed).await?).map(Reply::Result)
                })
            }),
        });
    }

    /// Adds a method that opens a subscription.
    pub fn subscribe<M: SubscriptionHandler<A>>(&mut self) {
        let application = Arc::clone(&self.application);
        self.insert(Method {
            name: M::NAME,
            is_subscription: true,
            is_in_order: false,
            start: Box::new(move |Request { connection, params, stream, tasks, meter }| {
                let context = Context { daemon: Arc::clone(&application), connection: Arc::clone(&connection) };
                meter.run(async move {
                    let stream = stream.ok_or_else(|| Error::internal("a subscription was called without its stream"))?;
                    let feed = M::open(context, params::parse(params.as_deref())?).await?;
                    Ok(Reply::Subscription(Opened::new::<A, M>(feed, stream, connection, tasks)))
                })
            }),
        });
    }

    fn insert(&mut self, method: Method) {
        self.methods.insert(method.name, method);
    }

    /// The methods, for the clients of a daemon. Subscriptions run below `tasks`.
    #[must_use]
    pub fn finish(self, tasks: &Tasks, calls: Arc<Calls>, clients: Arc<Clients>, life: Arc<Life>) -> Rpc {
        let last_subscription = AtomicU64::new(0);
        Rpc(Arc::new(Shared { methods: self.methods, tasks: tasks.child(), last_subscription, calls, clients, life }))
    }
}
