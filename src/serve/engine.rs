//! Serves one client on a byte stream: reads messages, dispatches them, writes answers. Used by stdio, the local socket and
//! WebSockets.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    dispatch::Dispatcher,
    outbox::{self, Encoder, Outbox},
};
use crate::{
    daemon::clients::Presence,
    jsonrpc::framing::{Decoder, Frame, Framing},
    rpc::{Rpc, call::LAST_NOTIFICATIONS_TIMEOUT, connection::Connection, sink::Closed},
    stdx::tasks::Tasks,
};

/// The timeout of the last writes to a client that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The input has ended. The client may still read.
    Input,
    /// The client has disconnected.
    Gone,
    /// The daemon shuts down.
    Stopped,
}

/// A connection that is served.
pub struct Engine {
    dispatcher: Dispatcher,
    connection: Arc<Connection>,
    outbox: Outbox,
    framing: Arc<OnceLock<Framing>>,
    tasks: Tasks,
    writer: JoinHandle<()>,
    /// Stops the writer while it waits for a client that does not read.
    give_up: CancellationToken,
    /// Registers the client while it is served.
    _presence: Presence,
}

impl Engine {
    /// Starts the writer. Requests run below `tasks`, whose cancellation ends the connection.
    #[must_use]
    pub fn start(rpc: &Rpc, connection: Arc<Connection>, tasks: &Tasks, output: impl AsyncWrite + Unpin + Send + 'static) -> Self {
        let framing = Arc::new(OnceLock::new());
        Self { framing: framing.clone(), ..Self::start_encoded(rpc, connection, tasks, output, framing) }
    }

    /// Like [`Engine::start`], for a door with its own encoding, which decodes messages and passes them to
    /// [`Engine::receive`].
    #[must_use]
    pub fn start_encoded(
        rpc: &Rpc,
        connection: Arc<Connection>,
        tasks: &Tasks,
        output: impl AsyncWrite + Unpin + Send + 'static,
        encoder: impl Encoder,
    ) -> Self {
        let tasks = tasks.child();
        let give_up = CancellationToken::new();
        let (outbox, queue) = Outbox::new(connection.traffic());
        connection.set_notifier(Arc::new(outbox.clone()));
        let writer = tasks.spawn("writer", {
            let (id, give_up) = (connection.id(), give_up.clone());
            async move {
                tokio::select! {
                    written = outbox::write(queue, output, encoder) => {
                        if let Err(error) = written {
                            tracing::debug!(connection = id, "the client has disconnected: {error}");
                        }
                    }
                    () = give_up.cancelled() => tracing::debug!(connection = id, "the client does not read"),
                }
            }
        });
        let dispatcher = Dispatcher::new(rpc.clone(), connection.clone(), outbox.clone(), tasks.clone());
        let presence = rpc.clients().enter(connection.clone());
        Self { dispatcher, connection, outbox, framing: Arc::default(), tasks, writer, give_up, _presence: presence }
    }

    /// Reads until the end, starting with what the decoder contains already.
    pub async fn read(&self, decoder: &mut Decoder, input: &mut (impl AsyncRead + Unpin)) -> End {
        tokio::select! {
            biased;
            end = self.ended() => end,
            end = self.read_stream(decoder, input) => end,
        }
    }

    /// Waits until the daemon shuts down or the output is closed.
    pub async fn ended(&self) -> End {
        tokio::select! {
            biased;
            () = self.tasks.token().cancelled() => End::Stopped,
            () = self.outbox.closed() => End::Gone,
        }
    }

    /// Processes a frame.
    ///
    /// # Errors
    /// If the client has disconnected.
    pub async fn receive(&self, frame: Frame<'_>) -> Result<(), Closed> {
        self.dispatcher.receive(frame).await
    }

    /// The outbox, for bytes that are not messages.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    async fn read_stream(&self, decoder: &mut Decoder, input: &mut (impl AsyncRead + Unpin)) -> End {
        loop {
            if self.framing.get().is_none()
                && let Some(framing) = decoder.framing()
            {
                // Set only here, once.
                let _ = self.framing.set(framing);
            }
            while let Some(frame) = decoder.next_frame() {
                if self.dispatcher.receive(frame).await.is_err() {
                    return End::Gone;
                }
            }
            match input.read_buf(decoder.space()).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(connection = self.connection.id(), "reading failed: {error}");
                    return End::Gone;
                }
            }
        }
        if let Some(frame) = decoder.last_frame()
            && self.dispatcher.receive(frame).await.is_err()
        {
            return End::Gone;
        }
        End::Input
    }

    /// Waits until all requests are answered, or the output is closed.
    pub async fn idle(&self) {
        tokio::select! {
            () = self.dispatcher.idle() => {}
            () = self.outbox.closed() => {}
        }
    }

    /// Stops writing: the client has disconnected, or does not read.
    pub fn abandon(&self) {
        self.give_up.cancel();
    }

    /// Ends subscriptions and requests, and writes what is queued. Turns go on: they do not belong to the connection.
    pub async fn close(self) {
        if self.tasks.token().is_cancelled() {
            // So that the client receives the ends of its turns before the daemon exits.
            let _ = timeout(LAST_NOTIFICATIONS_TIMEOUT, self.connection.drained()).await;
        }
        self.connection.close();
        self.dispatcher.cancel_all();
        let Self { dispatcher, outbox, mut writer, give_up, _presence, .. } = self;
        let written = async {
            dispatcher.idle().await;
            outbox.end().await;
            // A panicked writer has written what it could.
            let _ = (&mut writer).await;
        };
        if timeout(WRITE_TIMEOUT, written).await.is_err() {
            give_up.cancel();
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
