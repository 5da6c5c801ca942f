//! What the tool calls of one answer share: how many work at once, and what ends all of them.

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    session::{Error, turn::state::Turn},
    stdx::tasks::Tasks,
};

/// So many calls of an answer work at once; the others wait. Waiting for a person is no work.
const AT_ONCE: usize = 8;

/// What the calls of one answer share.
#[derive(Debug)]
pub(super) struct Batch {
    /// Cancelled with the turn, and when the end of one call cannot be stored.
    pub tasks: Tasks,
    slots: Arc<Semaphore>,
    /// The user has refused one of them: what has not begun will not.
    pub refused: AtomicBool,
    /// Why something that a call told while it ran could not be stored. Held to set it or to take it.
    failure: Mutex<Option<Error>>,
}

impl Batch {
    pub fn new(turn: &Turn) -> Arc<Self> {
        Arc::new(Self {
            tasks: turn.tasks.child(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            refused: AtomicBool::new(false),
            failure: Mutex::default(),
        })
    }

    /// Something could not be stored, so the turn ends: every call is cancelled now, however long it would still run.
    pub fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.tasks.cancel();
    }

    /// Why something could not be stored, if that is so.
    pub fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until another call may work; `None` when they are cancelled before.
    pub async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.tasks.token().cancelled() => None,
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
        }
    }
}
