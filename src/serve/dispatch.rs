//! The rules of JSON-RPC 2.0 for one connection: every well-formed request gets exactly one answer, whatever
//! arrives the connection goes on, and nothing grows beyond its limit.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::{AbortHandle, Abortable, BoxFuture, join_all};
use jsonrpsee::{
    BoundedSubscriptions, ConnectionId, Extensions, MethodCallback, MethodResponse, MethodSink, SubscriptionState,
    types::{Id as WireId, Params},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    answer,
    outbox::Outbox,
    rpc::{ANSWER_LIMIT, Rpc, SUBSCRIPTION_LIMIT},
};
use crate::{
    api::{
        connection::{Connection, Door},
        error::Error,
        sink::Closed,
    },
    jsonrpc::{
        envelope::{self, Id, Invalid, Message, Request},
        framing::Frame,
    },
    stdx::tasks::Tasks,
};

/// How many requests of one connection may be in flight.
pub const REQUEST_LIMIT: u32 = 1024;

/// When the next daemon can be there, in milliseconds.
const NEXT_DAEMON: u64 = 500;

/// How many entries a batch may have.
pub const BATCH_LIMIT: usize = 100;

/// What one connection has under way.
pub struct Dispatcher {
    rpc: Rpc,
    connection: Arc<Connection>,
    extensions: Extensions,
    outbox: Outbox,
    tasks: Tasks,
    in_flight: Arc<InFlight>,
    slots: Arc<Semaphore>,
    subscriptions: BoundedSubscriptions,
    next_notification: AtomicU64,
}

/// A request under way, by its id; a notification, which has none, by its number.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Request(Id),
    Notification(u64),
}

/// Plain mutex: held for single operations of the map.
#[derive(Default)]
struct InFlight(Mutex<HashMap<Key, AbortHandle>>);

impl InFlight {
    fn with<T>(&self, use_map: impl FnOnce(&mut HashMap<Key, AbortHandle>) -> T) -> T {
        use_map(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that was admitted.
struct Running {
    key: Key,
    id: WireId<'static>,
    call: Abortable<BoxFuture<'static, MethodResponse>>,
    slot: OwnedSemaphorePermit,
    /// It is over before the next message is looked at.
    in_order: bool,
}

/// A request that is over and waits for its place on the way out.
struct Finished {
    /// What is to be forgotten before the client sees the answer: then it may use the id again.
    key: Option<Key>,
    id: WireId<'static>,
    response: MethodResponse,
    /// Held until the answer is queued, so that waiting answers count as requests in flight.
    _slot: Option<OwnedSemaphorePermit>,
}

enum Step {
    Nothing,
    Answer(Finished),
    Run(Running),
}

impl Step {
    async fn finish(self) -> Option<Finished> {
        match self {
            Step::Nothing => None,
            Step::Answer(finished) => Some(finished),
            Step::Run(running) => Some(running.finish().await),
        }
    }
}

impl Running {
    async fn finish(self) -> Finished {
        let Self { key, id, call, slot, .. } = self;
        // Awaiting by value also drops the handler's future as soon as it is cancelled.
        let response = match call.await {
            Ok(response) => response,
            Err(_) => answer::failure(id.clone(), &Error::cancelled("the request was cancelled")),
        };
        Finished { key: Some(key), id, response, _slot: Some(slot) }
    }
}

impl Finished {
    /// The answer that a message deserves by itself.
    fn refusal(id: Option<&Id>, error: &Error) -> Self {
        let id = answer::id(id);
        let response = answer::failure(id.clone(), error);
        Self { key: None, id, response, _slot: None }
    }

    fn is_notification(&self) -> bool {
        matches!(self.key, Some(Key::Notification(_)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    InBatch,
}

impl Dispatcher {
    /// A connection with nothing under way. Its requests run below `tasks`.
    pub fn new(rpc: Rpc, connection: Arc<Connection>, outbox: Outbox, tasks: Tasks) -> Self {
        let mut extensions = Extensions::new();
        extensions.insert(connection.clone());
        extensions.insert(outbox.clone());
        Self {
            rpc,
            connection,
            extensions,
            outbox,
            tasks,
            in_flight: Arc::default(),
            slots: Arc::new(Semaphore::new(REQUEST_LIMIT as usize)),
            subscriptions: BoundedSubscriptions::new(SUBSCRIPTION_LIMIT),
            next_notification: AtomicU64::new(0),
        }
    }

    /// Takes what came in. Waits only when a refusal finds the way out full.
    ///
    /// # Errors
    /// When the client has gone.
    pub async fn receive(&self, frame: Frame<'_>) -> Result<(), Closed> {
        let text = match answer::text(frame) {
            Ok(text) => text,
            Err(response) => return self.outbox.answer(response.into_json()).await,
        };
        let refusal = match envelope::parse(text) {
            Message::Single(request) => return self.single(request).await,
            Message::Batch(entries) if entries.is_empty() => Error::invalid_request("an empty batch"),
            Message::Batch(entries) if entries.len() > BATCH_LIMIT => Error::too_large("too many entries in one batch", BATCH_LIMIT as u64),
            Message::Batch(entries) => return self.batch(entries).await,
            Message::NotJson(why) => Error::parse(format!("the message is not JSON: {why}")),
        };
        self.rpc.calls().refused(refusal.kind());
        self.outbox.answer(answer::failure(WireId::Null, &refusal).into_json()).await
    }

    /// Waits until everything that was admitted is over and its answers are queued.
    pub async fn idle(&self) {
        // The semaphore is never closed.
        let _ = self.slots.acquire_many(REQUEST_LIMIT).await;
    }

    /// Cancels everything under way.
    pub fn cancel_all(&self) {
        self.in_flight.with(|in_flight| in_flight.values().for_each(AbortHandle::abort));
    }

    async fn single(&self, request: Result<Request<'_>, Invalid>) -> Result<(), Closed> {
        match self.step(request, Place::Alone) {
            Step::Nothing => Ok(()),
            Step::Answer(finished) => self.outbox.answer(finished.response.into_json()).await,
            Step::Run(running) => {
                let (outbox, in_flight, in_order) = (self.outbox.clone(), self.in_flight.clone(), running.in_order);
                let work = async move {
                    let finished = running.finish().await;
                    let place = if finished.is_notification() { None } else { outbox.reserve().await.ok() };
                    if let Some(key) = &finished.key {
                        in_flight.with(|in_flight| in_flight.remove(key));
                    }
                    if let Some(place) = place {
                        let success = finished.response.is_success();
                        let (message, sent, _) = finished.response.into_parts();
                        place.send(outbox.outgoing(message));
                        if let Some(sent) = sent {
                            sent.notify(success);
                        }
                    }
                };
                if in_order {
                    work.await;
                } else {
                    drop(self.tasks.spawn("request", work));
                }
                Ok(())
            }
        }
    }

    async fn batch(&self, entries: Vec<Result<Request<'_>, Invalid>>) -> Result<(), Closed> {
        let mut steps: Vec<_> = entries.into_iter().map(|entry| self.step(entry, Place::InBatch)).collect();
        for step in &mut steps {
            *step = match std::mem::replace(step, Step::Nothing) {
                Step::Run(running) if running.in_order => Step::Answer(running.finish().await),
                other => other,
            };
        }
        let runs = steps.iter().any(|step| matches!(step, Step::Run(_)));
        let (outbox, in_flight) = (self.outbox.clone(), self.in_flight.clone());
        let work = async move {
            let finished = join_all(steps.into_iter().map(Step::finish));
            let finished: Vec<_> = finished.await.into_iter().flatten().collect();
            let answers: Vec<_> = finished.iter().filter(|finished| !finished.is_notification()).collect();
            let place = match answers.as_slice() {
                [] => None,
                answers => Some((outbox.reserve().await?, join(answers, ANSWER_LIMIT))),
            };
            in_flight
                .with(|in_flight| finished.iter().filter_map(|finished| finished.key.as_ref()).for_each(|key| drop(in_flight.remove(key))));
            if let Some((place, message)) = place {
                place.send(outbox.outgoing(message));
            }
            Ok(())
        };
        if runs {
            drop(self.tasks.spawn("batch", work));
            return Ok(());
        }
        // Nothing in it counts as in flight, so the way out is what bounds it.
        work.await
    }

    fn step(&self, request: Result<Request<'_>, Invalid>, place: Place) -> Step {
        let request = match request {
            Ok(request) => request,
            Err(invalid) => {
                let refusal = Error::invalid_request(invalid.reason);
                self.rpc.calls().refused(refusal.kind());
                return Step::Answer(Finished::refusal(invalid.id.as_ref(), &refusal));
            }
        };
        match self.admit(&request, place).inspect_err(|refusal| self.rpc.calls().refused(refusal.kind())) {
            Ok(step) => step,
            Err(error) if request.id.is_some() => Step::Answer(Finished::refusal(request.id.as_ref(), &error)),
            Err(error) => {
                tracing::debug!(method = %request.method, connection = self.connection.id(), "notification refused: {error}");
                Step::Nothing
            }
        }
    }

    fn admit(&self, request: &Request<'_>, place: Place) -> Result<Step, Error> {
        if request.id.is_none() && request.method.starts_with("$/") {
            if request.method == "$/cancelRequest" {
                self.cancel(request.params);
            }
            return Ok(Step::Nothing);
        }
        let callback = self.rpc.methods().method(&request.method).ok_or_else(|| self.rpc.unknown_method(&request.method))?;
        if self.rpc.life().is_lost() && !request.method.starts_with("server.") {
            return Err(Error::unavailable(
                "the data directory or its database was removed or replaced while the daemon ran: it cannot store anything and leaves",
            )
            .hint("send it again: the next daemon starts with the data directory as it is then")
            .retry_after(NEXT_DAEMON));
        }
        let overloaded = |what: &str, limit: u32| {
            Error::overloaded(format!("too many {what} at once on this connection; the limit is {limit}"), limit.into())
        };
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| overloaded("requests", REQUEST_LIMIT))?;
        let key = match &request.id {
            Some(id) => Key::Request(id.clone()),
            None => Key::Notification(self.next_notification.fetch_add(1, Ordering::Relaxed)),
        };
        let (handle, registration) = AbortHandle::new_pair();
        self.in_flight.with(|in_flight| match in_flight.entry(key.clone()) {
            Entry::Occupied(_) => Err(Error::invalid_request("a request with this id is still in flight")),
            Entry::Vacant(vacant) => {
                vacant.insert(handle);
                Ok(())
            }
        })?;
        let id = answer::id(request.id.as_ref());
        let call = self.call(callback, id.clone(), request, place).inspect_err(|_| {
            self.in_flight.with(|in_flight| in_flight.remove(&key));
        })?;
        let in_order = self.rpc.is_in_order(&request.method);
        Ok(Step::Run(Running { key, id, call: Abortable::new(call, registration), slot, in_order }))
    }

    fn call(
        &self,
        callback: &MethodCallback,
        id: WireId<'static>,
        request: &Request<'_>,
        place: Place,
    ) -> Result<BoxFuture<'static, MethodResponse>, Error> {
        let number = ConnectionId(usize::try_from(self.connection.id()).unwrap_or(usize::MAX));
        let params = Params::new(request.params);
        let extensions = self.extensions.clone();
        Ok(match callback {
            MethodCallback::Async(callback) => callback(id, params.into_owned(), number, ANSWER_LIMIT, extensions),
            MethodCallback::Subscription(callback) => {
                if self.connection.door() == Door::Http {
                    return Err(
                        Error::invalid_state("an HTTP request cannot carry a subscription").hint("open a WebSocket at the same address")
                    );
                }
                if place == Place::InBatch {
                    return Err(Error::invalid_state("subscriptions cannot be opened in a batch").hint("send the request by itself"));
                }
                if request.id.is_none() {
                    return Err(Error::invalid_request("a subscription without a request id could never be ended"));
                }
                let subscription_permit = self.subscriptions.acquire().ok_or_else(|| {
                    Error::overloaded(
                        format!("too many subscriptions on this connection; the limit is {SUBSCRIPTION_LIMIT}"),
                        SUBSCRIPTION_LIMIT.into(),
                    )
                })?;
                // Our callbacks find the outbox in the extensions; this is only what the type asks for.
                let unused = MethodSink::new(mpsc::channel(1).0);
                let state = SubscriptionState { conn_id: number, id_provider: self.rpc.subscription_ids(), subscription_permit };
                callback(id, params, unused, state, extensions)
            }
            MethodCallback::Sync(callback) => ready(callback(id, params, ANSWER_LIMIT, extensions)),
            MethodCallback::Unsubscription(callback) => ready(callback(id, params, number, ANSWER_LIMIT, extensions)),
        })
    }

    fn cancel(&self, params: Option<&str>) {
        #[derive(Deserialize)]
        struct CancelParams<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
        }
        let params = params.and_then(|params| serde_json::from_str::<CancelParams<'_>>(params).ok());
        if let Some(id) = params.and_then(|params| Id::parse(params.id.get())) {
            // One that is over already, or never was, is nobody's concern.
            self.in_flight.with(|in_flight| in_flight.get(&Key::Request(id)).inspect(|handle| handle.abort()).is_some());
        }
    }
}

fn ready(response: MethodResponse) -> BoxFuture<'static, MethodResponse> {
    Box::pin(std::future::ready(response))
}

/// The answers of a batch as one array within the limit: the largest give way to `too_large`.
fn join(answers: &[&Finished], limit: usize) -> Box<RawValue> {
    let mut texts: Vec<Option<Box<RawValue>>> = answers.iter().map(|_| None).collect();
    let mut by_size: Vec<_> = (0..answers.len()).collect();
    by_size.sort_unstable_by_key(|&index| std::cmp::Reverse(answers[index].response.as_json().get().len()));
    let mut total = 1 + answers.iter().map(|answer| answer.response.as_json().get().len() + 1).sum::<usize>();
    for index in by_size {
        if total <= limit {
            break;
        }
        let replacement = answer::failure(answers[index].id.clone(), &answer::too_large(limit)).into_json();
        total = total - answers[index].response.as_json().get().len() + replacement.get().len();
        texts[index] = Some(replacement);
    }
    let all: Vec<&RawValue> =
        texts.iter().zip(answers).map(|(text, answer)| text.as_deref().unwrap_or_else(|| answer.response.as_json())).collect();
    serde_json::value::to_raw_value(&all).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_answers_of_a_batch_give_way() {
        let answer = |number: u64, length: usize| Finished {
            key: None,
            id: WireId::Number(number),
            response: answer::success(WireId::Number(number), "x".repeat(length), usize::MAX),
            _slot: None,
        };
        let answers = [answer(1, 10), answer(2, 5000), answer(3, 400), answer(4, 600)];
        let text = |limit| join(&answers.iter().collect::<Vec<_>>(), limit).get().to_owned();
        assert!(!text(10_000).contains("too_large"));
        let cut = text(1500);
        assert!(cut.len() <= 1500);
        let cut: Vec<serde_json::Value> = serde_json::from_str(&cut).unwrap();
        let kinds: Vec<_> = cut.iter().map(|answer| answer["error"]["data"]["kind"].as_str()).collect();
        assert_eq!(kinds, [None, Some("too_large"), None, None]);
        assert_eq!(cut[1]["id"], 2);
        assert_eq!(cut[1]["error"]["data"]["limit"], 1500);
    }
}
