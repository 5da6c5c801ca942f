//! What the executable can be: a daemon that outlives whoever needed it, a daemon in the foreground, a daemon inside a
//! client's process, or a client of whichever daemon owns the data directory.

mod detached;
mod dial;
mod error;
mod house;
pub mod network;
mod relay;
mod signals;
mod stop;

use std::{collections::BTreeMap, sync::Arc};

pub use self::{
    detached::{say_cannot, say_failed},
    dial::{Dialed, PATIENCE, Start, dial},
    error::{Error, told},
    relay::relay,
    stop::stop,
};
use self::{house::House, signals::Signals};
use crate::{
    cli,
    config::Places,
    daemon::{Daemon, Ending, life::Reason},
    jsonrpc::peer::Peer,
    rpc::connection::{Connection, Door},
    serve::{engine::End, stdio},
    stdx::{paths::AbsPath, tasks::Tasks},
    store::{Kind, Look, Ownership},
};

/// What the process was started with.
#[derive(Clone)]
pub struct Surroundings {
    /// Its variables.
    pub environment: Arc<BTreeMap<String, String>>,
    /// The directory that is meant.
    pub directory: AbsPath,
    /// Where settings, data and sockets are.
    pub places: Places,
}

/// Runs the whole daemon for the client on standard input and output; ends with its input, or by a signal.
///
/// # Errors
/// When the daemon does not start.
pub async fn standalone(surroundings: Surroundings) -> Result<(), Error> {
    let mut signals = Signals::listen();
    let house = House::open(&surroundings, Kind::Standalone).await?;
    let connection = Arc::new(Connection::new(Door::Stdio, Some(surroundings.directory), surroundings.environment));
    let (daemon, life) = (Arc::clone(&house.daemon), Arc::clone(&house.daemon.life));
    let interrupt = async move { daemon.interrupt(Ending::Abort).await };
    let ending = tokio::select! {
        end = stdio::serve_stdio(&house.rpc, connection, &house.doors, interrupt) => {
            tracing::debug!(?end, "the client has ended");
            Ending::Abort
        }
        () = signals.next() => Ending::Leave,
        reason = life.end() => {
            tracing::info!(?reason, "the daemon ends");
            Ending::Leave
        }
    };
    house.close(ending, &mut signals).await;
    Ok(())
}

/// Runs the daemon in the foreground until a signal ends it.
///
/// # Errors
/// When the daemon does not start.
pub async fn serve(surroundings: Surroundings, ready: impl FnOnce(&Daemon)) -> Result<(), Error> {
    live(surroundings, Kind::Foreground, ready).await
}

/// Runs the daemon that [`dial`] starts: tells it that it is ready, and leaves when nobody needs it any more.
///
/// # Errors
/// When the daemon does not start; [`say_failed`] tells it to whoever waits.
pub async fn serve_detached(surroundings: Surroundings) -> Result<(), Error> {
    live(surroundings, Kind::Detached, |_| detached::say_ready()).await
}

async fn live(surroundings: Surroundings, kind: Kind, ready: impl FnOnce(&Daemon)) -> Result<(), Error> {
    let mut signals = Signals::listen();
    let house = House::open(&surroundings, kind).await?;
    tracing::info!(?kind, pid = std::process::id(), "the daemon serves");
    ready(&house.daemon);
    let reason = tokio::select! {
        () = signals.next() => None,
        reason = house.daemon.life.end() => Some(reason),
    };
    match &reason {
        None => tracing::info!("the daemon ends: it got a signal"),
        Some(reason) => tracing::info!(?reason, "the daemon ends"),
    }
    match reason {
        Some(Reason::Room(version)) => house.daemon.make_room(version),
        Some(Reason::Stop) | None => house.daemon.note_stop(),
        Some(Reason::Idle | Reason::Lost | Reason::Damaged) => {}
    }
    house.close(Ending::Leave, &mut signals).await;
    Ok(())
}

/// What stands behind a client's connection: nothing, or a daemon of its own.
pub struct Backing {
    house: Option<House>,
    tasks: Tasks,
}

impl Backing {
    /// Ends the connection, and the daemon if it is ours.
    pub async fn close(self) {
        if let Some(house) = self.house {
            house.close(Ending::Abort, &mut Signals::listen()).await;
        }
        self.tasks.cancel();
    }
}

/// Reaches the one daemon for a command; starts it where there is none. `tell` gets what the person should know.
///
/// # Errors
/// As [`dial`].
pub async fn reach(surroundings: &Surroundings, tell: impl FnOnce(&str)) -> Result<(cli::Daemon, Backing), Error> {
    let Dialed { input, output, notice, .. } = dial(surroundings, Start::Always).await?;
    if let Some(notice) = notice {
        tell(&notice);
    }
    let tasks = Tasks::new();
    let (peer, notifications) = Peer::start(input, output, &tasks);
    Ok((cli::Daemon { peer, notifications }, Backing { house: None, tasks }))
}

/// The daemon that runs, for a command that only looks; starts none, and makes none leave.
pub async fn running(surroundings: &Surroundings) -> cli::Running {
    match dial::find(surroundings).await {
        Ok(Some(Dialed { input, output, .. })) => {
            // The connection ends with the process.
            let (peer, notifications) = Peer::start(input, output, &Tasks::new());
            cli::Running::Daemon(cli::Daemon { peer, notifications })
        }
        found => match Ownership::look(surroundings.places.data.as_path()) {
            Look::Owned(owner) => {
                let problem = found.err().map_or_else(|| "it does not answer on its socket".to_owned(), |error| error.told());
                cli::Running::Silent(owner, problem)
            }
            Look::Free(_) => cli::Running::Nobody,
        },
    }
}

/// Runs a daemon within this process, for a command alone.
///
/// # Errors
/// When another process owns the data directory, or it cannot be used.
pub async fn inside(surroundings: &Surroundings) -> Result<(cli::Daemon, Backing), Error> {
    let house = House::open(surroundings, Kind::Standalone).await?;
    // The same connection as any other but for the pipe.
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (near_input, near_output) = tokio::io::split(near);
    let (far_input, far_output) = tokio::io::split(far);
    let connection = Arc::new(Connection::new(Door::Local, Some(surroundings.directory.clone()), Arc::clone(&surroundings.environment)));
    let (rpc, doors) = (house.rpc.clone(), house.doors.clone());
    drop(house.doors.spawn("inner connection", async move {
        let end: End =
            stdio::serve_streams(&rpc, connection, &doors, (far_input, std::future::pending()), far_output, std::future::ready(())).await;
        tracing::debug!(?end, "the inner connection has ended");
    }));
    let tasks = Tasks::new();
    let (peer, notifications) = Peer::start(near_input, near_output, &tasks);
    Ok((cli::Daemon { peer, notifications }, Backing { house: Some(house), tasks }))
}
