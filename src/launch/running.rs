//! A daemon in this process, with its doors.

use std::{sync::Arc, time::Duration};

use super::{context::LaunchContext, error::Error, signals::Signals};
use crate::{
    api,
    cli::Screen,
    daemon::{Daemon, Ending},
    rpc::Rpc,
    serve::{
        local::{self, Address, Listener},
        web::NetworkListeners,
    },
    stdx::tasks::Tasks,
    store::OwnerKind,
};

/// The timeout of closing the doors.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(400);

/// The interval between attempts to open the socket again.
const REOPEN_INTERVAL: Duration = Duration::from_secs(5);

/// The exit code after a second signal.
const EXIT_AFTER_SECOND_SIGNAL: i32 = 143;

pub(super) struct RunningDaemon {
    pub daemon: Arc<Daemon>,
    pub rpc: Rpc,
    pub doors: Tasks,
}

impl RunningDaemon {
    /// Takes the data directory and opens the local socket immediately, so that other processes that find the directory
    /// owned can wait there until the daemon is ready.
    pub async fn open(context: &LaunchContext, kind: OwnerKind) -> Result<Self, Error> {
        let LaunchContext { places, environment, .. } = context;
        let addresses = Address::candidates(&places.runtime, &places.data);
        let first = addresses.first().ok_or(local::Error::Nowhere)?;
        let ownership = Daemon::own(places, kind, first.path())?;
        let listener = match Listener::bind_first(&addresses).await {
            Ok(listener) => Some(listener),
            // No client could find it.
            Err(error) if kind == OwnerKind::Detached => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the local socket could not be opened; other commands cannot reach this daemon");
                None
            }
        };
        let socket = listener.as_ref().map(|listener| listener.address().path().clone());
        if let Some(socket) = socket.as_ref().filter(|socket| *socket != first.path()) {
            ownership.listen_at(socket.as_path()).map_err(local::Error::io(socket))?;
        }
        let daemon = Daemon::start(ownership, places.clone(), environment, socket).await?;
        if let Some(aside) = daemon.set_aside() {
            Screen::standard().status(&format!("polytree: {aside}"));
        }
        let doors = Tasks::new();
        let rpc = api::rpc(Arc::clone(&daemon), &doors);
        if let Some(listener) = listener {
            drop(doors.spawn("local socket", listen(Arc::clone(&daemon), rpc.clone(), doors.clone(), listener, addresses)));
        }
        if let Some(requests) = daemon.listeners.requests() {
            let network = NetworkListeners::new(rpc.clone(), &doors, Arc::clone(&daemon.listeners), &places.data);
            drop(doors.spawn("network doors", network.serve(requests)));
        }
        Ok(Self { daemon, rpc, doors })
    }

    /// Ends the turns, lets the doors send the last answers, and closes the store. A signal meanwhile exits the process.
    pub async fn close(self, ending: Ending, signals: &mut Signals) {
        let close = async {
            self.daemon.interrupt(ending).await;
            self.daemon.events.end();
            self.doors.cancel();
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.doors.finished()).await;
            self.daemon.close();
        };
        tokio::select! {
            () = close => {}
            () = signals.next() => {
                tracing::warn!("received a second signal: changes that are not stored yet are lost");
                std::process::exit(EXIT_AFTER_SECOND_SIGNAL);
            }
        }
        // The kernel releases the lock when the process exits, so that a waiting process waits for the exit.
        std::mem::forget(self.daemon);
    }
}

/// Serves the local socket until the doors close. If the socket's file is removed, it is opened again, at another
/// address if necessary.
async fn listen(daemon: Arc<Daemon>, rpc: Rpc, doors: Tasks, mut listener: Listener, addresses: Vec<Address>) {
    loop {
        tokio::select! {
            () = listener.serve(&rpc, &doors) => return,
            () = listener.removed() => {}
        }
        listener = loop {
            match Listener::bind_first(&addresses).await {
                Ok(listener) => break listener,
                Err(error) => tracing::warn!(%error, "the local socket was removed and cannot be opened again yet"),
            }
            tokio::select! {
                () = tokio::time::sleep(REOPEN_INTERVAL) => {}
                () = doors.token().cancelled() => return,
            }
        };
        tracing::warn!(path = %listener.address().path(), "the local socket was removed and is opened again");
        daemon.listen_at(listener.address().path());
    }
}
