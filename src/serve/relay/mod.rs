//! What an editor spawns: the client's stdin and stdout on one side, the user's one daemon on the other. When the daemon
//! goes, the next one is found or started, and the client does not notice: subscriptions go on from their cursor under
//! the same number, and what may be asked again is asked again. Nothing is kept that is not needed for that.

mod exchange;
mod incoming;
mod pump;
mod state;
mod subscriptions;

use std::{cell::RefCell, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, timeout},
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
    /// Connects to the daemon and says hello, with the default directory that the client has chosen meanwhile. `None`
    /// when none runs and none was to be started. May be dropped at any moment.
    ///
    /// # Errors
    /// Why there is no daemon, for the client.
    fn dial(&mut self, want: Want, directory: Option<&AbsPath>) -> impl Future<Output = Result<Option<Dialed>, Error>>;

    /// Whether the last daemon was told to stop, so that it is not started again without need.
    fn was_stopped(&self) -> bool;
}

/// Why a connection to a daemon is over.
#[derive(Debug)]
enum Over {
    /// The daemon has gone.
    Lost,
    /// It does not serve this client at all.
    Refused(Error),
}

/// Serves the client until it goes (`gone` ends), or has ended its input and has all its answers. `unique` begins the ids
/// of the relay's own requests; no client's id may begin with it.
///
/// # Errors
/// When there is no daemon to begin with. Later the client is told so in answers.
pub async fn relay(
    client_input: impl AsyncRead + Unpin,
    client_output: impl AsyncWrite + Unpin,
    dial: &mut impl Dial,
    unique: &str,
    gone: impl Future<Output = ()>,
) -> Result<End, Error> {
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
    async fn run(mut self, dial: &mut impl Dial) -> Result<(), Error> {
        let mut since = Instant::now();
        let mut dialed = dial.dial(Want::Started, None).await?;
        let mut failures = 0;
        let mut served = false;
        while let Some(connection) = dialed {
            let connected = Instant::now();
            match self.connected(connection).await {
                Over::Lost => {
                    served = true;
                    since = Instant::now();
                }
                // An older daemon makes room for the version of this program if it can.
                Over::Refused(error) if !served && since.elapsed() > PATIENCE => return Err(error),
                Over::Refused(error) => self.refuse(&error, since).await,
            }
            self.input.answer(|answers| self.state.borrow_mut().lost(answers));
            self.input.flush(&self.output).await;
            failures = if connected.elapsed() > PATIENCE { 1 } else { failures + 1 };
            dialed = self.reconnect(dial, &mut failures, since).await;
        }
        Ok(())
    }

    /// Passes messages on in both directions until the daemon has gone.
    async fn connected(&mut self, dialed: Dialed) -> Over {
        let (errand, errands) = mpsc::unbounded_channel();
        let up = pump::up(&mut self.input, dialed.output, &self.state, &self.output, errands);
        let down = pump::down(dialed.input, &self.state, &self.output, errand);
        tokio::pin!(up, down);
        tokio::select! {
            over = &mut down => over,
            // What the daemon has said until then is still to be read: the other direction tells when it is over.
            _ = &mut up => down.await,
        }
    }

    /// Finds the next daemon: at once where something waits for it, else when the client says something, or when somebody
    /// else has started one. `None` when the client has ended.
    async fn reconnect(&mut self, dial: &mut impl Dial, failures: &mut usize, since: Instant) -> Option<Dialed> {
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
                tokio::time::sleep(PAUSES[(*failures).clamp(1, PAUSES.len()) - 1]).await;
            }
            let directory = self.state.borrow().directory().and_then(AbsPath::new);
            let dialed = timeout(PATIENCE, dial.dial(want, directory.as_ref())).await;
            let error = match dialed.unwrap_or_else(|_| Err(Error::unavailable("the daemon does not answer"))) {
                Ok(Some(dialed)) => return Some(dialed),
                Ok(None) => continue,
                Err(error) => error,
            };
            *failures += 1;
            self.refuse(&error, since).await;
        }
    }

    /// Without a daemon for too long, what the client has asked is answered.
    async fn refuse(&mut self, why: &Error, since: Instant) {
        if since.elapsed() < PATIENCE {
            return;
        }
        while self.input.take(&self.state, &mut Outgoing::new(Framing::Lines), &self.output) {}
        self.input.answer(|answers| self.state.borrow_mut().give_up(why, answers));
        self.input.flush(&self.output).await;
    }
}

#[cfg(test)]
mod tests;
