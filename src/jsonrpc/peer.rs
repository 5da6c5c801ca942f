//! A JSON-RPC client over a stream of lines: calls with responses, and notifications in both directions. Dropping a
//! call cancels it on the other side.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use polytree_protocol::method::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot, watch},
};

use super::framing::{Decoder, Frame, Framing};
use crate::stdx::tasks::Tasks;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side responded with an error.
    #[error(transparent)]
    Refused(#[from] ErrorObject),
    /// The connection ended before the response arrived.
    #[error("the connection is closed")]
    Closed,
    /// Params or result do not match the contract.
    #[error("the params or the result do not match the contract")]
    Shape(#[from] serde_json::Error),
}

/// The error object of a response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ErrorObject {
    pub code: i32,
    pub message: String,
    /// Structured details.
    #[serde(default)]
    pub data: Option<Value>,
}

impl ErrorObject {
    /// The stable error kind, if there is one.
    pub fn kind(&self) -> Option<&str> {
        self.data.as_ref()?.get("kind")?.as_str()
    }

    /// After how many milliseconds to retry, if the other side says so.
    pub fn retry_after(&self) -> Option<u64> {
        self.data.as_ref()?.get("retryAfter")?.as_u64()
    }

    /// What to do next, if the other side says so.
    pub fn hint(&self) -> Option<&str> {
        self.data.as_ref()?.get("hint")?.as_str()
    }
}

/// A notification from the other side.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    pub method: String,
    /// `Null` without params.
    pub params: Value,
}

type Answer = Result<Value, ErrorObject>;

/// Pending calls by id.
type PendingCalls = HashMap<u64, oneshot::Sender<Answer>>;

/// The last id and the pending calls; `None` once the connection has ended. Never locked across an await.
struct Pending(Mutex<(u64, Option<PendingCalls>)>);

impl Pending {
    fn open() -> Self {
        Self(Mutex::new((0, Some(HashMap::new()))))
    }

    fn add(&self) -> Result<(u64, oneshot::Receiver<Answer>), Error> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, pending) = &mut *guard;
        let pending = pending.as_mut().ok_or(Error::Closed)?;
        *last += 1;
        let (sender, receiver) = oneshot::channel();
        pending.insert(*last, sender);
        Ok((*last, receiver))
    }

    fn take(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.as_mut()?.remove(&id)
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = None;
    }
}

/// Our end of the connection. Clones share it; dropping the last one closes the output.
#[derive(Clone)]
pub struct Peer {
    pending: Arc<Pending>,
    output: mpsc::UnboundedSender<String>,
    /// Becomes true when the connection ends; with the last error that came without an id, such as a refused hello.
    ended: watch::Receiver<(bool, Option<ErrorObject>)>,
}

#[derive(Serialize)]
struct Outgoing<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: P,
}

#[derive(Deserialize)]
struct Incoming {
    id: Option<u64>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<ErrorObject>,
}

/// Cancels the call on the other side when dropped before the response.
struct Cancel<'a> {
    peer: &'a Peer,
    id: u64,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if self.peer.pending.take(self.id).is_some() {
            // On a closed connection there is nothing to cancel.
            let _ = self.peer.send(None, "$/cancelRequest", serde_json::json!({"id": self.id}));
        }
    }
}

impl Peer {
    /// Starts reading and writing as tasks below `tasks`. The receiver must be read, or dropped: its channel is
    /// unbounded.
    pub fn start(
        input: impl AsyncRead + Unpin + Send + 'static,
        output: impl AsyncWrite + Unpin + Send + 'static,
        tasks: &Tasks,
    ) -> (Self, mpsc::UnboundedReceiver<Notification>) {
        let pending = Arc::new(Pending::open());
        let (sender, lines) = mpsc::unbounded_channel();
        let (notify, notifications) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel((false, None));
        let token = tasks.token().clone();
        let stop = token.clone();
        drop(tasks.spawn("peer writer", async move {
            tokio::select! {
                // When writing fails, reading fails too.
                written = write(lines, output) => drop(written),
                () = stop.cancelled() => {}
            }
        }));
        let reading = pending.clone();
        drop(tasks.spawn("peer reader", async move {
            let refusal = tokio::select! {
                refusal = read(input, &reading, &notify) => refusal,
                () = token.cancelled() => None,
            };
            reading.close();
            // Nobody may be waiting.
            let _ = end.send((true, refusal));
        }));
        (Self { pending, output: sender, ended }, notifications)
    }

    /// PendingCalls a method and waits for its result.
    pub async fn call(&self, method: &str, params: impl Serialize) -> Result<Value, Error> {
        let (id, answer) = self.pending.add()?;
        let _cancel = Cancel { peer: self, id };
        self.send(Some(id), method, params)?;
        Ok(answer.await.map_err(|_| Error::Closed)??)
    }

    /// PendingCalls a method of the contract.
    ///
    /// # Errors
    /// Those of [`Peer::call`], or a result that does not match the contract.
    pub async fn request<M: Method>(&self, params: &M::Params) -> Result<M::Result, Error> {
        Ok(serde_json::from_value(self.call(M::NAME, params).await?)?)
    }

    /// Sends a notification.
    pub fn notify(&self, method: &str, params: impl Serialize) -> Result<(), Error> {
        self.send(None, method, params)
    }

    /// Waits for the end of the connection; returns the last error that came without an id, such as a refused hello.
    pub async fn closed(&self) -> Option<ErrorObject> {
        let mut ended = self.ended.clone();
        // An error means that the reader has ended, and with it the connection.
        ended.wait_for(|(ended, _)| *ended).await.ok().and_then(|state| state.1.clone())
    }

    fn send(&self, id: Option<u64>, method: &str, params: impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(&Outgoing { jsonrpc: "2.0", id, method, params })?;
        self.output.send(line).map_err(|_| Error::Closed)
    }
}

async fn write(mut lines: mpsc::UnboundedReceiver<String>, mut output: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while let Some(line) = lines.recv().await {
        Framing::Lines.encode(&line, &mut bytes);
        output.write_all(&bytes).await?;
        output.flush().await?;
        bytes.clear();
    }
    output.shutdown().await
}

async fn read(
    mut input: impl AsyncRead + Unpin,
    pending: &Pending,
    notifications: &mpsc::UnboundedSender<Notification>,
) -> Option<ErrorObject> {
    let mut decoder = Decoder::default();
    let mut refusal = None;
    loop {
        while let Some(frame) = decoder.next_frame() {
            let Frame::Message(message) = frame else { continue };
            let Ok(incoming) = serde_json::from_slice::<Incoming>(message) else {
                tracing::debug!("skipped a message that is not JSON-RPC");
                continue;
            };
            match incoming {
                Incoming { id: Some(id), method: None, result, error, .. } => {
                    if let Some(answer) = pending.take(id) {
                        // The caller may have given up.
                        let _ = answer.send(error.map_or(Ok(result), Err));
                    }
                }
                Incoming { id: None, method: Some(method), params, .. } => {
                    // The receiver was dropped if notifications are not wanted.
                    let _ = notifications.send(Notification { method, params });
                }
                Incoming { error: Some(error), .. } => refusal = Some(error),
                Incoming { .. } => {}
            }
        }
        match input.read_buf(decoder.space()).await {
            Ok(0) | Err(_) => return refusal,
            Ok(_) => {}
        }
    }
}
