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
use super::connection::End;
use crate::{api::error::Error, jsonrpc::framing::Framing, stdx::paths::AbsPath};

/// How long requests wait for another daemon before they are answered without one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pauses between one attempt to find a daemon and the next. The first is made at once.
const PAUSES: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// How often a daemon is looked for that somebody else may have started.
const LOOK: Duration = Duration::from_millis(500);

/// Both directions of a connection to a daemon that has been greeted.
pub struct Dialed {
    /// What it sends.
    pub input: Box<dyn AsyncRead + Send + Unpin>,
    /// What it reads.
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
}

/// How much a daemon is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// One that runs already.
    Running,
    /// One that is started if need be.
    Started,
}

/// Finds daemons.
pub trait Dial {
    /// Why there is no daemon.
    type Error: std::fmt::Debug;

    /// Connects to the daemon and says hello, with the default directory that the client has chosen meanwhile. `None`
    /// when none runs and none was to be started. It must come to an end by itself.
    ///
    /// # Errors
    /// Why there is no daemon.
    fn dial(&mut self, want: Want, directory: Option<&AbsPath>) -> impl Future<Output = Result<Option<Dialed>, Self::Error>>;

    /// What clients are told of such an error.
    fn explain(&self, error: &Self::Error) -> Error;

    /// Whether the last daemon was told to stop, so that it is not started again without need.
    fn was_stopped(&self) -> bool;
}

/// Serves the client until it goes (`gone` ends), or has ended its input and has all its answers. `unique` begins the ids
/// of the relay's own requests; no client's id may begin with it.
///
/// # Errors
/// When there is no daemon to begin with. Later the client is told so in answers.
pub async fn relay<D: Dial>(
    client_input: impl AsyncRead + Unpin,
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
        written = pump::write(pieces, client_output) => Ok(if written.is_ok() { End::Input } else { End::Gone }),
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
        let mut dialed = dial.dial(Want::Started, None).await?;
        let mut failures = 0;
        while let Some(connection) = dialed {
            let connected = Instant::now();
            self.connected(connection).await;
            self.input.answer(|answers| self.state.borrow_mut().lost(answers));
            self.input.flush(&self.output).await;
            // A daemon that goes as soon as it has come is not called back as fast as it can fall.
            failures = if connected.elapsed() > PATIENCE { 1 } else { failures + 1 };
            dialed = self.reconnect(dial, failures).await;
        }
        Ok(())
    }

    /// Passes messages on in both directions until the daemon has gone.
    async fn connected(&mut self, dialed: Dialed) {
        let (errand, errands) = mpsc::unbounded_channel();
        let up = pump::up(&mut self.input, dialed.output, &self.state, &self.output, errands);
        let down = pump::down(dialed.input, &self.state, &self.output, errand);
        tokio::pin!(up, down);
        tokio::select! {
            () = &mut down => {}
            // What the daemon has said until then is still to be read: the other direction tells when it is over.
            _ = &mut up => down.await,
        }
    }

    /// Finds the next daemon: at once where something waits for it, else when the client says something, or when somebody
    /// else has started one. `None` when the client has ended.
    async fn reconnect(&mut self, dial: &mut impl Dial, mut failures: usize) -> Option<Dialed> {
        let since = Instant::now();
        loop {
            let (waits, follows) = {
                let state = self.state.borrow();
                (state.waits(), state.follows())
            };
            if self.input.is_over() && !waits {
                return None;
            }
            let want = if waits || self.input.holds() || (follows && !dial.was_stopped()) { Want::Started } else { Want::Running };
            if want == Want::Running {
                // Whatever the client says next, it wants an answer.
                tokio::select! {
                    () = self.input.fill() => continue,
                    () = tokio::time::sleep(LOOK), if follows => {}
                }
            } else {
                tokio::time::sleep(PAUSES[failures.clamp(1, PAUSES.len()) - 1]).await;
            }
            let directory = self.state.borrow().directory().and_then(AbsPath::new);
            match dial.dial(want, directory.as_ref()).await {
                Ok(Some(dialed)) => return Some(dialed),
                Ok(None) => {}
                Err(error) => {
                    failures += 1;
                    if since.elapsed() >= PATIENCE {
                        self.refuse(&dial.explain(&error)).await;
                    }
                }
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

#[cfg(test)]
mod tests;
