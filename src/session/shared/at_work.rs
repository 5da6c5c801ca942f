//! How many child sessions work below each root, and the turns that can be cancelled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use polytree_protocol::id::SessionId;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default, Clone)]
pub struct AtWork(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The number of child sessions that work for a call, by root.
    children: HashMap<SessionId, u32>,
    turns: HashMap<SessionId, CancellationToken>,
}

impl AtWork {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step, so a panic elsewhere leaves it sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child begins to work, until the value is dropped; `None` if so many do already.
    pub fn begin_child(&self, root: &SessionId, limit: u32) -> Option<ChildAtWork> {
        let mut state = self.state();
        let count = state.children.entry(root.clone()).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(state);
        Some(ChildAtWork { all: self.clone(), root: root.clone() })
    }

    pub fn begin_turn(&self, id: &SessionId, token: CancellationToken) {
        self.state().turns.insert(id.clone(), token);
    }

    pub fn end_turn(&self, id: &SessionId) {
        self.state().turns.remove(id);
    }

    /// Whether a turn of these sessions runs.
    pub fn has_turns(&self, ids: &[SessionId]) -> bool {
        let state = self.state();
        ids.iter().any(|id| state.turns.contains_key(id))
    }

    /// Cancels the turns of these sessions at once, in this order. Returns whether there were any.
    pub fn cancel_turns(&self, ids: &[SessionId]) -> bool {
        // Cancelling wakes tasks, which may come back here.
        let turns: Vec<CancellationToken> = {
            let state = self.state();
            ids.iter().filter_map(|id| state.turns.get(id).cloned()).collect()
        };
        turns.iter().for_each(CancellationToken::cancel);
        !turns.is_empty()
    }
}

/// A child session that works for a call.
#[derive(Debug)]
pub struct ChildAtWork {
    all: AtWork,
    root: SessionId,
}

impl Drop for ChildAtWork {
    fn drop(&mut self) {
        let mut state = self.all.state();
        if let Some(count) = state.children.get_mut(&self.root) {
            *count -= 1;
            if *count == 0 {
                state.children.remove(&self.root);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::ids;

    #[test]
    fn children_are_counted_below_each_root() {
        let all = AtWork::default();
        let [one, two] = [0, 1].map(|_| SessionId::from_ulid(ids::next()));
        let first = all.begin_child(&one, 2).unwrap();
        let _second = all.begin_child(&one, 2).unwrap();
        assert!(all.begin_child(&one, 2).is_none() && all.begin_child(&two, 2).is_some());
        drop(first);
        assert!(all.begin_child(&one, 2).is_some() && all.begin_child(&one, 0).is_none());
        let (token, other) = (CancellationToken::new(), CancellationToken::new());
        all.begin_turn(&one, token.clone());
        all.begin_turn(&two, other.clone());
        all.end_turn(&two);
        assert!(all.cancel_turns(&[two.clone(), one]) && !all.cancel_turns(&[two]));
        assert!(token.is_cancelled() && !other.is_cancelled());
    }
}
