//! The lifetime of the daemon. A detached daemon shuts down when it is idle, on request, or to make room for a newer
//! version; one that a user or a program runs shuts down only on request. The decision is a pure function of the
//! situation.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use polytree_protocol::daemon::StopMode;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};

use crate::{
    session::Load,
    stdx::version::{is_newer, version},
    store::{OwnerKind, Ownership},
};

/// The work that a shutdown must not interrupt.
pub trait Work: Send + Sync {
    /// The work in progress.
    fn load(&self) -> Load;
    /// Refuses new work if there is none in progress; returns whether it does.
    fn close_if_idle(&self) -> bool;
    /// Refuses new work.
    fn close(&self);
    /// Signals every change of the load.
    fn changed(&self) -> watch::Receiver<()>;
}

/// Why the daemon shuts down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is idle.
    Idle,
    /// A client has stopped it.
    Stop,
    /// To make room for a newer version.
    Room(String),
    /// Its data directory or database was removed or replaced.
    Lost,
    /// Its store is damaged: the next daemon sets it aside and creates a new one.
    Damaged,
}

/// The answer to a newer client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handover {
    /// The daemon shuts down now; the client starts its own.
    Now,
    /// It shuts down after its turns, and accepts clients until then.
    Later,
    /// It does not shut down.
    Never,
}

/// The requests and events that affect the lifetime.
#[derive(Default)]
struct Orders {
    stop: Option<StopMode>,
    /// The newest version that room is made for.
    room: Option<String>,
    /// It shuts down: new clients are refused.
    shutting_down: bool,
    /// Its data directory or database was removed: changes would be lost.
    lost: bool,
    /// The store is damaged.
    damaged: bool,
}

/// The lifetime of a daemon.
pub struct Life {
    kind: OwnerKind,
    idle: Option<Duration>,
    work: Arc<dyn Work>,
    clients: watch::Receiver<usize>,
    listeners: watch::Receiver<usize>,
    // Never locked across an await.
    orders: Mutex<Orders>,
    ordered: watch::Sender<()>,
    place: OnceLock<Arc<Ownership>>,
}

/// The interval of checks that the data directory and the database still exist.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Life {
    /// `idle` is how long an idle daemon waits before it shuts down.
    #[must_use]
    pub fn new(
        kind: OwnerKind,
        idle: Option<Duration>,
        work: Arc<dyn Work>,
        clients: watch::Receiver<usize>,
        listeners: watch::Receiver<usize>,
    ) -> Arc<Self> {
        Arc::new(Self {
            kind,
            idle,
            work,
            clients,
            listeners,
            orders: Mutex::default(),
            ordered: watch::Sender::default(),
            place: OnceLock::new(),
        })
    }

    /// Shuts the daemon down when this data directory is removed. Called once.
    pub fn depend_on(&self, place: Arc<Ownership>) {
        let _ = self.place.set(place);
    }

    /// Whether the data directory or its database was removed. Checked at each call, so that no change is accepted that would
    /// be lost. The first time, it starts the shutdown.
    pub fn is_lost(&self) -> bool {
        if self.place.get().is_none_or(|place| place.is_in_place()) {
            return self.orders().lost;
        }
        let mut orders = self.orders();
        if !std::mem::replace(&mut orders.lost, true) {
            tracing::warn!("the data directory or its database was removed or replaced: the daemon shuts down");
            orders.shutting_down = true;
            drop(orders);
            self.work.close();
            self.ordered.send_replace(());
        }
        true
    }

    /// What kind of process it is.
    #[must_use]
    pub fn kind(&self) -> OwnerKind {
        self.kind
    }

    /// Whether new clients are refused.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.orders().shutting_down
    }

    /// Refuses new clients and new work from now on.
    pub fn shut_down(&self) {
        self.orders().shutting_down = true;
        self.work.close();
    }

    /// The store is damaged: a daemon with its own process refuses new work and shuts down. A standalone one, which only its
    /// client can stop, goes on and answers with the problem.
    pub fn damaged(&self) {
        if self.kind == OwnerKind::Standalone {
            return;
        }
        let mut orders = self.orders();
        (orders.damaged, orders.shutting_down) = (true, true);
        drop(orders);
        self.work.close();
        self.ordered.send_replace(());
    }

    /// Stops the daemon; returns the number of turns that it waits for. `None` if the daemon is standalone: only its client
    /// can stop it.
    #[must_use]
    pub fn stop(&self, mode: StopMode) -> Option<usize> {
        if self.kind == OwnerKind::Standalone {
            return None;
        }
        self.work.close();
        let mut orders = self.orders();
        if orders.stop != Some(StopMode::Now) {
            orders.stop = Some(mode);
        }
        let running = if orders.stop == Some(StopMode::Now) { 0 } else { self.work.load().running };
        drop(orders);
        self.ordered.send_replace(());
        Some(running)
    }

    /// A client of this version has connected; if it is newer, returns what the daemon does about it.
    #[must_use]
    pub fn make_room(&self, client: &str) -> Option<Handover> {
        if !is_newer(client, version()) {
            return None;
        }
        if self.kind != OwnerKind::Detached {
            return Some(Handover::Never);
        }
        let mut orders = self.orders();
        if orders.room.as_deref().is_none_or(|known| is_newer(client, known)) {
            orders.room = Some(client.to_owned());
        }
        if *self.listeners.borrow() > 0 {
            // Listeners may be closed later.
            return Some(Handover::Never);
        }
        orders.shutting_down |= self.work.close_if_idle();
        let making = if orders.shutting_down { Handover::Now } else { Handover::Later };
        drop(orders);
        self.ordered.send_replace(());
        Some(making)
    }

    /// Waits for the reason to shut down.
    pub async fn end(&self) -> Reason {
        let (mut clients, mut listeners) = (self.clients.clone(), self.listeners.clone());
        let (mut work, mut ordered) = (self.work.changed(), self.ordered.subscribe());
        let mut quiet_since = Instant::now();
        loop {
            // Changes from here on wake the wait below.
            for receiver in [&mut clients, &mut listeners] {
                receiver.mark_unchanged();
            }
            work.mark_unchanged();
            ordered.mark_unchanged();
            if self.is_lost() {
                return Reason::Lost;
            }
            if self.orders().damaged {
                return Reason::Damaged;
            }
            if let Some(version) = self.promised_room() {
                return Reason::Room(version);
            }
            match decide(&self.situation(quiet_since.elapsed())) {
                Decision::ShutDown(reason) => {
                    let mut orders = self.orders();
                    // Work or a client may have arrived meanwhile; then it is decided again.
                    orders.shutting_down |= reason == Reason::Stop || self.work.close_if_idle();
                    if orders.shutting_down {
                        return reason;
                    }
                }
                Decision::Stay(until) => {
                    let timer = async {
                        match until {
                            Some(left) => tokio::time::sleep(left).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = timer => continue,
                        Ok(()) = clients.changed() => {}
                        Ok(()) = listeners.changed() => {}
                        Ok(()) = work.changed() => {}
                        Ok(()) = ordered.changed() => {}
                        () = self.lost() => continue,
                    }
                    quiet_since = Instant::now();
                }
            }
        }
    }

    /// Waits until the data directory is removed.
    async fn lost(&self) {
        while !self.is_lost() {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// The version that the daemon shuts down for now.
    fn promised_room(&self) -> Option<String> {
        let orders = self.orders();
        orders.room.clone().filter(|_| orders.shutting_down && orders.stop.is_none())
    }

    fn situation(&self, quiet: Duration) -> Situation {
        let orders = self.orders();
        Situation {
            kind: self.kind,
            clients: *self.clients.borrow(),
            listeners: *self.listeners.borrow(),
            load: self.work.load(),
            stop: orders.stop,
            room: orders.room.clone(),
            idle: self.idle,
            quiet,
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        // Each change is a single assignment, so a panic elsewhere leaves it valid.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What the decision depends on.
#[derive(Debug, Clone)]
struct Situation {
    kind: OwnerKind,
    clients: usize,
    listeners: usize,
    load: Load,
    stop: Option<StopMode>,
    room: Option<String>,
    idle: Option<Duration>,
    /// The time since the last change.
    quiet: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    ShutDown(Reason),
    /// Until a change, or for this time.
    Stay(Option<Duration>),
}

fn decide(situation: &Situation) -> Decision {
    let Situation { kind, clients, listeners, load, stop, room, idle, quiet } = situation;
    match stop {
        Some(StopMode::Now) => return Decision::ShutDown(Reason::Stop),
        // Queued prompts are kept for the next daemon.
        Some(StopMode::Wait) if load.running == 0 && load.busy == 0 => return Decision::ShutDown(Reason::Stop),
        Some(StopMode::Wait) => return Decision::Stay(None),
        None => {}
    }
    if *kind != OwnerKind::Detached || *listeners > 0 || !load.is_nothing() {
        return Decision::Stay(None);
    }
    match (room, idle) {
        (Some(version), _) => Decision::ShutDown(Reason::Room(version.clone())),
        (None, Some(idle)) if *clients == 0 => match idle.checked_sub(*quiet).filter(|left| !left.is_zero()) {
            Some(left) => Decision::Stay(Some(left)),
            None => Decision::ShutDown(Reason::Idle),
        },
        _ => Decision::Stay(None),
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
