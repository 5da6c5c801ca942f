//! Runs the process as a detached daemon, a daemon in the foreground, a daemon inside a client's process, or a client of
//! the running daemon.

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
    detached::{report_failure, report_problem},
    dial::{DAEMON_TIMEOUT, Dialed, Start, dial},
    error::{Error, with_causes},
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
    store::{LockState, OwnerKind, Ownership},
};

/// Runs a daemon for the client on standard input and output; ends with its input, or by a signal.
///
/// # Errors
/// If the daemon does not start.
pub async fn standalone(context: LaunchContext) -> Result<(), Error> {
    let mut signals = Signals::listen();
    let running = RunningDaemon::open(&context, OwnerKind::Standalone).await?;
    let connection = Arc::new(Connection::new(Door::Stdio, Some(context.directory), context.environment));
    let (daemon, life) = (Arc::clone(&running.daemon), Arc::clone(&running.daemon.life));
    let interrupt = async move { daemon.interrupt(Ending::Abort).await };
    let ending = tokio::select! {
        end = stdio::serve_stdio(&running.rpc, connection, &running.doors, interrupt) => {
            tracing::debug!(?end, "the client has disconnected");
            Ending::Abort
        }
        () = signals.next() => Ending::Interrupt,
        reason = life.end() => {
            tracing::info!(?reason, "the daemon shuts down");
            Ending::Interrupt
        }
    };
    running.close(ending, &mut signals).await;
    Ok(())
}

/// Runs the daemon in the foreground until a signal ends it.
///
/// # Errors
/// If the daemon does not start.
pub async fn serve(context: LaunchContext, ready: impl FnOnce(&Daemon)) -> Result<(), Error> {
    run(context, OwnerKind::Foreground, ready).await
}

/// Runs the daemon that [`dial`] starts: reports that it is ready, and exits when it is idle.
///
/// # Errors
/// If the daemon does not start; [`report_failure`] passes this on to the starting process.
pub async fn serve_detached(context: LaunchContext) -> Result<(), Error> {
    run(context, OwnerKind::Detached, |_| detached::report_ready()).await
}

async fn run(context: LaunchContext, kind: OwnerKind, ready: impl FnOnce(&Daemon)) -> Result<(), Error> {
    let mut signals = Signals::listen();
    let running = RunningDaemon::open(&context, kind).await?;
    tracing::info!(?kind, pid = std::process::id(), "the daemon accepts clients");
    ready(&running.daemon);
    let reason = tokio::select! {
        () = signals.next() => None,
        reason = running.daemon.life.end() => Some(reason),
    };
    match &reason {
        None => tracing::info!("the daemon shuts down: it received a signal"),
        Some(reason) => tracing::info!(?reason, "the daemon shuts down"),
    }
    match reason {
        Some(Reason::Room(version)) => running.daemon.make_room(version),
        Some(Reason::Stop) | None => running.daemon.note_stop(),
        Some(Reason::Idle | Reason::Lost | Reason::Damaged) => {}
    }
    running.close(Ending::Interrupt, &mut signals).await;
    Ok(())
}

/// What is closed with a client's connection: its tasks, and the daemon if it runs in this process.
pub struct Backing {
    running: Option<RunningDaemon>,
    tasks: Tasks,
}

impl Backing {
    /// Closes the connection, and the daemon if it runs in this process.
    pub async fn close(self) {
        if let Some(running) = self.running {
            running.close(Ending::Abort, &mut Signals::listen()).await;
        }
        self.tasks.cancel();
    }
}

/// Connects a command to the daemon; starts one if none runs. `tell` receives messages for the user.
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

/// The running daemon, for a command that changes nothing: never starts a daemon, and never makes one shut down.
pub async fn running(context: &LaunchContext) -> cli::Running {
    match dial::find(context).await {
        Ok(Some(Dialed { input, output, .. })) => {
            // The connection is closed when the process exits.
            let (peer, notifications) = Peer::start(input, output, &Tasks::new());
            cli::Running::Daemon(cli::Daemon { peer, notifications })
        }
        found => match Ownership::lock_state(context.places.data.as_path()) {
            LockState::Owned(owner) => {
                let problem = found.err().map_or_else(|| "it does not answer on its socket".to_owned(), |error| error.with_causes());
                cli::Running::Silent(owner, problem)
            }
            LockState::Free(_) => cli::Running::Nobody,
        },
    }
}

/// Runs a daemon within this process for one command.
///
/// # Errors
/// If another process owns the data directory, or it cannot be used.
pub async fn inside(context: &LaunchContext) -> Result<(cli::Daemon, Backing), Error> {
    let running = RunningDaemon::open(context, OwnerKind::Standalone).await?;
    // Like any other connection, but over a pipe in memory.
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
