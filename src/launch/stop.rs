//! `polytree stop`: stops the daemon and waits until it has exited, as service managers do. Without a daemon it does
//! nothing and succeeds.

use std::time::Duration;

use polytree_protocol::{
    daemon::{ServerStopParams, StopMode},
    methods::ServerStop,
};
use tokio::time::{Instant, timeout_at};

use super::{
    context::LaunchContext,
    dial::{Backoff, DAEMON_TIMEOUT, address},
    error::Error,
};
use crate::{
    daemon::life::Handover,
    jsonrpc::peer::{self, Peer},
    serve::local::{self, Address, Greeted, Hello, NotGreeted, Welcome},
    stdx::tasks::Tasks,
    store::{LockState, Owner, OwnerKind, Ownership},
};

/// The timeout of a shutdown that does not wait for turns.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Stops the daemon of the data directory and waits until its process has exited; `tell` receives lines for the user.
///
/// # Errors
/// If the owner does not answer, cannot be stopped, or does not exit.
pub async fn stop(context: &LaunchContext, mode: StopMode, tell: impl Fn(&str)) -> Result<(), Error> {
    let data = &context.places.data;
    let Some((pid, running)) = ask(context, mode).await? else {
        tell(&format!("no daemon runs for {data}"));
        return Ok(());
    };
    if running > 0 {
        tell(&format!("waiting for {running} turn{}… (after Ctrl-C it still stops by itself)", if running == 1 { "" } else { "s" }));
    }
    // A daemon that waits for turns has no timeout.
    let deadline = (mode == StopMode::Now || running == 0).then(|| Instant::now() + SHUTDOWN_TIMEOUT);
    let mut backoff = Backoff::default();
    while let LockState::Owned(owner) = Ownership::lock_state(data.as_path()) {
        match owner {
            // Another process has started the next daemon already.
            Some(owner) if owner.pid != pid => break,
            owner if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return Err(Error::Silent { data: data.clone(), owner, waited: SHUTDOWN_TIMEOUT });
            }
            _ => backoff.wait(Instant::now() + SHUTDOWN_TIMEOUT).await,
        }
    }
    tell(&format!("stopped process {pid}"));
    Ok(())
}

/// Finds the daemon and stops it. Returns its process and the number of turns that it waits for; `None` without a daemon.
async fn ask(context: &LaunchContext, mode: StopMode) -> Result<Option<(u32, usize)>, Error> {
    let data = &context.places.data;
    // Without a version: a daemon that makes room for a newer version would be replaced by that version immediately.
    let mut hello = Hello::new(Some(&context.directory), std::collections::BTreeMap::new());
    let version = std::mem::take(&mut hello.executable_version);
    let deadline = Instant::now() + DAEMON_TIMEOUT;
    let mut backoff = Backoff::default();
    loop {
        let lock = Ownership::lock_state(data.as_path());
        let addresses = match &lock {
            LockState::Owned(Some(owner @ Owner { kind: OwnerKind::Standalone, .. })) => {
                return Err(Error::Embedded { data: data.clone(), pid: owner.pid });
            }
            LockState::Owned(owner) => address(&context.places, owner.as_ref()).into_iter().collect(),
            // A daemon whose data directory was removed may still listen.
            LockState::Free(_) => Address::candidates(&context.places.runtime, data),
        };
        let mut is_silent = true;
        for address in &addresses {
            match timeout_at(deadline, local::greet(address, &hello)).await {
                Ok(Ok(Greeted { welcome: Welcome { pid, room: Some(Handover::Now), .. }, .. })) => return Ok(Some((pid, 0))),
                Ok(Ok(Greeted { welcome, input, output })) => {
                    let tasks = Tasks::new();
                    let (peer, _) = Peer::start(input, output, &tasks);
                    let answer = peer.request::<ServerStop>(&ServerStopParams { mode: Some(mode), ..ServerStopParams::default() }).await;
                    if answer.is_ok() && matches!(lock, LockState::Free(_)) {
                        // There is no lock to wait for.
                        let _ = timeout_at(deadline, peer.closed()).await;
                    }
                    tasks.cancel();
                    match answer {
                        Ok(stopping) => return Ok(Some((welcome.pid, stopping.running))),
                        Err(peer::Error::Refused(error)) => return Err(Error::Refused(error)),
                        // It has exited meanwhile, or is about to.
                        Err(error) => tracing::debug!(%error, "the daemon did not answer"),
                    }
                    is_silent = false;
                }
                Ok(Err(NotGreeted::Refused(_))) if hello.executable_version.is_empty() => {
                    // A daemon with another protocol version can only be asked to make room.
                    hello.executable_version.clone_from(&version);
                    is_silent = false;
                }
                Ok(Err(NotGreeted::Refused(error))) if error.retry_after().is_none() => return Err(Error::Refused(error)),
                Ok(Err(NotGreeted::Silent(error))) if is_unreachable(&error) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the daemon cannot be asked to stop");
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
            _ => backoff.wait(deadline).await,
        }
    }
}

/// Whether nothing listens at the address.
fn is_unreachable(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}
