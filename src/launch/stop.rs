//! `polytree stop`: tells the daemon to end and waits until it has, as service managers do. Where none runs there is
//! nothing to do, and that is no failure.

use std::time::Duration;

use polytree_protocol::{
    daemon::{ServerStopParams, StopMode},
    methods::ServerStop,
};
use tokio::time::{Instant, timeout_at};

use super::{
    context::LaunchContext,
    dial::{DAEMON_TIMEOUT, Pause, address},
    error::Error,
};
use crate::{
    daemon::life::Making,
    jsonrpc::peer::{self, Peer},
    serve::local::{self, Address, Greeted, Hello, NotGreeted, Welcome},
    stdx::tasks::Tasks,
    store::{Kind, LockState, Owner, Ownership},
};

/// How long a daemon may take to end that waits for nothing.
const ENDING: Duration = Duration::from_secs(10);

/// Stops the daemon of the data directory and waits until its process has gone; `tell` gets lines for the person.
///
/// # Errors
/// When the owner does not answer, cannot be stopped, or does not end.
pub async fn stop(context: &LaunchContext, mode: StopMode, tell: impl Fn(&str)) -> Result<(), Error> {
    let data = &context.places.data;
    let Some((pid, running)) = ask(context, mode).await? else {
        tell(&format!("no daemon runs for {data}"));
        return Ok(());
    };
    if running > 0 {
        tell(&format!("waiting for {running} turn{}… (Ctrl-C leaves it to end by itself)", if running == 1 { "" } else { "s" }));
    }
    // One that waits for turns takes as long as they take.
    let deadline = (mode == StopMode::Now || running == 0).then(|| Instant::now() + ENDING);
    let mut pause = Pause::default();
    while let LockState::Owned(owner) = Ownership::lock_state(data.as_path()) {
        match owner {
            // Somebody needed the next one already.
            Some(owner) if owner.pid != pid => break,
            owner if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return Err(Error::Silent { data: data.clone(), owner, waited: ENDING });
            }
            _ => pause.take(Instant::now() + ENDING).await,
        }
    }
    tell(&format!("stopped process {pid}"));
    Ok(())
}

/// Finds the daemon and tells it; gives its process and how many turns it waits for. `None` where there is none.
async fn ask(context: &LaunchContext, mode: StopMode) -> Result<Option<(u32, usize)>, Error> {
    let data = &context.places.data;
    // As no version at all: a daemon that made room for a newer one would be followed by that one at once.
    let mut hello = Hello::new(Some(&context.directory), std::collections::BTreeMap::new());
    let version = std::mem::take(&mut hello.executable_version);
    let deadline = Instant::now() + DAEMON_TIMEOUT;
    let mut pause = Pause::default();
    loop {
        let lock = Ownership::lock_state(data.as_path());
        let addresses = match &lock {
            LockState::Owned(Some(owner @ Owner { kind: Kind::Standalone, .. })) => {
                return Err(Error::Embedded { data: data.clone(), pid: owner.pid });
            }
            LockState::Owned(owner) => address(&context.places, owner.as_ref()).into_iter().collect(),
            // A daemon whose data directory was removed may still listen.
            LockState::Free(_) => Address::candidates(&context.places.runtime, data),
        };
        let mut is_silent = true;
        for address in &addresses {
            match timeout_at(deadline, local::greet(address, &hello)).await {
                Ok(Ok(Greeted { welcome: Welcome { pid, room: Some(Making::Now), .. }, .. })) => return Ok(Some((pid, 0))),
                Ok(Ok(Greeted { welcome, input, output })) => {
                    let tasks = Tasks::new();
                    let (peer, _) = Peer::start(input, output, &tasks);
                    let answer = peer.request::<ServerStop>(&ServerStopParams { mode: Some(mode), ..ServerStopParams::default() }).await;
                    if answer.is_ok() && matches!(lock, LockState::Free(_)) {
                        // No lock tells when it has gone.
                        let _ = timeout_at(deadline, peer.closed()).await;
                    }
                    tasks.cancel();
                    match answer {
                        Ok(stopping) => return Ok(Some((welcome.pid, stopping.running))),
                        Err(peer::Error::Refused(error)) => return Err(Error::Refused(error)),
                        // It has gone by itself meanwhile, or is about to.
                        Err(error) => tracing::debug!(%error, "the daemon did not answer"),
                    }
                    is_silent = false;
                }
                Ok(Err(NotGreeted::Refused(_))) if hello.executable_version.is_empty() => {
                    // One that speaks another protocol only makes room.
                    hello.executable_version.clone_from(&version);
                    is_silent = false;
                }
                Ok(Err(NotGreeted::Refused(error))) if error.retry_after().is_none() => return Err(Error::Refused(error)),
                Ok(Err(NotGreeted::Silent(error))) if is_nobody(&error) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the daemon cannot be told to stop");
                    is_silent = false;
                }
                Err(_) => is_silent = false,
            }
        }
        match lock {
            LockState::Free(_) if is_silent || Instant::now() >= deadline => return Ok(None),
            LockState::Owned(owner) if Instant::now() >= deadline => {
                return Err(Error::Silent { data: data.clone(), owner, waited: DAEMON_TIMEOUT });
            }
            _ => pause.take(deadline).await,
        }
    }
}

/// Whether this says that nobody listens there.
fn is_nobody(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}
