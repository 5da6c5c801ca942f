//! What each turn is doing at this moment, for those who wonder why it takes so long: which model is called, which tools
//! run, when there was last a sign of life. Kept in memory, gone with the turn; writing it down costs nanoseconds.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use polytree_protocol::{
    id::{MessageId, SessionId},
    provider::ModelRef,
    session::SessionStatus,
};

use super::{Sessions, status::Statuses};
use crate::stdx::time::now_ms;

/// A session that is not idle.
#[derive(Debug, Clone, PartialEq)]
pub struct Working {
    /// The session.
    pub id: SessionId,
    /// What clients see of it.
    pub status: SessionStatus,
    /// Its turn, while one runs.
    pub turn: Option<TurnNow>,
    /// Prompts that wait for the turn to end.
    pub queued: usize,
}

/// A turn at this moment. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnNow {
    /// The prompt that is answered.
    pub message: MessageId,
    /// The session's directory, once it is known.
    pub directory: Option<String>,
    /// When it began.
    pub since: i64,
    /// When the model or a tool last gave a sign of life.
    pub sign: i64,
    /// The model call that runs, and since when.
    pub model: Option<(ModelRef, i64)>,
    /// The tool calls that run: call id, tool, since when.
    pub tools: Vec<(String, String, i64)>,
}

/// How many sessions are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// With a task of their own.
    pub live: usize,
    /// With notes of which files they have read.
    pub readers: usize,
}

/// What one turn is doing; its owner writes, anybody reads.
pub(super) struct Activity {
    message: MessageId,
    since: i64,
    sign: AtomicI64,
    // Held for single assignments.
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    directory: Option<String>,
    model: Option<(ModelRef, i64)>,
    tools: Vec<(String, String, i64)>,
}

impl Activity {
    /// The model or a tool has done something.
    pub fn sign(&self) {
        self.sign.store(now_ms(), Ordering::Relaxed);
    }

    /// Where the session works is known.
    pub fn is_in(&self, directory: &str) {
        self.now().directory = Some(directory.to_owned());
    }

    /// A model is called, until the value is dropped.
    pub fn calls(self: &Arc<Self>, model: &ModelRef) -> Doing {
        self.sign();
        self.now().model = Some((model.clone(), now_ms()));
        Doing { activity: Arc::clone(self), call: None }
    }

    /// A tool runs, until the value is dropped.
    pub fn runs(self: &Arc<Self>, call: &str, tool: &str) -> Doing {
        self.sign();
        self.now().tools.push((call.to_owned(), tool.to_owned(), now_ms()));
        Doing { activity: Arc::clone(self), call: Some(call.to_owned()) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> TurnNow {
        let now = self.now();
        TurnNow {
            message: self.message.clone(),
            directory: now.directory.clone(),
            since: self.since,
            sign: self.sign.load(Ordering::Relaxed),
            model: now.model.clone(),
            tools: now.tools.clone(),
        }
    }
}

/// Something that a turn is doing; its end is when this is dropped.
pub(super) struct Doing {
    activity: Arc<Activity>,
    /// The tool call; `None` for the model.
    call: Option<String>,
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.activity.sign();
        let mut now = self.activity.now();
        match &self.call {
            None => now.model = None,
            Some(call) => {
                if let Some(place) = now.tools.iter().position(|(known, ..)| known == call) {
                    now.tools.remove(place);
                }
            }
        }
    }
}

#[derive(Default)]
struct Entry {
    turn: Option<Arc<Activity>>,
    queued: usize,
}

/// The turns that run and the lengths of the queues behind them.
#[derive(Clone, Default)]
pub(super) struct Activities(Arc<Mutex<HashMap<SessionId, Entry>>>);

impl Activities {
    /// A turn begins; it ends when the value is dropped.
    pub fn begin(&self, id: &SessionId, message: &MessageId) -> Present {
        let now = now_ms();
        let activity = Arc::new(Activity { message: message.clone(), since: now, sign: AtomicI64::new(now), now: Mutex::default() });
        self.change(id, |entry| entry.turn = Some(Arc::clone(&activity)));
        Present { activities: self.clone(), id: id.clone(), activity }
    }

    /// So many prompts wait.
    pub fn queued(&self, id: &SessionId, count: usize) {
        self.change(id, |entry| entry.queued = count);
    }

    fn change(&self, id: &SessionId, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Most of the time there is nothing to note, and then nothing is copied.
        if let Some(entry) = entries.get_mut(id) {
            change(entry);
            if entry.turn.is_none() && entry.queued == 0 {
                entries.remove(id);
            }
            return;
        }
        let mut entry = Entry::default();
        change(&mut entry);
        if entry.turn.is_some() || entry.queued > 0 {
            entries.insert(id.clone(), entry);
        }
    }

    fn working(&self, statuses: &Statuses) -> Vec<Working> {
        let mut statuses: HashMap<SessionId, SessionStatus> = statuses.all().into_iter().collect();
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Working> = entries
            .iter()
            .map(|(id, entry)| Working {
                id: id.clone(),
                status: statuses.remove(id).unwrap_or(SessionStatus::Idle),
                turn: entry.turn.as_ref().map(|activity| activity.snapshot()),
                queued: entry.queued,
            })
            .collect();
        drop(entries);
        all.extend(statuses.into_iter().map(|(id, status)| Working { id, status, turn: None, queued: 0 }));
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }
}

/// A turn that runs.
pub(super) struct Present {
    activities: Activities,
    id: SessionId,
    /// What it is doing.
    pub activity: Arc<Activity>,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.activities.change(&self.id, |entry| {
            // The next turn may have begun already.
            if entry.turn.as_ref().is_some_and(|turn| Arc::ptr_eq(turn, &self.activity)) {
                entry.turn = None;
            }
        });
    }
}

impl Sessions {
    /// Every session that is not idle, with what it is doing; by id. Waits for nothing.
    #[must_use]
    pub fn working(&self) -> Vec<Working> {
        self.shared.activities.working(&self.shared.statuses)
    }

    /// How many sessions are in memory.
    #[must_use]
    pub fn census(&self) -> Census {
        let live = self.shared.live.lock().unwrap_or_else(PoisonError::into_inner).len();
        let readers = self.shared.file_times.lock().unwrap_or_else(PoisonError::into_inner).len();
        Census { live, readers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::ids;

    #[test]
    fn a_turn_is_seen_with_what_it_does_and_no_longer() {
        let (activities, statuses) = (Activities::default(), Statuses::default());
        let [one, two] = [0, 1].map(|_| SessionId::from_ulid(ids::next()));
        let message = MessageId::from_ulid(ids::next());
        let model = ModelRef::parse("test/main").unwrap();
        let present = activities.begin(&one, &message);
        activities.queued(&one, 2);
        statuses.set(&one, SessionStatus::Busy);
        statuses.set(&two, SessionStatus::Busy);
        present.activity.is_in("/work");
        let call = present.activity.calls(&model);
        let tools = ["a", "b"].map(|call| present.activity.runs(call, "bash"));
        let seen = activities.working(&statuses);
        assert_eq!((&seen[0].id, seen[0].queued, &seen[0].status), (&one, 2, &SessionStatus::Busy));
        let turn = seen[0].turn.clone().unwrap();
        assert_eq!((turn.model.unwrap().0, turn.directory.as_deref(), &turn.message), (model, Some("/work"), &message));
        assert_eq!(turn.tools.iter().map(|(call, ..)| call.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((&seen[1].id, &seen[1].turn), (&two, &None));

        let [first, second] = tools;
        drop((call, first));
        let turn = activities.working(&statuses)[0].turn.clone().unwrap();
        assert_eq!((turn.model, turn.tools.len(), turn.tools[0].0.as_str()), (None, 1, "b"));
        drop(second);
        // The next turn may begin before the one before it is dropped.
        let next = activities.begin(&one, &message);
        drop(present);
        assert!(activities.working(&statuses)[0].turn.is_some());
        drop(next);
        activities.queued(&one, 0);
        statuses.clear(&one);
        assert_eq!(activities.working(&statuses).iter().map(|working| &working.id).collect::<Vec<_>>(), [&two]);
    }
}
