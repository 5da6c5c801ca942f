//! The process that an editor starts: relays between the client's stdin and stdout and the user's daemon. When the daemon
//! exits, the relay finds or starts the next one without the client noticing: subscriptions continue from their cursors
//! with the same numbers, and requests that may be repeated are sent again. Only announced texts must be announced again by
//! the client, which is asked to.

mod buffers;
mod exchange;
mod incoming;
mod pump;
mod state;
mod subscriptions;

use std::{cell::RefCell, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::Instant,
};

use self::{
    pump::{Input, Output},
    state::{Outgoing, State},
};
use super::engine::End;
use crate::{jsonrpc::framing::Framing, rpc::error::Error, stdx::paths::AbsPath};

/// The timeout of requests that wait for the next daemon; then they are answered with an error.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The backoff of attempts to find a daemon, after a first attempt without a delay.
const BACKOFF: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// The interval of checks for a daemon that another client may have started.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long new requests are answered with the last failure, without a new attempt.
const FAILURE_TTL: Duration = Duration::from_secs(1);

/// When a client may retry, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

/// Both directions of a connection to a daemon, after the hello.
pub struct Dialed {
    pub input: Box<dyn AsyncRead + Send + Unpin>,
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Whether a daemon may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialMode {
    /// No: only a running one is used.
    Running,
    /// Yes, unless the last one was stopped by `server.stop`.
    Again,
    /// Yes.
    Started,
}

/// Finds daemons.
pub trait Dial {
    /// Why there is no daemon.
    type Error: std::fmt::Debug;

    /// Connects to the daemon, with the default directory that the client has set meanwhile. `None` if none runs and none may
    /// be started. It must have a timeout, and may be dropped.
    ///
    /// # Errors
    /// Why there is no daemon.
    fn dial(&mut self, want: DialMode, directory: Option<&AbsPath>) -> impl Future<Output = Result<Option<Dialed>, Self::Error>>;

    /// The error for clients.
    fn explain(&self, error: &Self::Error) -> Error;
}

/// Serves the client until it disconnects (`gone` ends), or its input has ended and it has all its answers or does not read
/// them. `input_ended` ends with the input, also while earlier input is not read. `unique` is the prefix of the ids of the
/// relay's own requests; no client's id may begin with it.
///
/// # Errors
/// If there is no daemon at first. Later, the client gets errors as answers.
pub async fn relay<D: Dial>(
    (client_input, input_ended): (impl AsyncRead + Unpin, impl Future<Output = ()>),
    client_output: impl AsyncWrite + Unpin,
    dial: &mut D,
    unique: &str,
    gone: impl Future<Output = ()>,
) -> Result<End, D::Error> {
    let (output, pieces) = Output::new();
    let relay = Relay { input: Input::new(client_input), state: RefCell::new(State::new(unique)), output };
    let work = async {
        // The channel ends with the relay; then the writer writes the rest and ends.
        match relay.run(dial).await {
            Ok(()) => std::future::pending().await,
            Err(error) => Err(error),
        }
    };
    tokio::select! {
        biased;
        failed = work => failed,
        written = pump::write(pieces, client_output, input_ended) => Ok(if written.is_ok() { End::Input } else { End::Gone }),
        () = gone => Ok(End::Gone),
    }
}

struct Relay<R> {
    input: Input<R>,
    state: RefCell<State>,
    output: Output,
}

impl<R: AsyncRead + Unpin> Relay<R> {
    async fn run<D: Dial>(mut self, dial: &mut D) -> Result<(), D::Error> {
        let mut dialed = {
            let first = dial.dial(DialMode::Started, None);
            tokio::pin!(first);
            loop {
                tokio::select! {
                    biased;
                    dialed = &mut first => break dialed?,
                    () = self.input.fill(), if !self.input.is_full() => if self.input.is_over() { return Ok(()) },
                }
            }
        };
        let mut failures = 0;
        while let Some(connection) = dialed {
            let connected = Instant::now();
            self.connected(connection).await;
            self.input.answer(|answers| self.state.borrow_mut().lost(answers));
            self.input.flush(&self.output).await;
            // A daemon that exits immediately after its start is restarted with a backoff.
            failures = if connected.elapsed() > RECONNECT_TIMEOUT { 1 } else { failures + 1 };
            dialed = self.reconnect(dial, failures).await;
        }
        Ok(())
    }

    /// Relays messages in both directions until the daemon disconnects.
    async fn connected(&mut self, dialed: Dialed) {
        let (own_request, own_requests) = mpsc::unbounded_channel();
        let up = pump::up(&mut self.input, dialed.output, &self.state, &self.output, own_requests);
        let down = pump::down(dialed.input, &self.state, &self.output, own_request);
        tokio::pin!(up, down);
        tokio::select! {
            () = &mut down => {}
            // The daemon's remaining messages are still read: the other direction detects the end.
            _ = &mut up => down.await,
        }
    }

    /// Finds the next daemon: immediately if a request waits for it, else when the client sends something, or when another
    /// client has started one. The client's input is read meanwhile. `None` if the client has disconnected.
    async fn reconnect<D: Dial>(&mut self, dial: &mut D, mut failures: usize) -> Option<Dialed> {
        let mut last = Instant::now();
        let mut failed: Option<D::Error> = None;
        // Since when requests wait for the next daemon, and whether they were answered with an error.
        let (mut asked_since, mut in_vain) = (None, false);
        // The last daemon was stopped, and there was no request since.
        let mut stopped = false;
        // The rest of the input after all messages were refused: the beginning of a message.
        let mut rest = 0;
        // Input that was read before the daemon disconnected.
        let old = self.input.len();
        loop {
            let (waits, follows) = {
                let state = self.state.borrow();
                (state.waits(), state.follows())
            };
            if self.input.is_over() && !waits {
                return None;
            }
            let holds = self.input.len() > rest;
            let asks_anew = self.input.len() > rest.max(old);
            // Requests of a client that does not read its answers may be as old.
            let reads = self.output.is_read();
            let mut deadline = None;
            if waits || holds {
                let until = *asked_since.get_or_insert_with(Instant::now) + RECONNECT_TIMEOUT;
                let failed_just_now = in_vain && failed.is_some() && last.elapsed() < FAILURE_TTL;
                if self.input.is_full() || Instant::now() >= until || failed_just_now {
                    in_vain = true;
                    asked_since = None;
                    self.refuse(&failed.as_ref().map_or_else(silent, |error| dial.explain(error))).await;
                    rest = self.input.len();
                    continue;
                }
                deadline = Some(until);
            }
            let want = match () {
                () if asks_anew && reads => DialMode::Started,
                () if !stopped && (waits || follows || holds) => DialMode::Again,
                () => DialMode::Running,
            };
            let due = match want {
                DialMode::Running => Instant::now() + POLL_INTERVAL,
                // Later requests do not wait for the next attempt.
                _ if in_vain && deadline.is_some() => Instant::now(),
                _ => last + BACKOFF[failures.clamp(1, BACKOFF.len()) - 1],
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due), if want != DialMode::Running || follows => {}
                () = at(deadline) => continue,
                () = self.output.read(), if asks_anew && !reads => continue,
                () = self.input.fill() => continue,
            }
            let directory = self.state.borrow().directory().and_then(AbsPath::new);
            let dialed = {
                let attempt = dial.dial(want, directory.as_ref());
                tokio::pin!(attempt);
                loop {
                    tokio::select! {
                        biased;
                        dialed = &mut attempt => break Some(dialed),
                        () = self.input.fill(), if !self.input.is_full() => {
                            if self.input.is_over() && !waits {
                                return None;
                            }
                            deadline.get_or_insert_with(|| *asked_since.get_or_insert_with(Instant::now) + RECONNECT_TIMEOUT);
                        }
                        () = at(deadline) => break None,
                    }
                }
            };
            last = Instant::now();
            match dialed {
                Some(Ok(Some(dialed))) => return Some(dialed),
                Some(Ok(None)) if want == DialMode::Again => {
                    stopped = true;
                    if self.input.len() > rest.max(old) {
                        // A new request starts the next daemon, which then answers older ones, too.
                        self.input.answer(|answers| self.state.borrow_mut().give_up(&was_stopped(), answers));
                        self.input.flush(&self.output).await;
                    } else {
                        self.refuse(&was_stopped()).await;
                        rest = self.input.len();
                    }
                }
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    failures += 1;
                    failed = Some(error);
                }
                // Reported at the deadline.
                None => {}
            }
        }
    }

    /// Answers all requests with an error after the timeout.
    async fn refuse(&mut self, why: &Error) {
        while self.input.take(&self.state, &mut Outgoing::new(Framing::Lines), &self.output) {}
        self.input.answer(|answers| self.state.borrow_mut().give_up(why, answers));
        self.input.flush(&self.output).await;
    }
}

/// Waits until the time; forever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The error without a known reason.
fn silent() -> Error {
    Error::unavailable("no daemon answered in time").retry_after(RETRY_AFTER_MS)
}

/// The error for requests in flight when the daemon was stopped.
fn was_stopped() -> Error {
    Error::unavailable("the daemon was told to stop before it answered").hint("the next request starts it").retry_after(RETRY_AFTER_MS)
}

#[cfg(test)]
mod tests;
