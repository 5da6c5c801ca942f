//! What an editor spawns: the client's stdin and stdout on one side, the user's one daemon on the other. When the daemon
//! goes, the next one is found or started, and the client does not notice: subscriptions go on from their cursor under
//! the same number, and what may be asked again is asked again. Nothing is kept that is not needed for that. Only the texts
//! that it has announced the client must announce again, and is told so.

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

/// How long requests wait for another daemon before they are answered without one.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pauses between one attempt to find a daemon and the next. The first is made at once.
const PAUSES: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// How often a daemon is looked for that somebody else may have started.
const LOOK: Duration = Duration::from_millis(500);

/// How long a failure to find a daemon answers what is asked after it.
const FRESH: Duration = Duration::from_secs(1);

/// When a client may ask again, in milliseconds.
const RETRY_AFTER: u64 = 1000;

/// Both directions of a connection to a daemon that has been greeted.
pub struct Dialed {
    /// What it sends.
    pub input: Box<dyn AsyncRead + Send + Unpin>,
    /// What it reads.
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
}

/// How much a daemon is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialMode {
    /// One that runs already.
    Running,
    /// One that is started if need be, but not after one that was told to stop.
    Again,
    /// One that is started if need be.
    Started,
}

/// Finds daemons.
pub trait Dial {
    /// Why there is no daemon.
    type Error: std::fmt::Debug;

    /// Connects to the daemon and says hello, with the default directory that the client has chosen meanwhile. `None`
    /// when none runs and none was to be started. It must come to an end by itself, and may be dropped before.
    ///
    /// # Errors
    /// Why there is no daemon.
    fn dial(&mut self, want: DialMode, directory: Option<&AbsPath>) -> impl Future<Output = Result<Option<Dialed>, Self::Error>>;

    /// What clients are told of such an error.
    fn explain(&self, error: &Self::Error) -> Error;
}

/// Serves the client until it goes (`gone` ends), or has ended its input and has all its answers or does not read them.
/// `input_ended` ends with the input, also while what was sent before is not read. `unique` begins the ids of the relay's
/// own requests; no client's id may begin with it.
///
/// # Errors
/// When there is no daemon to begin with. Later the client is told so in answers.
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
        // The way to the writer ends with the relay; then the writer ends, with everything written.
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
            // A daemon that goes as soon as it has come is not called back as fast as it can fall.
            failures = if connected.elapsed() > RECONNECT_TIMEOUT { 1 } else { failures + 1 };
            dialed = self.reconnect(dial, failures).await;
        }
        Ok(())
    }

    /// Passes messages on in both directions until the daemon has gone.
    async fn connected(&mut self, dialed: Dialed) {
        let (own_request, own_requests) = mpsc::unbounded_channel();
        let up = pump::up(&mut self.input, dialed.output, &self.state, &self.output, own_requests);
        let down = pump::down(dialed.input, &self.state, &self.output, own_request);
        tokio::pin!(up, down);
        tokio::select! {
            () = &mut down => {}
            // What the daemon has said until then is still to be read: the other direction tells when it is over.
            _ = &mut up => down.await,
        }
    }

    /// Finds the next daemon: at once where something waits for it, else when the client says something, or when somebody
    /// else has started one. The client is read all the while. `None` when it has ended.
    async fn reconnect<D: Dial>(&mut self, dial: &mut D, mut failures: usize) -> Option<Dialed> {
        let mut last = Instant::now();
        let mut failed: Option<D::Error> = None;
        // Since when an answer of the next daemon is waited for, and whether one was in vain.
        let (mut asked_since, mut in_vain) = (None, false);
        // The last daemon was told to stop, and nothing was asked since.
        let mut stopped = false;
        // What is left of the input when all was refused: the beginning of a message.
        let mut rest = 0;
        // What was read before the daemon went.
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
            // What a client asks that does not read its answers may be as old.
            let reads = self.output.is_read();
            let mut deadline = None;
            if waits || holds {
                let until = *asked_since.get_or_insert_with(Instant::now) + RECONNECT_TIMEOUT;
                let failed_just_now = in_vain && failed.is_some() && last.elapsed() < FRESH;
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
                DialMode::Running => Instant::now() + LOOK,
                // Whoever asks after that does not wait for the next time.
                _ if in_vain && deadline.is_some() => Instant::now(),
                _ => last + PAUSES[failures.clamp(1, PAUSES.len()) - 1],
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
                        // What is new starts the next daemon, which answers what is older too.
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
                // It is told at the deadline.
                None => {}
            }
        }
    }

    /// Without a daemon for too long, what the client has asked is answered.
    async fn refuse(&mut self, why: &Error) {
        while self.input.take(&self.state, &mut Outgoing::new(Framing::Lines), &self.output) {}
        self.input.answer(|answers| self.state.borrow_mut().give_up(why, answers));
        self.input.flush(&self.output).await;
    }
}

/// Waits until then, where there is such a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Nobody answers, and nothing else is known.
fn silent() -> Error {
    Error::unavailable("no daemon has answered in time").retry_after(RETRY_AFTER)
}

/// What was under way when a daemon went that was told to stop.
fn was_stopped() -> Error {
    Error::unavailable("the daemon was told to stop before it answered").hint("the next request starts it again").retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests;
