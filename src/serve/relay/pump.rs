//! Copies bytes in both directions at once, so that neither side waits because the other does not read. Input is taken only
//! when there is space for it on the other side: if a connection is lost, only data that can be sent again is lost.

use std::{
    cell::{Cell, RefCell},
    io,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::state::{Outgoing, State};
use crate::{
    jsonrpc::framing::{Decoder, Frame, Framing, MESSAGE_LIMIT},
    serve::answer,
};

/// The capacity of the queue of output chunks for the client.
const MAX_CHUNKS: usize = 16;

/// The size of an output chunk in bytes; a message may be larger.
const CHUNK_BYTES: usize = 64 * 1024;

/// The timeout of writing a chunk to a client whose input has ended.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The client's input, and the relay's own answers.
pub struct Input<R> {
    source: R,
    decoder: Decoder,
    ended: bool,
    answers: Outgoing,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Before the first read.
    pub fn new(source: R) -> Self {
        Self { source, decoder: Decoder::default(), ended: false, answers: Outgoing::new(Framing::Lines) }
    }

    /// Whether the input has ended and everything was taken.
    pub fn is_over(&self) -> bool {
        self.ended && self.decoder.is_empty()
    }

    /// The number of bytes that were read and not taken.
    pub fn len(&self) -> usize {
        self.decoder.len()
    }

    /// Whether the limit of input without a daemon is reached.
    pub fn is_full(&self) -> bool {
        self.len() > MESSAGE_LIMIT + CHUNK_BYTES
    }

    /// Waits for more input; forever after its end. Cancel-safe.
    pub async fn fill(&mut self) {
        if self.ended {
            std::future::pending::<()>().await;
        }
        // A read error is the end.
        self.ended = !matches!(self.source.read_buf(self.decoder.space()).await, Ok(length) if length > 0);
    }

    /// Passes one message to the state; false if there is none.
    pub fn take(&mut self, state: &RefCell<State>, daemon: &mut Outgoing, output: &Output) -> bool {
        if let Some(framing) = self.decoder.framing() {
            output.framing.set(framing);
            self.answers.framing = framing;
        }
        let frame = match self.decoder.next_frame() {
            None if self.ended => self.decoder.last_frame(),
            frame => frame,
        };
        let Some(frame) = frame else { return false };
        match answer::text(frame) {
            Ok(text) => state.borrow_mut().take_client(text, daemon, &mut self.answers),
            Err(response) => self.answers.push(response.get()),
        }
        true
    }

    /// Takes the state's own answers.
    pub fn answer(&mut self, answers: impl FnOnce(&mut Outgoing)) {
        answers(&mut self.answers);
    }

    /// Sends the relay's own answers. Cancel-safe.
    pub async fn flush(&mut self, output: &Output) {
        if !self.answers.bytes.is_empty() {
            let place = output.place().await;
            place.send(std::mem::take(&mut self.answers.bytes));
        }
    }
}

/// The client's output.
pub struct Output {
    sender: mpsc::Sender<Vec<u8>>,
    /// Known after the client's first message.
    framing: Cell<Framing>,
}

impl Output {
    /// The queue of the writer.
    pub fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (sender, pieces) = mpsc::channel(MAX_CHUNKS);
        (Self { sender, framing: Cell::new(Framing::Lines) }, pieces)
    }

    /// An empty chunk to fill and queue.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing::new(self.framing.get())
    }

    /// Whether the queue is empty.
    pub fn is_read(&self) -> bool {
        self.sender.capacity() == MAX_CHUNKS
    }

    /// Waits until [`Output::is_read`].
    pub async fn read(&self) {
        if self.sender.reserve_many(MAX_CHUNKS).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for space in the queue; forever after the writer has ended, when the relay ends.
    pub async fn place(&self) -> mpsc::Permit<'_, Vec<u8>> {
        match self.sender.reserve().await {
            Ok(place) => place,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Writes the client's output. After the end of its input, writes have a timeout.
///
/// # Errors
/// If a write fails, or times out after the end of the input.
pub async fn write(
    mut pieces: mpsc::Receiver<Vec<u8>>,
    mut client: impl AsyncWrite + Unpin,
    input_ended: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut input_ended = std::pin::pin!(input_ended);
    let mut has_ended = false;
    while let Some(piece) = pieces.recv().await {
        // In parts, so that a client that reads a large message slowly does not time out.
        for part in piece.chunks(CHUNK_BYTES) {
            let unread = async {
                if !has_ended {
                    input_ended.as_mut().await;
                    has_ended = true;
                }
                sleep(WRITE_TIMEOUT).await;
            };
            let written = async {
                client.write_all(part).await?;
                client.flush().await
            };
            tokio::select! {
                biased;
                written = written => written?,
                () = unread => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }
    // The relay has ended, and the input with it.
    timeout(WRITE_TIMEOUT, client.shutdown()).await.map_err(io::Error::from)?
}

/// Relays from the client to the daemon, until the client's input ends.
///
/// # Errors
/// If the daemon has disconnected.
pub async fn up<R: AsyncRead + Unpin>(
    input: &mut Input<R>,
    mut daemon: impl AsyncWrite + Unpin,
    state: &RefCell<State>,
    output: &Output,
    mut own_requests: mpsc::UnboundedReceiver<Vec<u8>>,
) -> io::Result<()> {
    let mut lines = Outgoing::new(Framing::Lines);
    state.borrow_mut().resume(&mut lines, &mut input.answers);
    loop {
        loop {
            input.flush(output).await;
            if !input.take(state, &mut lines, output) {
                break;
            }
        }
        daemon.write_all(&lines.bytes).await?;
        daemon.flush().await?;
        lines.bytes.clear();
        lines.bytes.shrink_to(CHUNK_BYTES);
        if input.is_over() {
            // The daemon answers the rest and ends the connection.
            return daemon.shutdown().await;
        }
        tokio::select! {
            () = input.fill() => {}
            Some(own_request) = own_requests.recv() => lines.bytes = own_request,
        }
    }
}

/// Relays from the daemon to the client, until the daemon disconnects.
pub async fn down(
    mut daemon: impl AsyncRead + Unpin,
    state: &RefCell<State>,
    output: &Output,
    own_requests: mpsc::UnboundedSender<Vec<u8>>,
) {
    // Without a size limit: the daemon has one.
    let mut decoder = Decoder::new(usize::MAX);
    loop {
        let place = output.place().await;
        if !matches!(daemon.read_buf(decoder.space()).await, Ok(length) if length > 0) {
            return;
        }
        let mut messages = output.outgoing();
        let mut lines = Outgoing::new(Framing::Lines);
        while let Some(frame) = decoder.next_frame() {
            let Frame::Message(bytes) = frame else { continue };
            let Ok(text) = str::from_utf8(bytes) else { continue };
            state.borrow_mut().take_daemon(text, &mut lines, &mut messages);
        }
        if !messages.bytes.is_empty() {
            place.send(messages.bytes);
        }
        if !lines.bytes.is_empty() {
            // The connection may have ended.
            let _ = own_requests.send(lines.bytes);
        }
    }
}
