//! A client: calls with answers, notifications both ways, over any stream of lines. A call that is given up is
//! cancelled on the other side.

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

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side answered with an error.
    #[error(transparent)]
    Refused(#[from] ErrorObject),
    /// The connection ended before the answer came.
    #[error("the connection is closed")]
    Closed,
    /// Params or result do not have the shape of the contract.
    #[error("not of the shape that the contract says")]
    Shape(#[from] serde_json::Error),
}

/// The error object of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ErrorObject {
    /// The number.
    pub code: i32,
    /// The text for people.
    pub message: String,
    /// More, for programs.
    #[serde(default)]
    pub data: Option<Value>,
}

impl ErrorObject {
    /// The stable word, where the other side gave one.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.data.as_ref()?.get("kind")?.as_str()
    }

    /// When it is worth to try again, in milliseconds, where the other side knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.data.as_ref()?.get("retryAfter")?.as_u64()
    }

    /// What to do next, where the other side knows.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.data.as_ref()?.get("hint")?.as_str()
    }
}

/// What the other side says by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The method.
    pub method: String,
    /// The params; null without any.
    pub params: Value,
}

type Answer = Result<Value, ErrorObject>;

/// Calls that wait for their answer, by id.
type Calls = HashMap<u64, oneshot::Sender<Answer>>;

/// The last id, and the calls; `None` when no answer can come any more. Never locked across an await.
struct Waiting(Mutex<(u64, Option<Calls>)>);

impl Waiting {
    fn open() -> Self {
        Self(Mutex::new((0, Some(HashMap::new()))))
    }

    fn add(&self) -> Result<(u64, oneshot::Receiver<Answer>), Error> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, waiting) = &mut *guard;
        let waiting = waiting.as_mut().ok_or(Error::Closed)?;
        *last += 1;
        let (sender, receiver) = oneshot::channel();
        waiting.insert(*last, sender);
        Ok((*last, receiver))
    }

    fn take(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.as_mut()?.remove(&id)
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = None;
    }
}

/// The connection's near end. Clones share it; dropping the last one ends our output.
#[derive(Clone)]
pub struct Peer {
    waiting: Arc<Waiting>,
    output: mpsc::UnboundedSender<String>,
    /// Becomes true at the end; holds what the other side said without an id before it, such as a refused hello.
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

/// Tells the other side when a call is given up.
struct Cancel<'a> {
    peer: &'a Peer,
    id: u64,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if self.peer.waiting.take(self.id).is_some() {
            // When it is closed, the call is over anyhow.
            let _ = self.peer.send(None, "$/cancelRequest", serde_json::json!({"id": self.id}));
        }
    }
}

impl Peer {
    /// Starts reading and writing below `tasks`. The receiver should be read: what arrives is kept until then.
    #[must_use]
    pub fn start(
        input: impl AsyncRead + Unpin + Send + 'static,
        output: impl AsyncWrite + Unpin + Send + 'static,
        tasks: &Tasks,
    ) -> (Self, mpsc::UnboundedReceiver<Notification>) {
        let waiting = Arc::new(Waiting::open());
        let (sender, lines) = mpsc::unbounded_channel();
        let (notify, notifications) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel((false, None));
        let token = tasks.token().clone();
        let stop = token.clone();
        drop(tasks.spawn("peer writer", async move {
            tokio::select! {
                // A failed write shows on the reading side too.
                written = write(lines, output) => drop(written),
                () = stop.cancelled() => {}
            }
        }));
        let reading = waiting.clone();
        drop(tasks.spawn("peer reader", async move {
            let refusal = tokio::select! {
                refusal = read(input, &reading, &notify) => refusal,
                () = token.cancelled() => None,
            };
            reading.close();
            // Nobody may be interested.
            let _ = end.send((true, refusal));
        }));
        (Self { waiting, output: sender, ended }, notifications)
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// What the other side answers, or the end of the connection.
    pub async fn call(&self, method: &str, params: impl Serialize) -> Result<Value, Error> {
        let (id, answer) = self.waiting.add()?;
        let _cancel = Cancel { peer: self, id };
        self.send(Some(id), method, params)?;
        Ok(answer.await.map_err(|_| Error::Closed)??)
    }

    /// Calls a method of the contract.
    ///
    /// # Errors
    /// Those of [`Peer::call`], and a result of another shape.
    pub async fn request<M: Method>(&self, params: &M::Params) -> Result<M::Result, Error> {
        Ok(serde_json::from_value(self.call(M::NAME, params).await?)?)
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn notify(&self, method: &str, params: impl Serialize) -> Result<(), Error> {
        self.send(None, method, params)
    }

    /// Waits for the end of the connection; gives the last error that came without an id, such as a refused hello.
    pub async fn closed(&self) -> Option<ErrorObject> {
        let mut ended = self.ended.clone();
        // An error means that the reader is gone, which is the end as well.
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
    waiting: &Waiting,
    notifications: &mpsc::UnboundedSender<Notification>,
) -> Option<ErrorObject> {
    let mut decoder = Decoder::default();
    let mut refusal = None;
    loop {
        while let Some(frame) = decoder.next_frame() {
            let Frame::Message(message) = frame else { continue };
            let Ok(incoming) = serde_json::from_slice::<Incoming>(message) else {
                tracing::debug!("a message that is none of JSON-RPC's was skipped");
                continue;
            };
            match incoming {
                Incoming { id: Some(id), method: None, result, error, .. } => {
                    if let Some(answer) = waiting.take(id) {
                        // Whoever asked may have gone.
                        let _ = answer.send(error.map_or(Ok(result), Err));
                    }
                }
                Incoming { id: None, method: Some(method), params, .. } => {
                    // Whoever wants no notifications has dropped the receiver.
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
