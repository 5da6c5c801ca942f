//! How long the daemon lives. One started in passing leaves when nobody needs it, when it is told to, or to make room
//! for a newer version; one that a person or a program runs leaves only when it is told to. What decides is a pure
//! function of what is there.

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
    store::{Kind, Ownership},
};

/// Whose work the daemon must not cut off.
pub trait Work: Send + Sync {
    /// What is under way.
    fn load(&self) -> Load;
    /// Takes no more work if nothing is under way; tells whether it takes none.
    fn close_if_idle(&self) -> bool;
    /// Takes no more work.
    fn close(&self);
    /// Tells of every change of the load.
    fn changed(&self) -> watch::Receiver<()>;
}

/// Why the daemon leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nobody needs it.
    Idle,
    /// It was told to.
    Stop,
    /// For a newer version.
    Room(String),
    /// Its data directory or database was removed or replaced.
    Lost,
    /// Its store is damaged: the next daemon sets it aside and begins a new one.
    Damaged,
}

/// What a newer client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Making {
    /// The daemon leaves at once: start yours.
    Now,
    /// It leaves when its turns have ended, and serves until then.
    Later,
    /// It stays.
    Never,
}

/// What was asked of the daemon.
#[derive(Default)]
struct Orders {
    stop: Option<StopMode>,
    /// The newest version that wants the place.
    room: Option<String>,
    /// It leaves, for whatever reason: newcomers are sent away.
    leaving: bool,
    /// Its data directory or database has gone: what it would store is lost.
    lost: bool,
    /// The store is damaged.
    damaged: bool,
}

/// The daemon's life.
pub struct Life {
    kind: Kind,
    idle: Option<Duration>,
    work: Arc<dyn Work>,
    clients: watch::Receiver<usize>,
    listeners: watch::Receiver<usize>,
    // Plain mutex: nothing is awaited while it is held.
    orders: Mutex<Orders>,
    ordered: watch::Sender<()>,
    place: OnceLock<Arc<Ownership>>,
}

/// How often it is looked whether the data directory and the database are still there.
const LOOK: Duration = Duration::from_secs(1);

impl Life {
    /// The life of a daemon of this kind that does this work. `idle` is how long it stays when nobody needs it.
    #[must_use]
    pub fn new(
        kind: Kind,
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

    /// From now on the daemon leaves when this place has gone. Said once.
    pub fn depend_on(&self, place: Arc<Ownership>) {
        let _ = self.place.set(place);
    }

    /// Whether the data directory or its database has gone. It is looked up each time, so nothing is taken that would be lost; the first
    /// time it has gone, the daemon is told to leave.
    pub fn is_lost(&self) -> bool {
        if self.place.get().is_none_or(|place| place.is_in_place()) {
            return self.orders().lost;
        }
        let mut orders = self.orders();
        if !std::mem::replace(&mut orders.lost, true) {
            tracing::warn!("the data directory or its database was removed or replaced: the daemon leaves");
            orders.leaving = true;
            drop(orders);
            self.work.close();
            self.ordered.send_replace(());
        }
        true
    }

    /// What kind of process it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it takes no more newcomers.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.orders().leaving
    }

    /// From now on newcomers are sent away and no work is taken.
    pub fn leave(&self) {
        self.orders().leaving = true;
        self.work.close();
    }

    /// The store is damaged: a daemon of its own process takes no more work and leaves. Inside another program, which alone
    /// can end it, it goes on and tells everybody who asks.
    pub fn damaged(&self) {
        if self.kind == Kind::Standalone {
            return;
        }
        let mut orders = self.orders();
        (orders.damaged, orders.leaving) = (true, true);
        drop(orders);
        self.work.close();
        self.ordered.send_replace(());
    }

    /// Tells the daemon to stop; gives the number of turns that are waited for. `None` where the daemon is part of
    /// another program, which alone can end it.
    #[must_use]
    pub fn stop(&self, mode: StopMode) -> Option<usize> {
        if self.kind == Kind::Standalone {
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

    /// A client of this version is here; where it is a newer one, tells what the daemon does about it.
    #[must_use]
    pub fn make_room(&self, client: &str) -> Option<Making> {
        if !is_newer(client, version()) {
            return None;
        }
        if self.kind != Kind::Detached {
            return Some(Making::Never);
        }
        let mut orders = self.orders();
        if orders.room.as_deref().is_none_or(|known| is_newer(client, known)) {
            orders.room = Some(client.to_owned());
        }
        if *self.listeners.borrow() > 0 {
            // They may be closed one day.
            return Some(Making::Never);
        }
        orders.leaving |= self.work.close_if_idle();
        let making = if orders.leaving { Making::Now } else { Making::Later };
        drop(orders);
        self.ordered.send_replace(());
        Some(making)
    }

    /// Waits until the daemon has to leave.
    pub async fn end(&self) -> Reason {
        let (mut clients, mut listeners) = (self.clients.clone(), self.listeners.clone());
        let (mut work, mut ordered) = (self.work.changed(), self.ordered.subscribe());
        let mut quiet_since = Instant::now();
        loop {
            // What changes while this is looked at wakes the wait below.
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
                Decision::Leave(reason) => {
                    let mut orders = self.orders();
                    // Work, or somebody, may have come in this moment; then it is decided again.
                    orders.leaving |= reason == Reason::Stop || self.work.close_if_idle();
                    if orders.leaving {
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

    /// Waits until the data directory has gone.
    async fn lost(&self) {
        while !self.is_lost() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The version that was told that the daemon leaves at once.
    fn promised_room(&self) -> Option<String> {
        let orders = self.orders();
        orders.room.clone().filter(|_| orders.leaving && orders.stop.is_none())
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
        // Every change is a single step, so a panic elsewhere leaves it sound.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// All that counts.
#[derive(Debug, Clone)]
struct Situation {
    kind: Kind,
    clients: usize,
    listeners: usize,
    load: Load,
    stop: Option<StopMode>,
    room: Option<String>,
    idle: Option<Duration>,
    /// How long nothing has changed.
    quiet: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Leave(Reason),
    /// Until something changes, or for so long.
    Stay(Option<Duration>),
}

fn decide(situation: &Situation) -> Decision {
    let Situation { kind, clients, listeners, load, stop, room, idle, quiet } = situation;
    match stop {
        Some(StopMode::Now) => return Decision::Leave(Reason::Stop),
        // Prompts that wait are kept for the next daemon.
        Some(StopMode::Wait) if load.running == 0 && load.busy == 0 => return Decision::Leave(Reason::Stop),
        Some(StopMode::Wait) => return Decision::Stay(None),
        None => {}
    }
    if *kind != Kind::Detached || *listeners > 0 || !load.is_nothing() {
        return Decision::Stay(None);
    }
    match (room, idle) {
        (Some(version), _) => Decision::Leave(Reason::Room(version.clone())),
        (None, Some(idle)) if *clients == 0 => match idle.checked_sub(*quiet).filter(|left| !left.is_zero()) {
            Some(left) => Decision::Stay(Some(left)),
            None => Decision::Leave(Reason::Idle),
        },
        _ => Decision::Stay(None),
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
