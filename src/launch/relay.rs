//! `polytree stdio`: relays the client on standard input and output to the daemon.

use super::{
    context::LaunchContext,
    dial::{self, Start, dial, find},
    error::Error,
};
use crate::{
    rpc,
    serve::{
        relay::{self, Dial, DialMode, Dialed},
        stdio,
    },
    stdx::{memory, paths::AbsPath},
};

/// When a client may retry without a daemon, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

/// Relays until the client disconnects. `tell` receives messages for the user.
///
/// # Errors
/// If no daemon can be reached or started at first.
pub async fn relay(context: LaunchContext, tell: impl Fn(&str)) -> Result<(), Error> {
    let mut dialer = Dialer { context, tell, last_notice: String::new() };
    let unique = format!("relay-{}-", ulid::Ulid::generate());
    let end = relay::relay((stdio::input(), stdio::input_ended()), stdio::output(), &mut dialer, &unique, stdio::output_gone()).await?;
    tracing::debug!(?end, "the client has disconnected");
    Ok(())
}

struct Dialer<T> {
    context: LaunchContext,
    /// Receives messages for the user.
    tell: T,
    /// The last message.
    last_notice: String,
}

impl<T: Fn(&str)> Dial for Dialer<T> {
    type Error = Error;

    async fn dial(&mut self, want: DialMode, directory: Option<&AbsPath>) -> Result<Option<Dialed>, Error> {
        if let Some(directory) = directory {
            self.context.directory = directory.clone();
        }
        let dialed = match want {
            DialMode::Started => Some(dial(&self.context, Start::Always).await?),
            DialMode::Again => match dial(&self.context, Start::UnlessStopped).await {
                Err(Error::Stopped { .. }) => None,
                dialed => Some(dialed?),
            },
            DialMode::Running => find(&self.context).await?,
        };
        // Starting needs most of the program's code, relaying little of it.
        memory::forget_code();
        Ok(dialed.map(|dial::Dialed { input, output, notice, .. }| {
            if let Some(notice) = notice.filter(|notice| *notice != self.last_notice) {
                (self.tell)(&notice);
                self.last_notice = notice;
            }
            Dialed { input, output }
        }))
    }

    fn explain(&self, error: &Error) -> rpc::error::Error {
        let explained = rpc::error::Error::unavailable(error.with_causes()).retry_after(RETRY_AFTER_MS);
        match error.hint() {
            Some(hint) => explained.hint(hint),
            None => explained,
        }
    }
}
