//! `polytree stdio`: the client on standard input and output, relayed to the one daemon.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Surroundings,
    dial::{self, dial, find},
    error::Error,
};
use crate::{
    api,
    serve::{
        connection::End,
        relay::{self, Dial, Dialed, Want},
        stdio,
    },
    stdx::paths::AbsPath,
};

/// How long a daemon that does not serve this version may take to make room.
const ROOM: Duration = Duration::from_secs(5);

/// How often it is asked for it.
const ASK: Duration = Duration::from_millis(100);

/// When a client may try again without a daemon, in milliseconds.
const RETRY_AFTER: u64 = 1000;

/// Relays the client until it goes.
///
/// # Errors
/// When no daemon can be reached or started to begin with.
pub async fn relay(surroundings: Surroundings) -> Result<(), Error> {
    let mut dialer = Dialer { surroundings };
    let unique = format!("relay-{}-", ulid::Ulid::generate());
    let end = relay::relay(stdio::input(), stdio::output(), &mut dialer, &unique, stdio::output_gone()).await?;
    match end {
        End::Input | End::Gone | End::Stopped => Ok(()),
    }
}

struct Dialer {
    surroundings: Surroundings,
}

impl Dial for Dialer {
    type Error = Error;

    async fn dial(&mut self, want: Want, directory: Option<&AbsPath>) -> Result<Option<Dialed>, Error> {
        if let Some(directory) = directory {
            self.surroundings.directory = directory.clone();
        }
        let asked_until = Instant::now() + ROOM;
        loop {
            let dialed = match want {
                Want::Started => dial(&self.surroundings).await.map(Some),
                Want::Running => find(&self.surroundings).await,
            };
            match dialed {
                Ok(dialed) => return Ok(dialed.map(|dial::Dialed { input, output, .. }| Dialed { input, output })),
                // An older one makes room for this version where it can.
                Err(Error::Refused(_)) if Instant::now() < asked_until => sleep(ASK).await,
                Err(error) => return Err(error),
            }
        }
    }

    fn explain(&self, error: &Error) -> api::error::Error {
        let told = api::error::Error::unavailable(error.told()).retry_after(RETRY_AFTER);
        match error.hint() {
            Some(hint) => told.hint(hint),
            None => told,
        }
    }

    fn was_stopped(&self) -> bool {
        false
    }
}
