//! The handlers of `event.*`.

use std::{pin::pin, sync::Arc, time::Duration};

use polytree_protocol::{
    errors::ErrorKind,
    event::{Blobs, Event, EventListResult, EventSubscribeParams},
    events::EVENTS,
    methods::{EventList, EventSubscribe, EventUnsubscribe},
};
use serde_json::{json, value::to_raw_value};
use tokio::time::Instant;

use super::{inline::inline, select};
use crate::{
    daemon::{
        Daemon,
        follow::{Following, Topic},
    },
    event::{self, Filter, Subscription},
    find::Follower,
    project::Instance,
    rpc::{
        error::Error,
        handler::{Context, Handler, SubscriptionHandler},
        sink::Sink,
    },
    stdx::{nearest, time::now_ms},
};

/// A subscription on which nothing was sent for this long gets a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest list of events.
const MAX_EVENTS: u32 = 10_000;

impl<A: Send + Sync + 'static> Handler<A> for EventUnsubscribe {
    async fn handle(context: Context<A>, params: Self::Params) -> Result<bool, Error> {
        Ok(context.connection.unsubscribe(params.subscription))
    }
}

impl Handler for EventList {
    async fn handle(context: Context, params: Self::Params) -> Result<EventListResult, Error> {
        let limit = params.limit.unwrap_or(1000);
        if limit == 0 || limit > MAX_EVENTS {
            return Err(Error::invalid_params(format!("`limit` must be from 1 to {MAX_EVENTS}, not {limit}")));
        }
        let filter = Filter::new(select::narrowing(&params).await?, params.project_id, params.session_id, checked(params.types)?);
        let page = context.daemon.events.list(params.since, limit as usize, filter).await?;
        let events = page
            .records
            .iter()
            .map(|record| serde_json::from_str::<Event>(record.to_json().get()))
            .collect::<Result<_, _>>()
            .map_err(Error::internal)?;
        Ok(EventListResult { events, cursor: page.cursor, more: page.more })
    }
}

/// What a subscription sends from.
pub struct Feed {
    events: Subscription,
    /// Where long texts are read that are to come inline.
    store: Option<Arc<Daemon>>,
    _follower: Option<Follower>,
    _followings: Vec<Arc<Following>>,
}

impl SubscriptionHandler for EventSubscribe {
    const NOTIFICATION: &'static str = "event";
    type Feed = Feed;

    async fn open(context: Context, params: Self::Params) -> Result<Self::Feed, Error> {
        let follower = follow(&context, &params).await?;
        let followings = follow_topics(&context, &params).await?;
        let filter = Filter::new(select::narrowing(&params).await?, params.project_id, params.session_id, checked(params.types)?);
        let events = context.daemon.events.follow(params.since, filter).await?;
        let store = (params.blobs == Some(Blobs::Inline)).then(|| Arc::clone(&context.daemon));
        Ok(Feed { events, store, _follower: follower, _followings: followings })
    }

    async fn run(Feed { events: mut feed, store, _follower, _followings }: Self::Feed, sink: Sink) {
        if send_unlogged(&sink, "server.connected", feed.position()).await.is_err() {
            return;
        }
        let mut sent = Instant::now();
        // Set again only when it is over: it would be costly to do that with every event.
        let mut quiet = pin!(tokio::time::sleep(HEARTBEAT));
        loop {
            let next = tokio::select! {
                next = feed.next() => next,
                () = &mut quiet => {
                    if sent.elapsed() >= HEARTBEAT {
                        if send_unlogged(&sink, "server.heartbeat", feed.position()).await.is_err() {
                            return;
                        }
                        sent = Instant::now();
                    }
                    quiet.as_mut().reset(sent + HEARTBEAT);
                    continue;
                }
                () = sink.closed() => return,
            };
            match next {
                Ok(events) => {
                    sent = Instant::now();
                    for event in events {
                        let event = match &store {
                            Some(daemon) => inline(daemon, event).await,
                            None => event,
                        };
                        if sink.send(&event).await.is_err() {
                            return;
                        }
                    }
                }
                // Everything was sent, and the connection ends.
                Err(event::Error::Ended) => return,
                Err(error) => {
                    // A reader so slow that the log was trimmed past it: it must begin again.
                    return sink.break_down(&Error::from(error)).await;
                }
            }
        }
    }
}

/// Has the checkout watched for a client that names events of files: those of the `directory`, else of the connection's.
/// All others are told of changes too, where somebody else has them watched.
async fn follow(context: &Context, params: &EventSubscribeParams) -> Result<Option<Follower>, Error> {
    let is_wanted = |kind: &String| matches!(kind.as_str(), "file.changed" | "vcs.branch.updated");
    if !params.types.iter().flatten().any(is_wanted) {
        return Ok(None);
    }
    Ok(followed(context, params).await?.map(|instance| context.daemon.finder.follow(&instance.checkout)))
}

/// The same for settings, providers, agents and references.
async fn follow_topics(context: &Context, params: &EventSubscribeParams) -> Result<Vec<Arc<Following>>, Error> {
    let is_wanted = |names: &[&str]| params.types.iter().flatten().any(|kind| names.contains(&kind.as_str()));
    let topics = [(Topic::Settings, &["config.changed", "provider.changed", "agent.changed"][..]), (Topic::References, &["vcs.changed"])];
    let mut followings = Vec::new();
    for (topic, _) in topics.into_iter().filter(|(_, names)| is_wanted(names)) {
        if let Some(instance) = followed(context, params).await? {
            followings.push(context.daemon.followers.follow(&instance, &context.connection.environment(), topic).await);
        }
    }
    Ok(followings)
}

/// The directory of which changes are told.
async fn followed(context: &Context, params: &EventSubscribeParams) -> Result<Option<Arc<Instance>>, Error> {
    match select::instance(context, params).await {
        Ok(instance) => Ok(Some(instance)),
        // A directory that has gone has no changes, and none is needed to subscribe.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryRequired) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn send_unlogged(sink: &Sink, kind: &str, cursor: u64) -> Result<(), ()> {
    let event = to_raw_value(&json!({ "cursor": cursor, "time": now_ms(), "type": kind, "properties": {} })).map_err(drop)?;
    sink.send(&event).await.map_err(drop)
}

/// Refuses types that are no rows of the table: a filter that can never match is a mistake.
fn checked(types: Option<Vec<String>>) -> Result<Option<Vec<String>>, Error> {
    for kind in types.iter().flatten() {
        if !EVENTS.iter().any(|event| event.name == kind) {
            let near = nearest::one(kind, EVENTS.iter().map(|event| event.name)).map(|near| format!("; the nearest is {near:?}"));
            return Err(Error::invalid_params(format!("`types` holds {kind:?}, which is no event type{}", near.unwrap_or_default())));
        }
    }
    Ok(types)
}
