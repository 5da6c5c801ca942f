//! A daemon with its doors.

use std::{sync::Arc, time::Duration};

use super::{Error, Surroundings, signals::Signals};
use crate::{
    cli::Screen,
    daemon::{Daemon, Ending},
    serve::{
        local::{Address, Listener},
        rpc::Rpc,
        web::Doors,
    },
    stdx::tasks::Tasks,
    storage::Kind,
};

/// How long the doors may take to close.
const CLOSING: Duration = Duration::from_millis(400);

/// With which code a daemon ends that was told twice.
const TOLD_TWICE: i32 = 143;

/// A daemon with its doors.
pub(super) struct House {
    pub daemon: Arc<Daemon>,
    pub rpc: Rpc,
    pub doors: Tasks,
}

impl House {
    /// Takes the data directory and opens the local socket: at once, so that whoever finds the directory owned can wait
    /// there until the daemon serves.
    pub async fn open(surroundings: &Surroundings, kind: Kind) -> Result<Self, Error> {
        let Surroundings { places, environment, .. } = surroundings;
        let address = Address::new(&places.runtime, &places.data);
        let ownership = Daemon::own(places, kind, address.path())?;
        let listener = match Listener::bind(address.clone()).await {
            Ok(listener) => Some(listener),
            // Nobody else would ever find it.
            Err(error) if kind == Kind::Detached => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the local socket could not be opened; other commands cannot reach this daemon");
                None
            }
        };
        let socket = listener.is_some().then(|| address.path().clone());
        let daemon = Daemon::start(ownership, places.clone(), environment, socket).await?;
        if let Some(aside) = daemon.set_aside() {
            Screen::standard().status(&format!("polytree: {aside}"));
        }
        let doors = Tasks::new();
        let rpc = Rpc::new(Arc::clone(&daemon), &doors);
        if let Some(listener) = listener {
            let (rpc, tasks) = (rpc.clone(), doors.clone());
            drop(doors.spawn("local socket", async move { listener.serve(&rpc, &tasks).await }));
        }
        if let Some(wishes) = daemon.listeners.wishes() {
            let network = Doors::new(rpc.clone(), &doors, Arc::clone(&daemon.listeners), &places.data);
            drop(doors.spawn("network doors", network.serve(wishes)));
        }
        Ok(Self { daemon, rpc, doors })
    }

    /// Ends the turns, lets the doors give their last answers, closes the store. A signal meanwhile ends the process.
    pub async fn close(self, ending: Ending, signals: &mut Signals) {
        let close = async {
            self.daemon.interrupt(ending).await;
            self.daemon.events.end();
            self.doors.cancel();
            let _ = tokio::time::timeout(CLOSING, self.doors.finished()).await;
            self.daemon.close();
        };
        tokio::select! {
            () = close => {}
            () = signals.next() => {
                tracing::warn!("told to end a second time: what was not stored yet is lost");
                std::process::exit(TOLD_TWICE);
            }
        }
        // The lock is let go by the kernel, with the process: whoever waits for it waits for the real end.
        std::mem::forget(self.daemon);
    }
}
