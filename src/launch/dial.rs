//! The way to the one daemon: it is reached where it listens, and started where there is none.

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
    daemon::life::Making,
    serve::local::{self, Address, Greeted, Hello, NotGreeted, Welcome},
    stdx::{paths::AbsPath, time::now_ms, version},
    store::{Kind, LockState, Owner, Ownership, Room},
};

/// How long a daemon may take to answer, or to start.
pub const DAEMON_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the daemon: the hello is said and accepted.
pub struct Dialed {
    /// What the daemon sends.
    pub input: Box<dyn AsyncRead + Unpin + Send>,
    /// What it reads.
    pub output: Box<dyn AsyncWrite + Unpin + Send>,
    /// Who serves.
    pub owner: Owner,
    /// What the person should know about it, such as that it is an older version which stays.
    pub notice: Option<String>,
}

/// When a daemon is started where none runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Always.
    Always,
    /// Not when the last one was told to stop.
    UnlessStopped,
}

/// Reaches the daemon of the data directory, and starts one where nobody owns it. Costs a look at its lock file, a
/// connection and one exchange of lines where a daemon runs. May be called again whenever the connection is lost; needs
/// no more of the runtime than its drivers.
///
/// # Errors
/// When the owner does not answer within five seconds or does not serve this version, or no daemon is started.
pub async fn dial(context: &LaunchContext, start: Start) -> Result<Dialed, Error> {
    let data = &context.places.data;
    let mut deadline = Instant::now() + DAEMON_TIMEOUT;
    let mut room_until = None;
    // For a while: it makes room for us.
    let mut refused = None;
    let mut pause = Pause::default();
    loop {
        let lock = Ownership::lock_state(data.as_path());
        if let LockState::Owned(owner) = &lock
            && let Some(address) = address(&context.places, owner.as_ref())
        {
            match timeout_at(deadline, greet(context, &address)).await {
                // It leaves, and the next one is ours.
                Ok(Ok(Greeted { welcome: Welcome { room: Some(Making::Now), .. }, .. })) => {}
                Ok(Ok(greeted)) => return Ok(dialed(&address, greeted)),
                Ok(Err(NotGreeted::Refused(error))) if error.retry_after().is_none() => return Err(Error::Refused(error)),
                Ok(Err(NotGreeted::Refused(error))) => refused = Some(error),
                Ok(Err(NotGreeted::Silent(error))) => tracing::debug!(%error, "nobody answers on the socket"),
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
                && let Some(wait) = room.and_then(|room| to_wait(&room, version::version(), now_ms()))
            {
                tracing::debug!(version = %version::version(), "the place is left to a newer version");
                // The newer daemon has its own time to start.
                room_until = Some(Instant::now() + wait);
                deadline += wait;
            }
            if room_until.is_none_or(|until| Instant::now() >= until) && detached::start(context, deadline).await? == Started::Ready {
                continue;
            }
        }
        // Somebody is about to listen, or about to go.
        pause.take(deadline).await;
    }
}

/// Reaches the daemon if one runs and serves this version.
///
/// # Errors
/// When it does not serve this version.
pub async fn find(context: &LaunchContext) -> Result<Option<Dialed>, Error> {
    let LockState::Owned(owner) = Ownership::lock_state(context.places.data.as_path()) else { return Ok(None) };
    let Some(address) = address(&context.places, owner.as_ref()) else { return Ok(None) };
    match timeout_at(Instant::now() + DAEMON_TIMEOUT, greet(context, &address)).await {
        Ok(Ok(Greeted { welcome: Welcome { room: Some(Making::Now), .. }, .. })) => Ok(None),
        Ok(Ok(greeted)) => Ok(Some(dialed(&address, greeted))),
        Ok(Err(NotGreeted::Refused(error))) => Err(Error::Refused(error)),
        Ok(Err(NotGreeted::Silent(_))) | Err(_) => Ok(None),
    }
}

/// Where the owner of the data directory listens: where its lock file says, else where it listens by default.
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

/// What to tell about a daemon that is older and stays.
fn notice(welcome: &Welcome) -> Option<String> {
    if welcome.room != Some(Making::Never) {
        return None;
    }
    let Welcome { pid, version, kind, .. } = welcome;
    let (what, advice) = match kind {
        Kind::Foreground => ("`polytree serve`", "restart that one to use the newer version"),
        Kind::Standalone => ("part of another program", "end that program to use the newer version"),
        Kind::Detached => ("listening on the network", "`polytree stop` ends it, and the next command starts the newer version"),
    };
    Some(format!("polytree {version} (process {pid}, {what}) serves here, although this is polytree {}: {advice}", version::version()))
}

/// For how long a client of this version leaves the place to the newer one for which it was made.
fn to_wait(room: &Room, version: &str, now: i64) -> Option<Duration> {
    let left = u64::try_from(room.until.checked_sub(now)?).ok().filter(|left| *left > 0)?;
    // A clock that was set back makes nobody wait for longer.
    version::is_newer(&room.version, version).then(|| Duration::from_millis(left).min(DAEMON_TIMEOUT))
}

/// Growing pauses for what nobody tells: that another process listens, or has gone.
#[derive(Default)]
pub(super) struct Pause(u32);

impl Pause {
    const LONGEST: Duration = Duration::from_millis(20);

    pub(super) async fn take(&mut self, deadline: Instant) {
        let length = Duration::from_millis(1 << self.0.min(5)).min(Self::LONGEST);
        self.0 += 1;
        sleep_until(deadline.min(Instant::now() + length)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_older_ones_wait_and_only_for_a_while() {
        let room = Room { version: "0.2.0".into(), until: 10_000 };
        assert_eq!(to_wait(&room, "0.1.0", 9_000), Some(Duration::from_secs(1)));
        assert_eq!(to_wait(&room, "0.2.0", 9_000), None);
        assert_eq!(to_wait(&room, "0.3.0", 9_000), None);
        assert_eq!(to_wait(&room, "0.1.0", 10_000), None);
        assert_eq!(to_wait(&room, "0.1.0", 99_000), None);
        assert_eq!(to_wait(&room, "0.1.0", 0), Some(DAEMON_TIMEOUT));
        assert_eq!(to_wait(&Room { until: i64::MIN, ..room }, "0.1.0", i64::MAX), None);
    }
}
