//! What the executable can be: a daemon inside a client's subprocess, a daemon in the foreground, or a client of
//! whichever daemon owns the data directory.

pub mod network;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    api::connection::{Connection, Door},
    cli,
    config::Places,
    daemon::{Daemon, Ending, Error},
    jsonrpc::peer::{Notification, Peer},
    serve::{
        connection::End,
        local::{self, Address, Hello, Listener},
        rpc::Rpc,
        stdio,
        web::Doors,
    },
    stdx::{paths::AbsPath, tasks::Tasks},
    storage::{Owner, Ownership},
};

/// How long a client waits for a daemon that is about to listen.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the doors may take to close.
const CLOSING: Duration = Duration::from_millis(400);

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

/// A daemon with its doors.
struct House {
    daemon: Arc<Daemon>,
    rpc: Rpc,
    doors: Tasks,
}

impl House {
    /// Takes the data directory and opens the local socket. A socket that cannot be opened keeps no daemon from its work.
    async fn open(surroundings: &Surroundings) -> Result<Self, Error> {
        let address = Address::new(&surroundings.places.runtime, &surroundings.places.data);
        let daemon = Daemon::start(surroundings.places.clone(), &surroundings.environment, Some(address.path().clone())).await?;
        let doors = Tasks::new();
        let rpc = Rpc::new(Arc::clone(&daemon), &doors);
        match Listener::bind(address).await {
            Ok(listener) => {
                let (rpc, tasks) = (rpc.clone(), doors.clone());
                drop(doors.spawn("local socket", async move { listener.serve(&rpc, &tasks).await }));
            }
            Err(error) => tracing::warn!(%error, "the local socket could not be opened; other commands cannot reach this daemon"),
        }
        if let Some(wishes) = daemon.listeners.wishes() {
            let network = Doors::new(rpc.clone(), &doors, Arc::clone(&daemon.listeners), &surroundings.places.data);
            drop(doors.spawn("network doors", network.serve(wishes)));
        }
        Ok(Self { daemon, rpc, doors })
    }

    /// Ends the turns, lets the doors give their last answers, closes the store.
    async fn close(self, ending: Ending) {
        self.daemon.interrupt(ending).await;
        self.doors.cancel();
        let _ = tokio::time::timeout(CLOSING, self.doors.finished()).await;
        self.daemon.close();
    }
}

/// Runs the whole daemon for the client on standard input and output; ends with its input, or by a signal.
///
/// # Errors
/// When the daemon does not start.
pub async fn standalone(surroundings: Surroundings) -> Result<(), Error> {
    let house = House::open(&surroundings).await?;
    let connection = Arc::new(Connection::new(Door::Stdio, Some(surroundings.directory), surroundings.environment));
    let daemon = Arc::clone(&house.daemon);
    let interrupt = async move { daemon.interrupt(Ending::Abort).await };
    let ending = tokio::select! {
        end = stdio::serve_stdio(&house.rpc, connection, &house.doors, interrupt) => {
            tracing::debug!(?end, "the client has ended");
            Ending::Abort
        }
        () = terminated() => Ending::Leave,
    };
    house.close(ending).await;
    Ok(())
}

/// Runs the daemon in the foreground until a signal ends it.
///
/// # Errors
/// When the daemon does not start.
pub async fn serve(surroundings: Surroundings, ready: impl FnOnce(&Daemon)) -> Result<(), Error> {
    let house = House::open(&surroundings).await?;
    ready(&house.daemon);
    terminated().await;
    house.close(Ending::Leave).await;
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
            house.close(Ending::Abort).await;
        }
        self.tasks.cancel();
    }
}

/// Reaches a daemon: over the local socket the owner of the data directory, or one inside this process where nobody owns it.
///
/// # Errors
/// When the owner of the data directory does not answer, or no daemon can be started.
pub async fn reach(surroundings: &Surroundings) -> Result<(cli::Daemon, Backing), Error> {
    let tasks = Tasks::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(owner) = Ownership::look(surroundings.places.data.as_path()) {
            match connect(surroundings, &owner, &tasks).await {
                Some(daemon) => return Ok((daemon, Backing { house: None, tasks })),
                // It has the lock and does not listen yet, or is about to go.
                None if tokio::time::Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
                None => return Err(Error::Owned { data: surroundings.places.data.clone(), owner: Some(owner) }),
            }
            continue;
        }
        match House::open(surroundings).await {
            Ok(house) => {
                let daemon = inside(surroundings, &house, &tasks);
                return Ok((daemon, Backing { house: Some(house), tasks }));
            }
            // Somebody else was quicker.
            Err(Error::Owned { .. }) if tokio::time::Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
    }
}

async fn connect(surroundings: &Surroundings, owner: &Owner, tasks: &Tasks) -> Option<cli::Daemon> {
    let address = Address::new(&surroundings.places.runtime, &surroundings.places.data);
    let hello = Hello::new(Some(&surroundings.directory), (*surroundings.environment).clone());
    match local::connect(&address, &hello).await {
        Ok((input, output)) => Some(connected(Peer::start(input, output, tasks))),
        Err(error) => {
            tracing::debug!(%error, pid = owner.pid, "the owner does not listen");
            None
        }
    }
}

/// A connection within this process, the same as any other but for the pipe.
fn inside(surroundings: &Surroundings, house: &House, tasks: &Tasks) -> cli::Daemon {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (near_input, near_output) = tokio::io::split(near);
    let (far_input, far_output) = tokio::io::split(far);
    let connection = Arc::new(Connection::new(Door::Local, Some(surroundings.directory.clone()), Arc::clone(&surroundings.environment)));
    let (rpc, doors) = (house.rpc.clone(), house.doors.clone());
    drop(house.doors.spawn("inner connection", async move {
        let end: End = stdio::serve_streams(&rpc, connection, &doors, far_input, far_output, std::future::ready(())).await;
        tracing::debug!(?end, "the inner connection has ended");
    }));
    connected(Peer::start(near_input, near_output, tasks))
}

fn connected((peer, notifications): (Peer, tokio::sync::mpsc::UnboundedReceiver<Notification>)) -> cli::Daemon {
    cli::Daemon { peer, notifications }
}

/// Waits for the signal that ends a daemon.
async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}
