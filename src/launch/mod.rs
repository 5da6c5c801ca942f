//! What the process becomes: a daemon in the background, a daemon in the foreground, a daemon inside a client's process, or
//! a client of the running daemon.

mod context;
mod detached;
mod dial;
mod error;
pub mod network;
mod relay;
mod running;
mod signals;
mod stop;

use std::sync::Arc;

pub use self::{
    context::LaunchContext,
    detached::{say_cannot, say_failed},
    dial::{DAEMON_TIMEOUT, Dialed, Start, dial},
    error::{Error, told},
    relay::relay,
    stop::stop,
};
use self::{running::RunningDaemon, signals::Signals};
use crate::{
    cli,
    daemon::{Daemon, Ending, life::Reason},
    jsonrpc::peer::Peer,
    rpc::connection::{Connection, Door},
    serve::{engine::End, stdio},
    stdx::tasks::Tasks,
    store::{Kind, LockState, Ownership},
};

/// Runs the whole daemon for the client on standard input and output; ends with its input, or by a signal.
///
/// # Errors
/// When the daemon does not start.
pub async fn standalone(context: LaunchContext) -> Result<(), Error> {
    let mut signals = Signals::listen();
    let running = RunningDaemon::open(&context, Kind::Standalone).await?;
    let connection = Arc::new(Connection::new(Door::Stdio, Some(context.directory), context.environment));
    let (daemon, life) = (Arc::clone(&running.daemon), Arc::clone(&running.daemon.life));
    let interrupt = async move { daemon.interrupt(Ending::Abort).await };
    let ending = tokio::select! {
        end = stdio::serve_stdio(&running.rpc, connection, &running.doors, interrupt) => {
            tracing::debug!(?end, "the client has ended");
            Ending::Abort
        }
        () = signals.next() => Ending::Leave,
        reason = life.end() => {
            tracing::info!(?reason, "the daemon ends");
            Ending::Leave
        }
    };
    running.close(ending, &mut signals).await;
    Ok(())
}

/// Runs the daemon in the foreground until a signal ends it.
///
/// # Errors
/// When the daemon does not start.
pub async fn serve(context: LaunchContext, ready: impl FnOnce(&Daemon)) -> Result<(), Error> {
    live(context, Kind::Foreground, ready).await
}

/// Runs the daemon that [`dial`] starts: tells it that it is ready, and leaves when nobody needs it any more.
///
/// # Errors
/// When the daemon does not start; [`say_failed`] tells it to whoever waits.
pub async fn serve_detached(context: LaunchContext) -> Result<(), Error> {
    live(context, Kind::Detached, |_| detached::say_ready()).await
}

async fn live(context: LaunchContext, kind: Kind, ready: impl FnOnce(&Daemon)) -> Result<(), Error> {
    let mut signals = Signals::listen();
    let running = RunningDaemon::open(&context, kind).await?;
    tracing::info!(?kind, pid = std::process::id(), "the daemon serves");
    ready(&running.daemon);
    let reason = tokio::select! {
        () = signals.next() => None,
        reason = running.daemon.life.end() => Some(reason),
    };
    match &reason {
        None => tracing::info!("the daemon ends: it got a signal"),
        Some(reason) => tracing::info!(?reason, "the daemon ends"),
    }
    match reason {
        Some(Reason::Room(version)) => running.daemon.make_room(version),
        Some(Reason::Stop) | None => running.daemon.note_stop(),
        Some(Reason::Idle | Reason::Lost | Reason::Damaged) => {}
    }
    running.close(Ending::Leave, &mut signals).await;
    Ok(())
}

/// What must be closed with a client's connection: its tasks, and a daemon if it runs in this process.
pub struct Backing {
    running: Option<RunningDaemon>,
    tasks: Tasks,
}

impl Backing {
    /// Ends the connection, and the daemon if it is ours.
    pub async fn close(self) {
        if let Some(running) = self.running {
            running.close(Ending::Abort, &mut Signals::listen()).await;
        }
        self.tasks.cancel();
    }
}

/// Reaches the one daemon for a command; starts it where there is none. `tell` gets what the person should know.
///
/// # Errors
/// As [`dial`].
pub async fn reach(context: &LaunchContext, tell: impl FnOnce(&str)) -> Result<(cli::Daemon, Backing), Error> {
    let Dialed { input, output, notice, .. } = dial(context, Start::Always).await?;
    if let Some(notice) = notice {
        tell(&notice);
    }
    let tasks = Tasks::new();
    let (peer, notifications) = Peer::start(input, output, &tasks);
    Ok((cli::Daemon { peer, notifications }, Backing { running: None, tasks }))
}

/// The daemon that runs, for a command that only looks; starts none, and makes none leave.
pub async fn running(context: &LaunchContext) -> cli::Running {
    match dial::find(context).await {
        Ok(Some(Dialed { input, output, .. })) => {
            // The connection ends with the process.
            let (peer, notifications) = Peer::start(input, output, &Tasks::new());
            cli::Running::Daemon(cli::Daemon { peer, notifications })
        }
        found => match Ownership::lock_state(context.places.data.as_path()) {
            LockState::Owned(owner) => {
                let problem = found.err().map_or_else(|| "it does not answer on its socket".to_owned(), |error| error.told());
                cli::Running::Silent(owner, problem)
            }
            LockState::Free(_) => cli::Running::Nobody,
        },
    }
}

/// Runs a daemon within this process, for a command alone.
///
/// # Errors
/// When another process owns the data directory, or it cannot be used.
pub async fn inside(context: &LaunchContext) -> Result<(cli::Daemon, Backing), Error> {
    let running = RunningDaemon::open(context, Kind::Standalone).await?;
    // The same connection as any other but for the pipe.
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (near_input, near_output) = tokio::io::split(near);
    let (far_input, far_output) = tokio::io::split(far);
    let connection = Arc::new(Connection::new(Door::Local, Some(context.directory.clone()), Arc::clone(&context.environment)));
    let (rpc, doors) = (running.rpc.clone(), running.doors.clone());
    drop(running.doors.spawn("inner connection", async move {
        let end: End =
            stdio::serve_streams(&rpc, connection, &doors, (far_input, std::future::pending()), far_output, std::future::ready(())).await;
        tracing::debug!(?end, "the inner connection has ended");
    }));
    let tasks = Tasks::new();
    let (peer, notifications) = Peer::start(near_input, near_output, &tasks);
    Ok((cli::Daemon { peer, notifications }, Backing { running: Some(running), tasks }))
}

#[cfg(test)]
mod tool_tests;
