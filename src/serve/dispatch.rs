//! The rules of JSON-RPC 2.0 for one connection: each valid request gets exactly one answer, invalid input does not end
//! the connection, and everything has a limit.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::{AbortHandle, Abortable, BoxFuture, join_all};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::OwnedSemaphorePermit;

use super::{answer, outbox::Outbox};
use crate::{
    jsonrpc::{
        envelope::{self, Id, Invalid, Message, Request},
        framing::Frame,
    },
    rpc::{
        Method, Rpc,
        call::{ANSWER_LIMIT, Call, Caller, Opened, Reply, too_large},
        connection::Connection,
        error::Error,
        sink::Closed,
    },
    stdx::tasks::Tasks,
};

/// The limit of entries in a batch.
pub const BATCH_LIMIT: usize = 100;

/// The calls of one connection.
pub struct Dispatcher {
    caller: Caller,
    outbox: Outbox,
    tasks: Tasks,
    in_flight: Arc<InFlight>,
    next_notification: AtomicU64,
}

/// A call in flight: a request by its id, a notification by a number.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Request(Id),
    Notification(u64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(id) => id.fmt(f),
            Self::Notification(_) => f.write_str("null"),
        }
    }
}

impl Key {
    fn id(&self) -> Option<&Id> {
        match self {
            Self::Request(id) => Some(id),
            Self::Notification(_) => None,
        }
    }
}

/// Locked for single operations of the map.
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
    reply: Abortable<BoxFuture<'static, Result<Reply, Error>>>,
    slot: OwnedSemaphorePermit,
    in_order: bool,
}

/// A finished request whose answer waits for space in the outbox.
struct Finished {
    /// Removed from the requests in flight before the answer is written: the client may then use the id again.
    key: Option<Key>,
    id: Option<Id>,
    /// None for a notification.
    answer: Option<Box<RawValue>>,
    /// Sends notifications once the answer is queued.
    opened: Option<Opened>,
    /// Held until the answer is queued, so that waiting answers count as requests in flight.
    _slot: Option<OwnedSemaphorePermit>,
}

enum Step {
    Nothing,
    Answer(Finished),
    Run(Running),
}

impl Step {
    fn refusal(id: Option<Id>, error: &Error) -> Self {
        let answer = Some(answer::failure(id.as_ref(), error));
        Self::Answer(Finished { key: None, id, answer, opened: None, _slot: None })
    }

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
        let Self { key, reply, slot, .. } = self;
        // Awaited by value, so that the handler's future is dropped as soon as it is cancelled.
        let reply = reply.await.unwrap_or_else(|_| Err(Error::cancelled("the request was cancelled")));
        let id = key.id().cloned();
        let (answer, opened) = match reply {
            // A notification, which has no answer.
            _ if id.is_none() => (None, None),
            Ok(Reply::Result(result)) => (Some(answer::success(id.as_ref(), &result, ANSWER_LIMIT)), None),
            Ok(Reply::Subscription(opened)) => (Some(answer::success(id.as_ref(), &opened.id(), ANSWER_LIMIT)), Some(opened)),
            Err(error) => (Some(answer::failure(id.as_ref(), &error)), None),
        };
        Finished { key: Some(key), id, answer, opened, _slot: Some(slot) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    InBatch,
}

impl Dispatcher {
    /// A connection without calls. Its requests run below `tasks`.
    pub fn new(rpc: Rpc, connection: Arc<Connection>, outbox: Outbox, tasks: Tasks) -> Self {
        let caller = Caller::new(rpc, connection);
        Self { caller, outbox, tasks, in_flight: Arc::default(), next_notification: AtomicU64::new(0) }
    }

    /// Processes a frame. Waits only if the answer to an invalid one finds the outbox full.
    ///
    /// # Errors
    /// If the client has disconnected.
    pub async fn receive(&self, frame: Frame<'_>) -> Result<(), Closed> {
        let text = match answer::text(frame) {
            Ok(text) => text,
            Err(refusal) => return self.outbox.answer(refusal).await,
        };
        let refusal = match envelope::parse(text) {
            Message::Single(request) => return self.single(request).await,
            Message::Batch(entries) if entries.is_empty() => Error::invalid_request("an empty batch"),
            Message::Batch(entries) if entries.len() > BATCH_LIMIT => Error::too_large("too many entries in one batch", BATCH_LIMIT as u64),
            Message::Batch(entries) => return self.batch(entries).await,
            Message::NotJson(why) => Error::parse(format!("the message is not JSON: {why}")),
        };
        self.outbox.answer(answer::failure(None, &self.caller.refuse(refusal))).await
    }

    /// Waits until all calls have ended and their answers are queued.
    pub async fn idle(&self) {
        self.caller.idle().await;
    }

    /// Cancels all calls in flight.
    pub fn cancel_all(&self) {
        self.in_flight.with(|in_flight| in_flight.values().for_each(AbortHandle::abort));
    }

    async fn single(&self, request: Result<Request<'_>, Invalid>) -> Result<(), Closed> {
        match self.step(request, Place::Alone) {
            Step::Nothing | Step::Answer(Finished { answer: None, .. }) => Ok(()),
            Step::Answer(Finished { answer: Some(answer), .. }) => self.outbox.answer(answer).await,
            Step::Run(running) => {
                let (outbox, in_flight, in_order) = (self.outbox.clone(), self.in_flight.clone(), running.in_order);
                let work = async move {
                    let finished = running.finish().await;
                    let place = if finished.answer.is_some() { outbox.reserve().await.ok() } else { None };
                    if let Some(key) = &finished.key {
                        in_flight.with(|in_flight| in_flight.remove(key));
                    }
                    if let Some((place, answer)) = place.zip(finished.answer) {
                        place.send(outbox.outgoing(answer));
                        if let Some(opened) = finished.opened {
                            opened.start();
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
            let answers: Vec<_> =
                finished.iter().filter_map(|finished| Some((finished.id.as_ref(), finished.answer.as_deref()?))).collect();
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
        // Its entries do not count as in flight, so the outbox limits it.
        work.await
    }

    fn step(&self, request: Result<Request<'_>, Invalid>, place: Place) -> Step {
        match request {
            Err(invalid) => {
                let refusal = self.caller.refuse(Error::invalid_request(invalid.reason));
                Step::refusal(invalid.id, &refusal)
            }
            Ok(request) if request.id.is_none() && request.method.starts_with("$/") => {
                if request.method == "$/cancelRequest" {
                    self.cancel(request.params);
                }
                Step::Nothing
            }
            Ok(request) => match self.admit(&request, place) {
                Ok(running) => Step::Run(running),
                Err(error) if request.id.is_some() => Step::refusal(request.id, &error),
                Err(_) => Step::Nothing,
            },
        }
    }

    fn admit(&self, request: &Request<'_>, place: Place) -> Result<Running, Error> {
        if self.caller.rpc().method(&request.method).is_ok_and(Method::is_subscription) {
            if place == Place::InBatch {
                let error = Error::invalid_state("subscriptions cannot be opened in a batch").hint("send the request by itself");
                return Err(self.caller.refuse(error));
            }
            if request.id.is_none() {
                return Err(self.caller.refuse(Error::invalid_request("a subscription without a request id could never be ended")));
            }
        }
        let key = match &request.id {
            Some(id) => Key::Request(id.clone()),
            None => Key::Notification(self.next_notification.fetch_add(1, Ordering::Relaxed)),
        };
        let Call { reply, slot, in_order } = self.caller.call(&request.method, request.params, &key)?;
        let (handle, registration) = AbortHandle::new_pair();
        self.in_flight.with(|in_flight| match in_flight.entry(key.clone()) {
            Entry::Occupied(_) => Err(self.caller.refuse(Error::invalid_request("a request with this id is still in flight"))),
            Entry::Vacant(vacant) => {
                vacant.insert(handle);
                Ok(())
            }
        })?;
        Ok(Running { key, reply: Abortable::new(reply, registration), slot, in_order })
    }

    fn cancel(&self, params: Option<&str>) {
        #[derive(Deserialize)]
        struct CancelParams<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
        }
        let params = params.and_then(|params| serde_json::from_str::<CancelParams<'_>>(params).ok());
        if let Some(id) = params.and_then(|params| Id::parse(params.id.get())) {
            // An unknown id is ignored: the request may have ended already.
            self.in_flight.with(|in_flight| in_flight.get(&Key::Request(id)).inspect(|handle| handle.abort()).is_some());
        }
    }
}

/// The answers of a batch as one array within the limit; the largest are replaced by `too_large`.
fn join(answers: &[(Option<&Id>, &RawValue)], limit: usize) -> Box<RawValue> {
    let mut replaced: Vec<Option<Box<RawValue>>> = answers.iter().map(|_| None).collect();
    let mut by_size: Vec<_> = (0..answers.len()).collect();
    by_size.sort_unstable_by_key(|&index| Reverse(answers[index].1.get().len()));
    let mut total = 1 + answers.iter().map(|(_, answer)| answer.get().len() + 1).sum::<usize>();
    for index in by_size {
        if total <= limit {
            break;
        }
        let (id, answer) = answers[index];
        let refusal = answer::failure(id, &too_large(limit));
        total = total - answer.get().len() + refusal.get().len();
        replaced[index] = Some(refusal);
    }
    let all: Vec<&RawValue> = replaced.iter().zip(answers).map(|(refusal, (_, answer))| refusal.as_deref().unwrap_or(answer)).collect();
    to_raw_value(&all).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_answers_of_a_batch_give_way() {
        let answers = [10, 5000, 400, 600].map(|length| {
            let id = Id::Number(length);
            let answer = answer::success(Some(&id), &"x".repeat(usize::try_from(length).unwrap()), usize::MAX);
            (id, answer)
        });
        let text = |limit| join(&answers.iter().map(|(id, answer)| (Some(id), &**answer)).collect::<Vec<_>>(), limit).get().to_owned();
        assert!(!text(10_000).contains("too_large"));
        let cut = text(1500);
        assert!(cut.len() <= 1500);
        let cut: Vec<serde_json::Value> = serde_json::from_str(&cut).unwrap();
        let kinds: Vec<_> = cut.iter().map(|answer| answer["error"]["data"]["kind"].as_str()).collect();
        assert_eq!(kinds, [None, Some("too_large"), None, None]);
        assert_eq!(cut[1]["id"], 5000);
        assert_eq!(cut[1]["error"]["data"]["limit"], 1500);
    }
}
