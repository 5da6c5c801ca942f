//! The output queue of a connection: bounded, in order, written by one task. What is queued after a subscription was closed
//! is written after its last event. Back-pressure: senders wait for a client that reads slowly.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use futures::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, OwnedPermit, Permit},
    },
};

use crate::{
    jsonrpc::framing::Framing,
    rpc::{
        sink::{self, Closed, Notifier, Outlet, Subscription},
        traffic::{Traffic, Waiting},
    },
};

/// The capacity of the queue, in messages.
const QUEUE: usize = 256;

/// The maximum of queued bytes of one subscription; a single event may be larger.
const SUBSCRIPTION_BYTES: usize = 1024 * 1024;

/// The size of one write, in bytes; a message may be larger.
const WRITE: usize = 64 * 1024;

/// The capacity of the write buffer that an idle connection keeps.
const QUIET: usize = 4 * 1024;

/// The capacity of the batch that an idle connection keeps.
const QUIET_BATCH: usize = 16;

/// Something to write.
pub enum Outgoing {
    /// An answer.
    Answer { message: Box<RawValue>, waiting: Waiting },
    /// A notification; not written when its subscription was closed meanwhile.
    Event { message: Box<RawValue>, subscription: Arc<Subscription>, bytes: OwnedSemaphorePermit, waiting: Waiting },
    /// Bytes that are not a message, such as a ping; written as they are.
    Control(Vec<u8>),
    /// Nothing follows.
    End,
}

/// How messages look on a wire.
pub trait Encoder: Send + 'static {
    /// Appends a message, which is one JSON value.
    fn message(&mut self, message: &str, to: &mut Vec<u8>);

    /// Appends what is said last.
    fn end(&mut self, to: &mut Vec<u8>);
}

/// A stream in the framing that its client has shown; lines until then.
impl Encoder for Arc<OnceLock<Framing>> {
    fn message(&mut self, message: &str, to: &mut Vec<u8>) {
        self.get().copied().unwrap_or(Framing::Lines).encode(message, to);
    }

    fn end(&mut self, _: &mut Vec<u8>) {}
}

/// The sending side of the queue.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    traffic: Arc<Traffic>,
}

impl Outbox {
    /// A queue; what is in it is counted as its connection's traffic.
    pub fn new(traffic: &Arc<Traffic>) -> (Self, mpsc::Receiver<Outgoing>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { queue, traffic: Arc::clone(traffic) }, receiver)
    }

    /// An answer, for a place that was waited for.
    pub fn outgoing(&self, message: Box<RawValue>) -> Outgoing {
        let waiting = self.traffic.message(message.get().len());
        Outgoing::Answer { message, waiting }
    }

    /// Waits for a place.
    pub async fn reserve(&self) -> Result<Permit<'_, Outgoing>, Closed> {
        self.queue.reserve().await.map_err(|_| Closed)
    }

    /// Queues an answer.
    pub async fn answer(&self, message: Box<RawValue>) -> Result<(), Closed> {
        self.queue.send(self.outgoing(message)).await.map_err(|_| Closed)
    }

    /// Queues bytes that are no message.
    pub async fn control(&self, bytes: Vec<u8>) -> Result<(), Closed> {
        self.queue.send(Outgoing::Control(bytes)).await.map_err(|_| Closed)
    }

    /// Queues bytes that are no message, unless that would mean waiting.
    pub fn try_control(&self, bytes: Vec<u8>) {
        // Who does not read what is queued already would not see it either.
        let _ = self.queue.try_send(Outgoing::Control(bytes));
    }

    /// Says that nothing follows.
    pub async fn end(&self) {
        // When nobody writes any more, nothing follows either.
        let _ = self.queue.send(Outgoing::End).await;
    }

    /// Waits until nobody writes any more.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

impl Notifier for Outbox {
    fn send(&self, message: Box<RawValue>) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(self.answer(message))
    }

    fn outlet(&self, subscription: Arc<Subscription>) -> Arc<dyn Outlet> {
        let (queue, traffic) = (self.queue.clone(), Arc::clone(&self.traffic));
        Arc::new(QueueOutlet { queue, bytes: Arc::new(Semaphore::new(SUBSCRIPTION_BYTES)), subscription, traffic })
    }
}

struct QueueOutlet {
    queue: mpsc::Sender<Outgoing>,
    bytes: Arc<Semaphore>,
    subscription: Arc<Subscription>,
    traffic: Arc<Traffic>,
}

impl Outlet for QueueOutlet {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Box<dyn sink::Permit>, Closed>> {
        Box::pin(async move {
            let bytes = u32::try_from(bytes.min(SUBSCRIPTION_BYTES)).unwrap_or(u32::MAX);
            let bytes = self.bytes.clone().acquire_many_owned(bytes).await.map_err(|_| Closed)?;
            let place = self.queue.clone().reserve_owned().await.map_err(|_| Closed)?;
            Ok(Box::new(QueuePermit { place, bytes, subscription: self.subscription.clone(), traffic: self.traffic.clone() })
                as Box<dyn sink::Permit>)
        })
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.queue.closed())
    }
}

struct QueuePermit {
    place: OwnedPermit<Outgoing>,
    bytes: OwnedSemaphorePermit,
    subscription: Arc<Subscription>,
    traffic: Arc<Traffic>,
}

impl sink::Permit for QueuePermit {
    fn send(self: Box<Self>, message: Box<RawValue>) {
        let waiting = self.traffic.message(message.get().len());
        self.place.send(Outgoing::Event { message, subscription: self.subscription, bytes: self.bytes, waiting });
    }
}

/// Writes what is queued, until the end or until the client has gone. What is there at once is written at once.
///
/// # Errors
/// When the client has gone.
pub async fn write(mut queue: mpsc::Receiver<Outgoing>, mut output: impl AsyncWrite + Unpin, mut encoder: impl Encoder) -> io::Result<()> {
    let mut batch = Vec::new();
    let mut bytes = Vec::new();
    let mut held = Vec::new();
    let mut end = false;
    while !end && queue.recv_many(&mut batch, QUEUE).await > 0 {
        for outgoing in batch.drain(..) {
            let message = match outgoing {
                Outgoing::End => {
                    encoder.end(&mut bytes);
                    end = true;
                    break;
                }
                Outgoing::Control(control) => {
                    bytes.extend_from_slice(&control);
                    continue;
                }
                Outgoing::Event { subscription, .. } if subscription.is_closed() => continue,
                Outgoing::Event { message, bytes, waiting, .. } => {
                    held.push((Some(bytes), waiting));
                    message
                }
                Outgoing::Answer { message, waiting } => {
                    held.push((None, waiting));
                    message
                }
            };
            encoder.message(message.get(), &mut bytes);
            if bytes.len() >= WRITE {
                output.write_all(&bytes).await?;
                bytes.clear();
                bytes.shrink_to(2 * WRITE);
                held.clear();
            }
        }
        output.write_all(&bytes).await?;
        output.flush().await?;
        bytes.clear();
        held.clear();
        if queue.is_empty() {
            // A quiet connection costs little.
            bytes.shrink_to(QUIET);
            batch.shrink_to(QUIET_BATCH);
        }
    }
    output.shutdown().await
}
