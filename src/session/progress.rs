//! What each turn is doing now, for diagnosis: which model is called, which tools run, when there was last a sign of life.
//! Kept in memory while the turn runs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use polytree_protocol::{
    diagnose::{DiagnosisModelCall, DiagnosisSession, DiagnosisToolCall},
    id::{MessageId, SessionId},
    provider::ModelRef,
    session::SessionStatus,
};

use super::status::Statuses;
use crate::stdx::time::now_ms;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    pub live: usize,
    /// With a record of the files that they have read.
    pub readers: usize,
}

pub(super) struct Progress {
    // Held for single assignments.
    now: Mutex<DiagnosisSession>,
}

impl Progress {
    /// The model or a tool gave a sign of life.
    pub fn touch(&self) {
        self.now().sign = Some(now_ms());
    }

    pub fn set_directory(&self, directory: &str) {
        self.now().directory = Some(directory.to_owned());
    }

    /// A model is called, until the value is dropped.
    pub fn begin_model_call(self: &Arc<Self>, model: &ModelRef) -> InProgress {
        self.touch();
        self.now().model = Some(DiagnosisModelCall { model: model.to_string(), since: now_ms() });
        InProgress { progress: Arc::clone(self), call: None }
    }

    /// A tool runs, until the value is dropped.
    pub fn begin_tool_call(self: &Arc<Self>, call: &str, tool: &str) -> InProgress {
        self.touch();
        self.now().tools.push(DiagnosisToolCall { call_id: call.to_owned(), tool: tool.to_owned(), since: now_ms() });
        InProgress { progress: Arc::clone(self), call: Some(call.to_owned()) }
    }

    fn now(&self) -> MutexGuard<'_, DiagnosisSession> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model call or a tool call that runs until this is dropped.
pub(super) struct InProgress {
    progress: Arc<Progress>,
    /// The tool call; `None` for the model.
    call: Option<String>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.progress.touch();
        let mut now = self.progress.now();
        match &self.call {
            None => now.model = None,
            Some(call) => {
                if let Some(place) = now.tools.iter().position(|known| known.call_id == *call) {
                    now.tools.remove(place);
                }
            }
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct AllProgress(Arc<Mutex<HashMap<SessionId, Arc<Progress>>>>);

impl AllProgress {
    /// A turn begins; it ends when the value is dropped.
    pub fn begin(&self, id: &SessionId, message: &MessageId) -> RunningTurn {
        let now = now_ms();
        let now = DiagnosisSession { since: Some(now), sign: Some(now), message_id: Some(message.clone()), ..without_turn(id.clone()) };
        let progress = Arc::new(Progress { now: Mutex::new(now) });
        self.turns().insert(id.clone(), Arc::clone(&progress));
        RunningTurn { all: self.clone(), id: id.clone(), progress }
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every session that has a turn, a status or a queue; by id.
    pub fn working(&self, statuses: &Statuses, queues: &HashMap<SessionId, usize>) -> Vec<DiagnosisSession> {
        let turns = self.turns().clone();
        let mut statuses: HashMap<SessionId, SessionStatus> = statuses.all().into_iter().collect();
        let ids: BTreeSet<SessionId> = turns.keys().chain(statuses.keys()).chain(queues.keys()).cloned().collect();
        let working = |id: SessionId| DiagnosisSession {
            status: statuses.remove(&id).unwrap_or(SessionStatus::Idle),
            queued: queues.get(&id).copied().unwrap_or(0) as u64,
            ..turns.get(&id).map_or_else(|| without_turn(id.clone()), |progress| progress.now().clone())
        };
        ids.into_iter().map(working).collect()
    }
}

fn without_turn(id: SessionId) -> DiagnosisSession {
    DiagnosisSession {
        id,
        directory: None,
        status: SessionStatus::Idle,
        since: None,
        message_id: None,
        model: None,
        tools: Vec::new(),
        sign: None,
        queued: 0,
    }
}

pub(super) struct RunningTurn {
    all: AllProgress,
    id: SessionId,
    pub progress: Arc<Progress>,
}

impl Drop for RunningTurn {
    fn drop(&mut self) {
        let mut turns = self.all.turns();
        // The next turn may have begun already.
        if turns.get(&self.id).is_some_and(|turn| Arc::ptr_eq(turn, &self.progress)) {
            turns.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::ids;

    #[test]
    fn a_turn_is_seen_with_what_it_does_and_no_longer() {
        let (all, statuses) = (AllProgress::default(), Statuses::default());
        let [one, two] = [0, 1].map(|_| SessionId::from_ulid(ids::next()));
        let queues = HashMap::from([(one.clone(), 2)]);
        let message = MessageId::from_ulid(ids::next());
        let model = ModelRef::parse("test/main").unwrap();
        let present = all.begin(&one, &message);
        statuses.set(&one, SessionStatus::Busy);
        statuses.set(&two, SessionStatus::Busy);
        present.progress.set_directory("/work");
        let call = present.progress.begin_model_call(&model);
        let tools = ["a", "b"].map(|call| present.progress.begin_tool_call(call, "bash"));
        let seen = all.working(&statuses, &queues);
        assert_eq!((&seen[0].id, seen[0].queued, &seen[0].status), (&one, 2, &SessionStatus::Busy));
        let turn = seen[0].clone();
        assert_eq!((turn.model.unwrap().model, turn.directory.as_deref()), ("test/main".to_owned(), Some("/work")));
        assert_eq!((turn.message_id, turn.since.is_some()), (Some(message.clone()), true));
        assert_eq!(turn.tools.iter().map(|tool| tool.call_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((&seen[1].id, seen[1].since, seen[1].queued), (&two, None, 0));

        let [first, second] = tools;
        drop((call, first));
        let turn = all.working(&statuses, &queues)[0].clone();
        assert_eq!((turn.model, turn.tools.len(), turn.tools[0].call_id.as_str()), (None, 1, "b"));
        drop(second);
        // The next turn may begin before the one before it is dropped.
        let next = all.begin(&one, &message);
        drop(present);
        assert!(all.working(&statuses, &queues)[0].since.is_some());
        drop(next);
        statuses.clear(&one);
        let seen = all.working(&statuses, &HashMap::new());
        assert_eq!(seen.iter().map(|working| &working.id).collect::<Vec<_>>(), [&two]);
    }
}
