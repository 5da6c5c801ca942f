//! Bytes in and out, in both directions at once, so that neither side waits because the other does not read. Whatever is
//! taken from one side has its place on the other first: a connection may be lost at any moment, and with it only what
//! can be said again.

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

/// How many pieces of output may wait for the client to read.
const PIECES: usize = 16;

/// How much output is gathered before it is given to the client; a message may be larger.
const PIECE: usize = 64 * 1024;

/// How long a client that has ended its input may leave a piece of output unread.
const UNREAD: Duration = Duration::from_secs(2);

/// The client's input, and what the relay itself has to answer.
pub struct Input<R> {
    source: R,
    decoder: Decoder,
    ended: bool,
    answers: Outgoing,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Nothing read yet.
    pub fn new(source: R) -> Self {
        Self { source, decoder: Decoder::default(), ended: false, answers: Outgoing::new(Framing::Lines) }
    }

    /// Whether nothing more will come and everything has been taken.
    pub fn is_over(&self) -> bool {
        self.ended && self.decoder.is_empty()
    }

    /// How many bytes were read and not taken.
    pub fn len(&self) -> usize {
        self.decoder.len()
    }

    /// Whether as much waits as is ever held without a daemon.
    pub fn is_full(&self) -> bool {
        self.len() > MESSAGE_LIMIT + PIECE
    }

    /// Waits for more; at the end it waits for ever. Nothing is lost when this is dropped.
    pub async fn fill(&mut self) {
        if self.ended {
            std::future::pending::<()>().await;
        }
        // An input that cannot be read has ended.
        self.ended = !matches!(self.source.read_buf(self.decoder.space()).await, Ok(length) if length > 0);
    }

    /// Gives the state one message; false when there is none.
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

    /// Lets the state answer.
    pub fn answer(&mut self, answers: impl FnOnce(&mut Outgoing)) {
        answers(&mut self.answers);
    }

    /// Sends what the relay itself has answered. Nothing is lost when this is dropped.
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
    /// Known when the client has shown it.
    framing: Cell<Framing>,
}

impl Output {
    /// The way to the writer.
    pub fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (sender, pieces) = mpsc::channel(PIECES);
        (Self { sender, framing: Cell::new(Framing::Lines) }, pieces)
    }

    /// What can be filled and then put there.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing::new(self.framing.get())
    }

    /// Whether the client has read all that waited, except what is being written.
    pub fn is_read(&self) -> bool {
        self.sender.capacity() == PIECES
    }

    /// Waits until [`Output::is_read`].
    pub async fn read(&self) {
        if self.sender.reserve_many(PIECES).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a place. Nobody writes any more when the whole relay is over: then it waits for ever.
    pub async fn place(&self) -> mpsc::Permit<'_, Vec<u8>> {
        match self.sender.reserve().await {
            Ok(place) => place,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Writes what the client is to read. Once its input has ended, it is not waited for when it does not read.
///
/// # Errors
/// When the client cannot be written to, or has ended its input and reads nothing for [`UNREAD`].
pub async fn write(
    mut pieces: mpsc::Receiver<Vec<u8>>,
    mut client: impl AsyncWrite + Unpin,
    input_ended: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut input_ended = std::pin::pin!(input_ended);
    let mut has_ended = false;
    while let Some(piece) = pieces.recv().await {
        // In parts, so that a client that reads a large message slowly is seen to read.
        for part in piece.chunks(PIECE) {
            let unread = async {
                if !has_ended {
                    input_ended.as_mut().await;
                    has_ended = true;
                }
                sleep(UNREAD).await;
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
    // The relay is over, and so is the input.
    timeout(UNREAD, client.shutdown()).await.map_err(io::Error::from)?
}

/// From the client to the daemon, until the client's input is over.
///
/// # Errors
/// When the daemon does not read any more.
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
        lines.bytes.shrink_to(PIECE);
        if input.is_over() {
            // The daemon answers what it has and ends the connection.
            return daemon.shutdown().await;
        }
        tokio::select! {
            () = input.fill() => {}
            Some(own_request) = own_requests.recv() => lines.bytes = own_request,
        }
    }
}

/// From the daemon to the client, until the daemon has gone.
pub async fn down(
    mut daemon: impl AsyncRead + Unpin,
    state: &RefCell<State>,
    output: &Output,
    own_requests: mpsc::UnboundedSender<Vec<u8>>,
) {
    // Whatever the daemon sends is passed on: the limit is the daemon's affair.
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
            // Nobody takes own_requests of a connection that is over.
            let _ = own_requests.send(lines.bytes);
        }
    }
}
