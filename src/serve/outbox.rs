//! The output queue of a connection: bounded, in order, written by one task. Messages that are queued after a subscription
//! was closed follow its last event. Back-pressure: senders wait for a client that reads slowly.

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
const QUEUE_CAPACITY: usize = 256;

/// The maximum of queued bytes of one subscription; a single event may be larger.
const MAX_SUBSCRIPTION_BYTES: usize = 1024 * 1024;

/// The size of one write, in bytes; a message may be larger.
const WRITE_BYTES: usize = 64 * 1024;

/// The capacity of the write buffer that an idle connection keeps.
const IDLE_BUFFER_BYTES: usize = 4 * 1024;

/// The capacity of the batch that an idle connection keeps.
const IDLE_BATCH_CAPACITY: usize = 16;

/// Something to write.
pub enum Outgoing {
    Answer {
        message: Box<RawValue>,
        waiting: Waiting,
    },
    /// A notification; not written if its subscription was closed meanwhile.
    Event {
        message: Box<RawValue>,
        subscription: Arc<Subscription>,
        bytes: OwnedSemaphorePermit,
        waiting: Waiting,
    },
    /// Bytes that are not a message, such as a ping.
    Control(Vec<u8>),
    /// The end.
    End,
}

/// The encoding of messages.
pub trait Encoder: Send + 'static {
    /// Appends a message, which is one JSON value.
    fn message(&mut self, message: &str, to: &mut Vec<u8>);

    /// Appends the end of the stream.
    fn end(&mut self, to: &mut Vec<u8>);
}

/// The framing of the client's messages; lines until the first one.
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
    /// A queue, which is counted as its connection's traffic.
    pub fn new(traffic: &Arc<Traffic>) -> (Self, mpsc::Receiver<Outgoing>) {
        let (queue, receiver) = mpsc::channel(QUEUE_CAPACITY);
        (Self { queue, traffic: Arc::clone(traffic) }, receiver)
    }

    /// An answer, with a reserved slot.
    pub fn outgoing(&self, message: Box<RawValue>) -> Outgoing {
        let waiting = self.traffic.message(message.get().len());
        Outgoing::Answer { message, waiting }
    }

    /// Waits for a slot.
    pub async fn reserve(&self) -> Result<Permit<'_, Outgoing>, Closed> {
        self.queue.reserve().await.map_err(|_| Closed)
    }

    /// Queues an answer.
    pub async fn answer(&self, message: Box<RawValue>) -> Result<(), Closed> {
        self.queue.send(self.outgoing(message)).await.map_err(|_| Closed)
    }

    /// Queues bytes that are not a message.
    pub async fn control(&self, bytes: Vec<u8>) -> Result<(), Closed> {
        self.queue.send(Outgoing::Control(bytes)).await.map_err(|_| Closed)
    }

    /// Queues bytes that are not a message, unless the queue is full.
    pub fn try_control(&self, bytes: Vec<u8>) {
        // A client that does not read would not see it either.
        let _ = self.queue.try_send(Outgoing::Control(bytes));
    }

    /// Queues the end.
    pub async fn end(&self) {
        // Without a writer, the stream has ended.
        let _ = self.queue.send(Outgoing::End).await;
    }

    /// Waits until the writer has ended.
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
        Arc::new(QueueOutlet { queue, bytes: Arc::new(Semaphore::new(MAX_SUBSCRIPTION_BYTES)), subscription, traffic })
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
            let bytes = u32::try_from(bytes.min(MAX_SUBSCRIPTION_BYTES)).unwrap_or(u32::MAX);
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

/// Writes the queue until its end or until the client has disconnected. Messages that are queued together are written
/// together.
///
/// # Errors
/// If the client has disconnected.
pub async fn write(mut queue: mpsc::Receiver<Outgoing>, mut output: impl AsyncWrite + Unpin, mut encoder: impl Encoder) -> io::Result<()> {
    let mut batch = Vec::new();
    let mut bytes = Vec::new();
    let mut held = Vec::new();
    let mut end = false;
    while !end && queue.recv_many(&mut batch, QUEUE_CAPACITY).await > 0 {
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
            if bytes.len() >= WRITE_BYTES {
                output.write_all(&bytes).await?;
                bytes.clear();
                bytes.shrink_to(2 * WRITE_BYTES);
                held.clear();
            }
        }
        output.write_all(&bytes).await?;
        output.flush().await?;
        bytes.clear();
        held.clear();
        if queue.is_empty() {
            // Idle connections keep small buffers.
            bytes.shrink_to(IDLE_BUFFER_BYTES);
            batch.shrink_to(IDLE_BATCH_CAPACITY);
        }
    }
    output.shutdown().await
}
