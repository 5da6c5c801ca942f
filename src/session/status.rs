//! What each session is doing. Kept in memory: after a restart no session works, and open questions are in the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use polytree_protocol::{
    id::SessionId,
    session::{SessionStatus, StatusWaiting},
};
use tokio::sync::watch;

use crate::store::{Error, Scope, Store, Unit, WaitsFor};

#[derive(Debug, Default, Clone)]
struct Entry {
    status: Option<SessionStatus>,
    // Tool calls run side by side, so several may wait at once; the oldest is shown.
    waiting: Vec<(WaitsFor, i64)>,
    /// How many tool calls run, those that wait included.
    calls: usize,
}

impl Entry {
    fn shown(&self) -> SessionStatus {
        match self.waiting.first() {
            Some((WaitsFor::Permission(id), since)) => {
                SessionStatus::Waiting(StatusWaiting { permission_id: Some(id.clone()), question_id: None, since: *since })
            }
            Some((WaitsFor::Question(id), since)) => {
                SessionStatus::Waiting(StatusWaiting { permission_id: None, question_id: Some(id.clone()), since: *since })
            }
            None => self.status.clone().unwrap_or(SessionStatus::Idle),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Statuses {
    entries: Arc<Mutex<HashMap<SessionId, Entry>>>,
    changed: watch::Sender<()>,
}

impl Statuses {
    pub fn all(&self) -> Vec<(SessionId, SessionStatus)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|(id, entry)| (id.clone(), entry.shown())).filter(|(_, status)| *status != SessionStatus::Idle).collect()
    }

    /// Changes an entry; returns the status to announce if it has changed.
    fn change(&self, id: &SessionId, change: impl FnOnce(&mut Entry)) -> Option<SessionStatus> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(id.clone()).or_default();
        let before = entry.shown();
        change(entry);
        let after = entry.shown();
        if after == SessionStatus::Idle {
            entries.remove(id);
        }
        drop(entries);
        self.changed.send_replace(());
        (before != after).then_some(after)
    }

    pub fn changed(&self) -> &watch::Sender<()> {
        &self.changed
    }

    /// Whether the session does nothing but wait for a person.
    pub fn waits(&self, id: &SessionId) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(id).is_some_and(|entry| !entry.waiting.is_empty() && entry.waiting.len() >= entry.calls)
    }

    /// Tool calls of the session begin to run.
    pub fn begin_calls(&self, id: &SessionId, count: usize) {
        self.change(id, |entry| entry.calls = count);
    }

    /// One of them has ended.
    pub fn end_call(&self, id: &SessionId) {
        self.change(id, |entry| entry.calls = entry.calls.saturating_sub(1));
    }

    /// Sets what the session does beside waiting; returns the status to announce if it has changed.
    pub fn set(&self, id: &SessionId, status: SessionStatus) -> Option<SessionStatus> {
        self.change(id, |entry| entry.status = (status != SessionStatus::Idle).then_some(status))
    }

    /// The session works again and has asked nothing yet.
    pub fn restart(&self, id: &SessionId) -> Option<SessionStatus> {
        self.change(id, |entry| *entry = Entry { status: Some(SessionStatus::Busy), ..Entry::default() })
    }

    /// The session is idle, whatever it waited for.
    pub fn clear(&self, id: &SessionId) -> Option<SessionStatus> {
        self.change(id, |entry| *entry = Entry::default())
    }

    /// A question is open since before this daemon started; clients know of it.
    pub fn remember(&self, id: &SessionId, question: WaitsFor, since: i64) {
        self.change(id, |entry| entry.waiting.push((question, since)));
    }

    /// A question is open.
    pub async fn open_question(&self, store: &Store, scope: &Scope, question: WaitsFor, since: i64) -> Result<(), Error> {
        let status = self.change(&session_of(scope), |entry| {
            // That of a resumed turn is known already.
            if !entry.waiting.iter().any(|(id, _)| *id == question) {
                entry.waiting.push((question, since));
            }
        });
        self.tell(store, scope, status).await
    }

    /// A question is no longer open.
    pub async fn close_question(&self, store: &Store, scope: &Scope, question: &WaitsFor) -> Result<(), Error> {
        let status = self.change(&session_of(scope), |entry| entry.waiting.retain(|(id, _)| id != question));
        self.tell(store, scope, status).await
    }

    async fn tell(&self, store: &Store, scope: &Scope, status: Option<SessionStatus>) -> Result<(), Error> {
        let Some(status) = status else { return Ok(()) };
        store.commit(Unit::new(scope).status(status)).await
    }
}

fn session_of(scope: &Scope) -> SessionId {
    scope.session_id.clone().unwrap_or_default()
}
