//! `polytree stdio`: the client on standard input and output, relayed to the one daemon.

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

/// When a client may try again without a daemon, in milliseconds.
const RETRY_AFTER: u64 = 1000;

/// Relays the client until it goes. `tell` gets what the person should know.
///
/// # Errors
/// When no daemon can be reached or started to begin with.
pub async fn relay(context: LaunchContext, tell: impl Fn(&str)) -> Result<(), Error> {
    let mut dialer = Dialer { context, tell, told: String::new() };
    let unique = format!("relay-{}-", ulid::Ulid::generate());
    let end = relay::relay((stdio::input(), stdio::input_ended()), stdio::output(), &mut dialer, &unique, stdio::output_gone()).await?;
    tracing::debug!(?end, "the client has gone");
    Ok(())
}

struct Dialer<T> {
    context: LaunchContext,
    /// Takes what the person should know.
    tell: T,
    /// What was told last.
    told: String,
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
        // Starting took most of the program, passing messages on takes little of it.
        memory::forget_code();
        Ok(dialed.map(|dial::Dialed { input, output, notice, .. }| {
            if let Some(notice) = notice.filter(|notice| *notice != self.told) {
                (self.tell)(&notice);
                self.told = notice;
            }
            Dialed { input, output }
        }))
    }

    fn explain(&self, error: &Error) -> rpc::error::Error {
        let told = rpc::error::Error::unavailable(error.told()).retry_after(RETRY_AFTER);
        match error.hint() {
            Some(hint) => told.hint(hint),
            None => told,
        }
    }
}
