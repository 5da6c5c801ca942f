//! Connects to the daemon of the data directory, and starts one if none runs.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    context::LaunchContext,
    detached::{self, Started},
    error::Error,
};
use crate::{
    config::Places,
    daemon::life::Handover,
    serve::local::{self, Address, Greeted, Hello, NotGreeted, Welcome},
    stdx::{paths::AbsPath, time::now_ms, version},
    store::{LockState, Owner, OwnerKind, Ownership, Room},
};

/// The timeout of connecting to a daemon, and of starting one.
pub const DAEMON_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the daemon after the hello was accepted.
pub struct Dialed {
    pub input: Box<dyn AsyncRead + Unpin + Send>,
    pub output: Box<dyn AsyncWrite + Unpin + Send>,
    pub owner: Owner,
    /// A message for the user, such as that the daemon is an older version that does not shut down for a newer one.
    pub notice: Option<String>,
}

/// When a daemon is started if none runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Always,
    /// Not if the last one was stopped by `server.stop`.
    UnlessStopped,
}

/// Connects to the daemon of the data directory; starts one if the directory has no owner. If a daemon runs, this costs
/// reading its lock file, a connection and one exchange of lines. May be called again whenever the connection is lost.
///
/// # Errors
/// If the owner does not answer within [`DAEMON_TIMEOUT`] or refuses this version, or if no daemon can be started.
pub async fn dial(context: &LaunchContext, start: Start) -> Result<Dialed, Error> {
    let data = &context.places.data;
    let mut deadline = Instant::now() + DAEMON_TIMEOUT;
    let mut room_until = None;
    // A temporary refusal: the daemon shuts down for this version.
    let mut refused = None;
    let mut backoff = Backoff::default();
    loop {
        let lock = Ownership::lock_state(data.as_path());
        if let LockState::Owned(owner) = &lock
            && let Some(address) = address(&context.places, owner.as_ref())
        {
            match timeout_at(deadline, greet(context, &address)).await {
                // It shuts down for this version, which then starts the next one.
                Ok(Ok(Greeted { welcome: Welcome { room: Some(Handover::Now), .. }, .. })) => {}
                Ok(Ok(greeted)) => return Ok(dialed(&address, greeted)),
                Ok(Err(NotGreeted::Refused(error))) if error.retry_after().is_none() => return Err(Error::Refused(error)),
                Ok(Err(NotGreeted::Refused(error))) => refused = Some(error),
                Ok(Err(NotGreeted::Silent(error))) => tracing::debug!(%error, "the daemon does not answer on its socket"),
                Err(_) => {}
            }
        }
        if Instant::now() >= deadline {
            if let Some(error) = refused {
                return Err(Error::Refused(error));
            }
            let owner = if let LockState::Owned(owner) = lock { owner } else { None };
            return Err(Error::Silent { data: data.clone(), owner, waited: DAEMON_TIMEOUT });
        }
        if let LockState::Free(room) = lock {
            if start == Start::UnlessStopped && Ownership::was_stopped(data.as_path()) {
                return Err(Error::Stopped { data: data.clone() });
            }
            if room_until.is_none()
                && let Some(wait) = room.and_then(|room| wait_for_newer(&room, version::version(), now_ms()))
            {
                tracing::debug!(version = %version::version(), "waiting for a newer version to start");
                // The newer daemon gets its own time to start.
                room_until = Some(Instant::now() + wait);
                deadline += wait;
            }
            if room_until.is_none_or(|until| Instant::now() >= until) && detached::start(context, deadline).await? == Started::Ready {
                continue;
            }
        }
        // Another process is about to listen, or about to exit.
        backoff.wait(deadline).await;
    }
}

/// Connects to the daemon if one runs; never starts one.
///
/// # Errors
/// If it refuses this version.
pub async fn find(context: &LaunchContext) -> Result<Option<Dialed>, Error> {
    let LockState::Owned(owner) = Ownership::lock_state(context.places.data.as_path()) else { return Ok(None) };
    let Some(address) = address(&context.places, owner.as_ref()) else { return Ok(None) };
    match timeout_at(Instant::now() + DAEMON_TIMEOUT, greet(context, &address)).await {
        Ok(Ok(Greeted { welcome: Welcome { room: Some(Handover::Now), .. }, .. })) => Ok(None),
        Ok(Ok(greeted)) => Ok(Some(dialed(&address, greeted))),
        Ok(Err(NotGreeted::Refused(error))) => Err(Error::Refused(error)),
        Ok(Err(NotGreeted::Silent(_))) | Err(_) => Ok(None),
    }
}

/// The address of the owner of the data directory: from its lock file, else the default one.
pub(super) fn address(places: &Places, owner: Option<&Owner>) -> Option<Address> {
    let named = owner.and_then(|owner| Address::at(AbsPath::new(&owner.socket)?));
    named.or_else(|| Address::candidates(&places.runtime, &places.data).into_iter().next())
}

async fn greet(context: &LaunchContext, address: &Address) -> Result<Greeted, NotGreeted> {
    local::greet(address, &Hello::new(Some(&context.directory), (*context.environment).clone())).await
}

fn dialed(address: &Address, greeted: Greeted) -> Dialed {
    let Greeted { welcome, input, output } = greeted;
    let notice = notice(&welcome);
    let owner = Owner { pid: welcome.pid, version: welcome.version, socket: address.path().as_path().to_owned(), kind: welcome.kind };
    Dialed { input, output, owner, notice }
}

/// The message about an older daemon that does not shut down.
fn notice(welcome: &Welcome) -> Option<String> {
    if welcome.room != Some(Handover::Never) {
        return None;
    }
    let Welcome { pid, version, kind, .. } = welcome;
    let (what, advice) = match kind {
        OwnerKind::Foreground => ("`polytree serve`", "restart that one to use the newer version"),
        OwnerKind::Standalone => ("part of another program", "end that program to use the newer version"),
        OwnerKind::Detached => ("listening on the network", "`polytree stop` ends it, and the next command starts the newer version"),
    };
    Some(format!("polytree {version} (process {pid}, {what}) is running, but this is polytree {}: {advice}", version::version()))
}

/// How long a client of this version waits for the newer version that the last daemon made room for.
fn wait_for_newer(room: &Room, version: &str, now: i64) -> Option<Duration> {
    let left = u64::try_from(room.until.checked_sub(now)?).ok().filter(|left| *left > 0)?;
    // Limited, in case the clock was set back.
    version::is_newer(&room.version, version).then(|| Duration::from_millis(left).min(DAEMON_TIMEOUT))
}

/// The backoff of polling whether another process listens or has exited.
#[derive(Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    const MAX: Duration = Duration::from_millis(20);

    pub(super) async fn wait(&mut self, deadline: Instant) {
        let length = Duration::from_millis(1 << self.0.min(5)).min(Self::MAX);
        self.0 += 1;
        sleep_until(deadline.min(Instant::now() + length)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_older_versions_wait_and_with_a_limit() {
        let room = Room { version: "0.2.0".into(), until: 10_000 };
        assert_eq!(wait_for_newer(&room, "0.1.0", 9_000), Some(Duration::from_secs(1)));
        assert_eq!(wait_for_newer(&room, "0.2.0", 9_000), None);
        assert_eq!(wait_for_newer(&room, "0.3.0", 9_000), None);
        assert_eq!(wait_for_newer(&room, "0.1.0", 10_000), None);
        assert_eq!(wait_for_newer(&room, "0.1.0", 99_000), None);
        assert_eq!(wait_for_newer(&room, "0.1.0", 0), Some(DAEMON_TIMEOUT));
        assert_eq!(wait_for_newer(&Room { until: i64::MIN, ..room }, "0.1.0", i64::MAX), None);
    }
}
