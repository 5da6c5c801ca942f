//! What the tool calls of one answer share: how many work at once, and what ends all of them.

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    session::{Error, turn::state::Turn},
    stdx::tasks::Tasks,
};

/// The most calls of an answer that run at once. Calls that wait for a person do not count.
const MAX_CONCURRENT_CALLS: usize = 8;

#[derive(Debug)]
pub(super) struct Batch {
    /// Cancelled with the turn, and when the end of one call cannot be stored.
    pub tasks: Tasks,
    slots: Arc<Semaphore>,
    /// The user has typed the calls: nothing is asked.
    pub is_of_user: bool,
    /// The user has rejected a call: calls that have not begun are not run.
    pub refused: AtomicBool,
    /// Why something could not be stored while calls ran. Held to set it or to take it.
    failure: Mutex<Option<Error>>,
}

impl Batch {
    pub fn new(turn: &Turn, is_of_user: bool) -> Arc<Self> {
        Arc::new(Self {
            tasks: turn.tasks.child(),
            is_of_user,
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS)),
            refused: AtomicBool::new(false),
            failure: Mutex::default(),
        })
    }

    /// Something could not be stored, so the turn ends: all calls are cancelled.
    pub fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.tasks.cancel();
    }

    /// Why something could not be stored, if that is so.
    pub fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for a slot; `None` when the calls were cancelled.
    pub async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.tasks.token().cancelled() => None,
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
        }
    }
}
