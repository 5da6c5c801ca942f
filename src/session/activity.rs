//! Counts the work in progress, and refuses new work once the daemon shuts down. Work is either counted before that, and
//! then the daemon stays, or refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use polytree_protocol::id::SessionId;
use tokio::sync::watch;

/// The work in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Turns that run, without those that only wait for a person.
    pub running: usize,
    /// Prompts that wait for an earlier turn.
    pub queued: usize,
    /// Calls that may start a turn, and work beside turns.
    pub busy: usize,
    /// Commands in the background. A daemon that is told to stop does not wait for them.
    pub processes: usize,
}

impl Load {
    /// Whether a shutdown would interrupt nothing.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    busy: usize,
    queued: HashMap<SessionId, usize>,
}

/// The work in progress of all sessions.
#[derive(Debug)]
pub(super) struct Activity {
    // Held for counting, never across an await. The lock of the live sessions may be taken while this one is held, but
    // not the other way round.
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Activity {
    pub fn new(changed: watch::Sender<()>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed })
    }

    /// Something has changed that is counted elsewhere.
    pub fn tell(&self) {
        self.changed.send_replace(());
    }

    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub fn set_queued(&self, id: &SessionId, count: usize) {
        let mut state = self.state();
        let before = if count == 0 { state.queued.remove(id) } else { state.queued.insert(id.clone(), count) };
        drop(state);
        if before.unwrap_or(0) != count {
            self.tell();
        }
    }

    pub fn queues(&self) -> HashMap<SessionId, usize> {
        self.state().queued.clone()
    }

    /// Work outside a turn begins; it lasts until the value is dropped.
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.state().busy += 1;
        self.tell();
        Busy(Arc::clone(self))
    }

    /// The same, unless new work is refused.
    pub fn enter(self: &Arc<Self>) -> Option<Busy> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        state.busy += 1;
        drop(state);
        self.tell();
        Some(Busy(Arc::clone(self)))
    }

    /// Whether new work is refused.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until new work is refused.
    pub async fn closed(&self) {
        // The sender is a field of `self`, so this cannot fail.
        let _ = self.changed().wait_for(|()| self.is_closed()).await;
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.tell();
    }

    /// Refuses new work if nothing is in progress; `running` counts turns. Returns whether new work is refused.
    pub fn close_if_idle(&self, running: impl FnOnce() -> usize) -> bool {
        let mut state = self.state();
        state.closed = state.closed || state.load(running()).is_nothing();
        state.closed
    }

    pub fn load(&self, running: impl FnOnce() -> usize) -> Load {
        self.state().load(running())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step, so a panic elsewhere leaves it sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn load(&self, running: usize) -> Load {
        Load { running, queued: self.queued.values().sum(), busy: self.busy, processes: 0 }
    }
}

/// Work outside a turn, such as a call that is about to start one.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_work_is_refused_only_when_nothing_is_in_progress() {
        let activity = Activity::new(watch::Sender::default());
        let session = SessionId::from_ulid(crate::stdx::ids::next());
        let work = activity.enter().unwrap();
        assert!(!activity.close_if_idle(|| 0));
        drop(work);
        activity.set_queued(&session, 2);
        assert_eq!(activity.load(|| 3), Load { running: 3, queued: 2, ..Load::default() });
        assert!(!activity.close_if_idle(|| 0));
        activity.set_queued(&session, 0);
        assert!(!activity.close_if_idle(|| 1) && activity.enter().is_some());
        assert!(activity.close_if_idle(|| 0));
        assert!(activity.is_closed() && activity.enter().is_none());
        assert!(activity.close_if_idle(|| 1), "closed is closed");
        drop(activity.begin());
        assert!(activity.load(|| 0).is_nothing());
    }
}
